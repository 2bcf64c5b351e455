-- Instants at which the estimated margin in use rises above a cap of the stage, a share of the balance. Grain: account_id,
-- cap, instant. What is open of a position ties up its worth at the average opening price divided by the leverage of the
-- cap, of its instrument, its asset class or the stage. Where a cap lists instruments, nothing else counts for it.
with accounts as (
    select
        accounts.account,
        accounts.account_id,
        accounts.product,
        accounts.product_version,
        accounts.stage,
        accounts.initial_balance,
        terms.leverage
    from facts.rule_accounts as accounts
    inner join terms.margin as terms using (product, product_version, stage)
    semi join (select account from decided.suspect_accounts where rule = 'margin') as suspects using (account)
),

caps as (
    select accounts.account, caps.cap, caps.percent
    from accounts
    inner join terms.margin_caps as caps using (product, product_version, stage)
),

-- how each traded instrument counts: by its own leverage before that of its class
traded as (
    select distinct
        accounts.product, accounts.product_version, accounts.stage, accounts.leverage, trades.symbol, trades.instrument
    from facts.rule_trades as trades
    inner join accounts using (account)
),

levered as (
    select
        traded.product,
        traded.product_version,
        traded.stage,
        traded.symbol,
        traded.instrument,
        upper(kinds.asset_class) as asset_class,
        coalesce(arg_min(leverages.leverage, leverages.name = upper(kinds.asset_class)), traded.leverage) as leverage
    from traded
    left join (select distinct symbol, asset_class from terms.instruments) as kinds using (symbol)
    left join terms.leverages as leverages
        on
            (traded.product, traded.product_version, traded.stage)
            = (leverages.product, leverages.product_version, leverages.stage)
            and leverages.name in (traded.instrument, upper(traded.symbol), upper(kinds.asset_class))
    group by
        traded.product, traded.product_version, traded.stage, traded.symbol, traded.instrument, traded.leverage,
        kinds.asset_class
),

counted as (
    select distinct
        levered.product,
        levered.product_version,
        levered.stage,
        levered.symbol,
        caps.cap,
        coalesce(caps.leverage, levered.leverage) as leverage
    from levered
    inner join terms.margin_caps as caps using (product, product_version, stage)
    left join terms.margin_names as names
        on
            (caps.product, caps.product_version, caps.stage, caps.cap)
            = (names.product, names.product_version, names.stage, names.cap)
            and names.name in (levered.instrument, upper(levered.symbol), levered.asset_class)
    where names.name is not null or not caps.listed
),

trades as (
    select
        trades.account,
        trades.place,
        counted.cap,
        worth.point_value * trades.open_price / counted.leverage / cast(trades.lots as double) as per_lot
    from facts.rule_trades as trades
    inner join accounts using (account)
    inner join facts.rule_trade_values as worth using (account, place)
    inner join counted
        on
            (accounts.product, accounts.product_version, accounts.stage, trades.symbol)
            = (counted.product, counted.product_version, counted.stage, counted.symbol)
),

-- the opening deposit is the initial balance itself
deposits as (
    select accounts.account, min((deals.executed_at, deals.deal_id)) as first_deposit
    from staging.deals as deals
    inner join accounts using (account_id)
    where deals.kind = 'balance' and deals.profit = accounts.initial_balance
    group by accounts.account
),

changes as (
    select
        deals.account,
        trades.cap,
        deals.executed_at as at_instant,
        trades.per_lot * cast(case deals.role when 'in' then deals.lots else -deals.lots end as double) as change,
        cast(0 as double) as money
    from facts.rule_deals as deals
    inner join trades using (account, place)
    union all
    select
        accounts.account,
        caps.cap,
        deals.executed_at,
        0,
        cast(deals.profit + coalesce(deals.commission, 0) + coalesce(deals.swap, 0) + coalesce(deals.fee, 0) as double)
    from staging.deals as deals
    inner join accounts using (account_id)
    inner join caps using (account)
    left join deposits using (account)
    where
        deals.kind <> 'credit'
        and (deposits.account is null or (deals.executed_at, deals.deal_id) <> deposits.first_deposit)
),

instants as (
    select account, cap, at_instant, sum(change) as change, sum(money) as money
    from changes
    group by account, cap, at_instant
),

running as (
    select
        account,
        cap,
        at_instant,
        change,
        money,
        sum(change) over (partition by account, cap order by at_instant) as tied_up,
        sum(money) over (partition by account, cap order by at_instant) as earned
    from instants
),

shares as (
    select
        running.account,
        running.cap,
        running.at_instant,
        running.tied_up,
        caps.percent,
        cast(accounts.initial_balance as double) + running.earned as balance,
        round(100 * running.tied_up / nullif(greatest(balance, 0), 0), 6) as share,
        round(100 * (running.tied_up - running.change) / nullif(greatest(balance - running.money, 0), 0), 6) as share_before
    from running
    inner join accounts using (account)
    inner join caps using (account, cap)
),

risen as (
    select *
    from shares
    where share > percent and coalesce(share_before, 0) <= percent
)

select
    accounts.account_id,
    risen.at_instant as happened_at,
    'breached' as outcome,
    risen.share as observed,
    risen.percent as allowed,
    max(opened.trade_id) as trade_id,
    json_object('margin', round(risen.tied_up, 2), 'balance', round(risen.balance, 2)) as detail
from risen
inner join accounts using (account)
left join facts.rule_trades as opened on risen.account = opened.account and risen.at_instant = opened.opened_at
group by
    accounts.account_id, risen.cap, risen.at_instant, risen.share, risen.percent, risen.tied_up, risen.balance
