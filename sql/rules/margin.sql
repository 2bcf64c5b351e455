-- Instants at which the estimated margin in use rises above the stage's share of the balance. Grain: account_id, instant.
-- A position ties up its worth at the opening price divided by the leverage, from its opening to its close.
with trades as (
    select
        trades.*,
        terms.percent,
        worth.point_value * trades.open_price / terms.leverage as tied_up
    from facts.rule_trades as trades
    inner join terms.margin as terms using (product, product_version, stage)
    inner join facts.rule_trade_values as worth using (account_id, trade_id)
),

deposits as (
    select deals.account_id, min((deals.executed_at, deals.deal_id)) as first_deposit
    from staging.deals as deals
    inner join facts.rule_accounts as accounts using (account_id)
    where deals.kind = 'balance' and deals.profit = accounts.initial_balance
    group by deals.account_id
),

changes as (
    select account_id, opened_at as at_instant, tied_up as change, cast(0 as double) as money, trade_id from trades
    union all
    select account_id, closed_at, -tied_up, 0, null from trades where closed_at is not null
    union all
    select
        deals.account_id,
        deals.executed_at,
        0,
        cast(deals.profit + coalesce(deals.commission, 0) + coalesce(deals.swap, 0) + coalesce(deals.fee, 0) as double),
        null
    from staging.deals as deals
    left join deposits using (account_id)
    where
        deals.kind <> 'credit'
        and (deals.executed_at, deals.deal_id) is distinct from deposits.first_deposit
        and deals.account_id in (select account_id from trades)
),

instants as (
    select account_id, at_instant, sum(change) as change, sum(money) as money, max(trade_id) as trade_id
    from changes
    group by account_id, at_instant
),

running as (
    select
        instants.*,
        accounts.product,
        accounts.product_version,
        accounts.stage,
        sum(instants.change) over so_far as tied_up,
        cast(accounts.initial_balance as double) + sum(instants.money) over so_far as balance
    from instants
    inner join facts.rule_accounts as accounts using (account_id)
    window so_far as (partition by instants.account_id order by instants.at_instant)
),

shares as (
    select
        running.*,
        terms.percent,
        round(100 * running.tied_up / nullif(greatest(running.balance, 0), 0), 6) as share
    from running
    inner join terms.margin as terms using (product, product_version, stage)
),

risen as (
    select
        *,
        coalesce(lag(share) over (partition by account_id order by at_instant), 0) as share_before
    from shares
)

select
    account_id,
    at_instant as happened_at,
    'breached' as outcome,
    share as observed,
    percent as allowed,
    trade_id,
    json_object('margin', round(tied_up, 2), 'balance', round(balance, 2)) as detail
from risen
where share > percent and share_before <= percent
