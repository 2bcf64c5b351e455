-- Instruments that lost more in a firm day than the stage allows, at the deal with which they did.
-- Every deal counts on the day of its execution, costs included; the sum is compared in whole minor units.
-- Grain: account_id, instrument, firm_day.
with accounts as (
    select accounts.account, accounts.product, accounts.product_version, sizes.size, sizes.beyond
    from facts.rule_accounts as accounts
    inner join terms.symbol_loss as terms using (product, product_version, stage)
    semi join (select account from decided.suspect_accounts where rule = 'symbol_loss') as suspects using (account)
    inner join terms.sizes as sizes using (product, product_version, stage, currency, initial_balance)
    where sizes.rule = 'symbol_loss'
),

on_days as (
    select
        deals.account,
        deals.market,
        deals.place,
        deals.executed_at,
        deals.net,
        accounts.size,
        accounts.beyond,
        resets.firm_day
    from facts.rule_deals as deals
    inner join accounts using (account)
    asof inner join terms.resets as resets
        on
            accounts.product = resets.product
            and accounts.product_version = resets.product_version
            and deals.executed_at >= resets.opened_at
),

running as (
    select *, -sum(net) over (partition by account, market, firm_day order by executed_at) as lost
    from on_days
)

select
    trades.account_id,
    min(running.executed_at) as happened_at,
    'breached' as outcome,
    cast(arg_min(running.lost, running.executed_at) as double) as observed,
    cast(running.size as double) as allowed,
    arg_min(trades.trade_id, (running.executed_at, trades.trade_id)) as trade_id,
    json_object('instrument', trades.instrument, 'firm_day', running.firm_day) as detail
from running
inner join facts.rule_trades as trades using (account, place)
where running.lost >= running.beyond
group by trades.account_id, trades.instrument, running.firm_day, running.size
