-- How firm days of accounts that asked for payouts ended around what a day must win to count, by the cycle in which they began: just
-- enough, as much less or more again, and all that counted; and days of the same trader's accounts where no such day is asked
-- for, as shares of their balances. Grain: account_id, cycle; where nothing ended near, there is no row.
-- Each of the three is as wide as the others, in logarithms: results that know nothing of the line end in each about as often.
with asked as (
    select
        accounts.account_id,
        accounts.trader_id,
        accounts.profitable_day,
        accounts.profitable_day / accounts.initial_balance as share
    from detectors.allowances as accounts
    semi join staging.payouts using (account_id)
    where accounts.profitable_day > 0
),

won as (
    select
        asked.account_id,
        coalesce(paid.payout, 0) as cycle,
        days.opened_at,
        days.closed_profit / asked.profitable_day as times
    from decided.account_days as days
    inner join asked using (account_id)
    asof left join detectors.payout_instants as paid
        on days.account_id = paid.account_id and days.opened_at >= paid.paid_at
    where days.closed_profit > 0
),

elsewhere as (
    select
        asked.account_id,
        count(*) filter (
            where days.closed_profit >= asked.share * others.initial_balance
            and days.closed_profit < asked.share * others.initial_balance * getvariable('payout_gaming_thin_times')
        ) as other_thin_days,
        count(*) as other_near_days
    from asked
    inner join detectors.allowances as others using (trader_id)
    inner join decided.account_days as days on others.account_id = days.account_id
    where
        coalesce(others.profitable_day, 0) = 0
        and days.closed_profit >= asked.share * others.initial_balance / getvariable('payout_gaming_thin_times')
        and days.closed_profit < asked.share * others.initial_balance * pow(getvariable('payout_gaming_thin_times'), 2)
    group by asked.account_id
),

by_cycle as (
    select
        account_id,
        cycle,
        count(*) filter (where times >= 1) as counting_days,
        count(*) filter (where times >= 1 and times < getvariable('payout_gaming_thin_times')) as thin_days,
        count(*) filter (
            where times >= 1 / getvariable('payout_gaming_thin_times') and times < pow(getvariable('payout_gaming_thin_times'), 2)
        ) as near_days,
        min(opened_at) filter (where times >= 1 and times < getvariable('payout_gaming_thin_times')) as first_thin_at,
        max(opened_at) filter (where times >= 1 and times < getvariable('payout_gaming_thin_times'))
        + interval 1 day as last_thin_at
    from won
    group by account_id, cycle
)

select
    by_cycle.*,
    asked.profitable_day,
    coalesce(elsewhere.other_thin_days, 0) as other_thin_days,
    coalesce(elsewhere.other_near_days, 0) as other_near_days
from by_cycle
inner join asked using (account_id)
left join elsewhere using (account_id)
where by_cycle.near_days > 0
