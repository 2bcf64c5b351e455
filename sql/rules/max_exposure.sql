-- Instants at which the open volume rises above what the stage allows, over the account or in one instrument.
-- Volume is counted once per instant, after everything of it; both directions count. Grain: account_id, instrument, instant.
with changes as (
    select
        deals.account_id,
        case terms.per when 'symbol' then deals.instrument end as instrument,
        deals.executed_at,
        cast(terms.lots as decimal(18, 8)) as allowed,
        sum(case deals.role when 'in' then deals.lots else -deals.lots end) as change,
        max(deals.trade_id) filter (where deals.role = 'in') as trade_id
    from facts.rule_deals as deals
    inner join terms.max_exposure as terms using (product, product_version, stage)
    group by all
),

held as (
    select
        *,
        sum(change) over (partition by account_id, instrument order by executed_at) as lots_open
    from changes
)

select
    account_id,
    executed_at as happened_at,
    'breached' as outcome,
    cast(lots_open as double) as observed,
    cast(allowed as double) as allowed,
    trade_id,
    json_object('instrument', instrument) as detail
from held
where lots_open > allowed and lots_open - change <= allowed
