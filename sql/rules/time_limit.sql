-- Accounts that had not passed when the stage's time was over. Grain: account_id.
with first_trades as (
    select trades.account_id, min(trades.opened_at) as first_at
    from facts.trades as trades
    inner join facts.rule_accounts as accounts using (account_id)
    semi join (from terms.time_limit where starts = 'first_trade') as terms using (product, product_version, stage)
    group by trades.account_id
),

deadlines as (
    select
        accounts.account_id,
        accounts.until,
        terms.days,
        case terms.starts when 'opened' then accounts.opened_at else first_trades.first_at end as started_at
    from facts.rule_accounts as accounts
    inner join terms.time_limit as terms using (product, product_version, stage)
    left join first_trades using (account_id)
)

select
    account_id,
    started_at + to_days(cast(days as integer)) as happened_at,
    'breached' as outcome,
    cast(days as double) as observed,
    cast(days as double) as allowed,
    cast(null as varchar) as trade_id,
    json_object('started_at', strftime(started_at, '%Y-%m-%d %H:%M:%S UTC')) as detail
from deadlines
where started_at + to_days(cast(days as integer)) <= until
