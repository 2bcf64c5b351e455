-- What each trader did on each day: entries, closed results as a share of the balance, sign-ins. Grain: trader_id, day.
with entries as (
    select accounts.trader_id, cast(trades.opened_at as date) as day, count(*) as entries
    from facts.trades as trades
    inner join facts.accounts as accounts using (account_id)
    group by accounts.trader_id, cast(trades.opened_at as date)
),

results as (
    select
        accounts.trader_id,
        cast(trades.closed_at as date) as day,
        -- decimals, whose sum does not hang on the order in which they are added
        sum(cast(
            cast(trades.net_profit as decimal(24, 4)) / accounts.initial_balance as decimal(30, 12)
        )) as result
    from facts.trades as trades
    inner join detectors.allowances as accounts using (account_id)
    where trades.closed_at is not null
    group by accounts.trader_id, cast(trades.closed_at as date)
),

signed_in as (
    select trader_id, cast(occurred_at as date) as day, count(*) as sign_ins
    from staging.logins
    group by trader_id, cast(occurred_at as date)
)

select
    trader_id,
    day,
    coalesce(entries.entries, 0) as entries,
    cast(coalesce(results.result, 0) as double) as result,
    coalesce(signed_in.sign_ins, 0) as sign_ins
from entries
full join results using (trader_id, day)
full join signed_in using (trader_id, day)
