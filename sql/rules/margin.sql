-- Instants at which the estimated margin in use rises above the stage's share of the balance. Grain: account_id, instant.
-- What is open of a position ties up its worth at the average opening price divided by the leverage of its instrument,
-- its asset class or the stage. Where instruments are listed, nothing else counts.
with accounts as (
    select
        accounts.account,
        accounts.account_id,
        accounts.product,
        accounts.product_version,
        accounts.stage,
        accounts.initial_balance,
        terms.percent,
        terms.leverage,
        terms.symbols is not null as listed
    from facts.rule_accounts as accounts
    inner join terms.margin as terms using (product, product_version, stage)
    semi join (select account from decided.suspect_accounts where rule = 'margin') as suspects using (account)
),

-- how each traded instrument counts: by its own leverage before that of its class, and whether it is listed
traded as (
    select distinct accounts.product, accounts.product_version, accounts.stage, trades.symbol, trades.instrument
    from facts.rule_trades as trades
    inner join accounts using (account)
),

counted as (
    select
        traded.product,
        traded.product_version,
        traded.stage,
        traded.symbol,
        arg_min(leverages.leverage, leverages.name = upper(kinds.asset_class)) as leverage,
        bool_or(listed.name is not null) as is_listed
    from traded
    left join (select distinct symbol, asset_class from terms.instruments) as kinds using (symbol)
    left join terms.leverages as leverages
        on
            (traded.product, traded.product_version, traded.stage)
            = (leverages.product, leverages.product_version, leverages.stage)
            and leverages.name in (traded.instrument, upper(traded.symbol), upper(kinds.asset_class))
    left join (from terms.listed_names where rule = 'margin') as listed
        on
            (traded.product, traded.product_version, traded.stage)
            = (listed.product, listed.product_version, listed.stage)
            and listed.name in (traded.instrument, upper(traded.symbol), upper(kinds.asset_class))
    group by all
),

trades as (
    select
        trades.account,
        trades.place,
        worth.point_value * trades.open_price / coalesce(counted.leverage, accounts.leverage)
        / cast(trades.lots as double) as per_lot
    from facts.rule_trades as trades
    inner join accounts using (account)
    inner join facts.rule_trade_values as worth using (account, place)
    inner join counted
        on
            (accounts.product, accounts.product_version, accounts.stage, trades.symbol)
            = (counted.product, counted.product_version, counted.stage, counted.symbol)
    where counted.is_listed or not accounts.listed
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
        deals.executed_at as at_instant,
        trades.per_lot * cast(case deals.role when 'in' then deals.lots else -deals.lots end as double) as change,
        cast(0 as double) as money
    from facts.rule_deals as deals
    inner join trades using (account, place)
    union all
    select
        accounts.account,
        deals.executed_at,
        0,
        cast(deals.profit + coalesce(deals.commission, 0) + coalesce(deals.swap, 0) + coalesce(deals.fee, 0) as double)
    from staging.deals as deals
    inner join accounts using (account_id)
    left join deposits using (account)
    where
        deals.kind <> 'credit'
        and (deposits.account is null or (deals.executed_at, deals.deal_id) <> deposits.first_deposit)
),

instants as (
    select account, at_instant, sum(change) as change, sum(money) as money
    from changes
    group by account, at_instant
),

running as (
    select
        account,
        at_instant,
        change,
        money,
        sum(change) over (partition by account order by at_instant) as tied_up,
        sum(money) over (partition by account order by at_instant) as earned
    from instants
),

shares as (
    select
        running.account,
        running.at_instant,
        running.tied_up,
        accounts.percent,
        cast(accounts.initial_balance as double) + running.earned as balance,
        round(100 * running.tied_up / nullif(greatest(balance, 0), 0), 6) as share,
        round(100 * (running.tied_up - running.change) / nullif(greatest(balance - running.money, 0), 0), 6) as share_before
    from running
    inner join accounts using (account)
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
group by accounts.account_id, risen.at_instant, risen.share, risen.percent, risen.tied_up, risen.balance
