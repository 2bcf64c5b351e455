-- Instruments that lost more in a firm day than the stage allows, at the deal with which they did.
-- Every deal counts on the day of its execution, costs included. Grain: account_id, instrument, firm_day.
with losing_days as (
    select
        deals.account_id,
        deals.instrument,
        resets.firm_day,
        sizes.size,
        deals.executed_at,
        deals.trade_id,
        deals.net,
        sum(least(deals.net, 0)) over (
            partition by deals.account_id, deals.instrument, resets.firm_day
        ) as losses_of_day
    from facts.rule_deals as deals
    inner join terms.symbol_loss as terms using (product, product_version, stage)
    inner join terms.sizes as sizes
        on
            sizes.rule = 'symbol_loss'
            and deals.product = sizes.product
            and deals.product_version = sizes.product_version
            and deals.stage = sizes.stage
            and deals.currency = sizes.currency
            and deals.initial_balance = sizes.initial_balance
    asof inner join terms.resets as resets
        on
            deals.product = resets.product
            and deals.product_version = resets.product_version
            and deals.executed_at >= resets.opened_at
),

running as (
    select
        *,
        -sum(net) over (partition by account_id, instrument, firm_day order by executed_at) as lost
    from losing_days
    where losses_of_day < -size
)

select
    account_id,
    min(executed_at) as happened_at,
    'breached' as outcome,
    cast(arg_min(lost, executed_at) as double) as observed,
    cast(size as double) as allowed,
    arg_min(trade_id, (executed_at, trade_id)) as trade_id,
    json_object('instrument', instrument, 'firm_day', firm_day) as detail
from running
where lost > size
group by account_id, instrument, firm_day, size
