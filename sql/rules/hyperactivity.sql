-- Firm days with more opening deals than the stage allows, at the first too many. Grain: account_id, firm_day.
with openings as (
    select
        deals.account_id,
        deals.trade_id,
        deals.executed_at,
        resets.firm_day,
        terms.trades_per_day,
        row_number() over (
            partition by deals.account_id, resets.firm_day order by deals.executed_at, deals.deal_id
        ) as place,
        count(*) over (partition by deals.account_id, resets.firm_day) as in_all
    from facts.rule_deals as deals
    inner join terms.hyperactivity as terms using (product, product_version, stage)
    asof inner join terms.resets as resets
        on
            deals.product = resets.product
            and deals.product_version = resets.product_version
            and deals.executed_at >= resets.opened_at
    where deals.role = 'in'
)

select
    account_id,
    executed_at as happened_at,
    'breached' as outcome,
    cast(in_all as double) as observed,
    cast(trades_per_day as double) as allowed,
    trade_id,
    json_object('firm_day', firm_day) as detail
from openings
where place = trades_per_day + 1
