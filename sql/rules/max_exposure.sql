-- Instants at which the open volume rises above what the stage allows, over the account or in one instrument.
-- Volume is counted once per instant, after everything of it; both directions count. Grain: account_id, instrument, instant.
with accounts as (
    select accounts.account, accounts.account_id, terms.per, cast(terms.lots as decimal(18, 8)) as allowed
    from facts.rule_accounts as accounts
    inner join terms.max_exposure as terms using (product, product_version, stage)
    semi join (select account from decided.suspect_accounts where rule = 'max_exposure') as suspects using (account)
),

changes as (
    select
        deals.account,
        case accounts.per when 'symbol' then deals.market else 0 end as market,
        deals.executed_at,
        sum(case deals.role when 'in' then deals.lots else -deals.lots end) as change
    from facts.rule_deals as deals
    inner join accounts using (account)
    group by all
),

held as (
    select *, sum(change) over (partition by account, market order by executed_at) as lots_open
    from changes
),

risen as (
    select held.*, accounts.account_id, accounts.allowed
    from held
    inner join accounts using (account)
    where held.lots_open > accounts.allowed and held.lots_open - held.change <= accounts.allowed
)

select
    risen.account_id,
    risen.executed_at as happened_at,
    'breached' as outcome,
    cast(risen.lots_open as double) as observed,
    cast(risen.allowed as double) as allowed,
    max(trades.trade_id) as trade_id,
    json_object('instrument', case when risen.market > 0 then any_value(trades.instrument) end) as detail
from risen
inner join facts.rule_deals as deals
    on
        risen.account = deals.account
        and risen.executed_at = deals.executed_at
        and deals.role = 'in'
        and risen.market in (0, deals.market)
inner join facts.rule_trades as trades on deals.account = trades.account and deals.place = trades.place
group by risen.account_id, risen.market, risen.executed_at, risen.lots_open, risen.allowed
