-- Trades opened or closed too near to news on a currency they depend on. Grain: account_id, trade_id, occurs_at: what is
-- published at one instant, as the figures of one release are, is one event.
-- Executions and events meet by minute and currency, so that only what is near is compared.
with events as (
    select
        terms.*,
        news.event_id,
        news.occurs_at,
        news.currency,
        news.title,
        news.occurs_at - to_seconds(terms.before_seconds) as first_at,
        news.occurs_at + to_seconds(terms.after_seconds) as last_at
    from terms.news_window as terms
    inner join staging.news as news
        on
            news.impact = 'high'
            or (news.impact = 'medium' and terms.impact in ('medium', 'low'))
            or terms.impact = 'low'
),

minutes as (
    select
        *,
        unnest(range(epoch_us(first_at) // 60000000, epoch_us(last_at) // 60000000 + 1)) as minute
    from events
),

near as (
    select
        trades.account_id,
        trades.trade_id,
        trades.symbol,
        trades.instrument,
        deals.role,
        deals.executed_at,
        minutes.event_id,
        minutes.currency,
        minutes.occurs_at,
        minutes.title,
        minutes.before_seconds,
        minutes.after_seconds
    from facts.rule_deals as deals
    inner join facts.rule_accounts as accounts using (account)
    inner join minutes
        on
            accounts.product = minutes.product
            and accounts.product_version = minutes.product_version
            and accounts.stage = minutes.stage
            and epoch_us(deals.executed_at) // 60000000 = minutes.minute
    inner join facts.rule_trades as trades on deals.account = trades.account and deals.place = trades.place
    where
        deals.executed_at between minutes.first_at and minutes.last_at
        and (minutes.applies = 'both' or (minutes.applies = 'open') = (deals.role = 'in'))
        and (
            minutes.exempt_after_seconds is null
            or deals.opened_at > minutes.occurs_at - to_seconds(minutes.exempt_after_seconds)
        )
),

affected as (
    select near.*
    from near
    semi join terms.instrument_currencies as moved using (symbol, currency)
)

select
    account_id,
    min(executed_at) as happened_at,
    'breached' as outcome,
    (epoch_us(min(executed_at)) - epoch_us(occurs_at)) / 1e6 as observed,
    cast(case when min(executed_at) < occurs_at then -before_seconds else after_seconds end as double) as allowed,
    trade_id,
    json_object(
        'instrument', instrument,
        'event_id', min(event_id),
        'currency', string_agg(distinct currency, ', ' order by currency),
        'title', string_agg(distinct title, ', ' order by title),
        'role', arg_min(role, (executed_at, role))
    ) as detail
from affected
group by account_id, trade_id, instrument, occurs_at, before_seconds, after_seconds
