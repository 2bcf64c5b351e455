-- Funded accounts at the end of each firm day that they outlived: what stood in them, and what had been paid from them. Grain: account_id,
-- day. Amounts as shares of the initial balance; `next_paid` is what was settled within the horizon after the day, unknown
-- until the horizon has passed.
with days as (
    select
        accounts.account_id,
        accounts.desk_id,
        accounts.opened_at,
        days.firm_day,
        timezone('UTC', cast(days.firm_day as timestamp)) + interval 1 day as stands_at,
        cast(accounts.initial_balance as double) as initial,
        days.close_balance,
        days.close_equity,
        split.percent / 100 as split,
        coalesce(payout.first_after_days, 0) as first_after_days,
        coalesce(payout.cycle_days, 0) as cycle_days,
        coalesce(payout.minimum, 0) as minimum,
        days.firm_day - lag(days.firm_day) over by_day as days_since_last
    from decided.account_days as days
    inner join facts.accounts as accounts using (account_id)
    left join terms.split as split
        on
            accounts.product = split.product
            and accounts.product_version = split.product_version
            and accounts.stage = split.stage
    left join terms.payout as payout
        on
            accounts.product = payout.product
            and accounts.product_version = payout.product_version
            and accounts.stage = payout.stage
    inner join decided.account_status as status on days.account_id = status.account_id
    where
        accounts.stage in ('funded', 'instant')
        and accounts.initial_balance > 0
        and (
            status.status in ('active', 'paused')
            or status.status_at > timezone('UTC', cast(days.firm_day as timestamp)) + interval 1 day
        )
    window by_day as (partition by accounts.account_id order by days.firm_day)
),

paid as (
    select account_id, settled_at, cast(amount as double) as amount
    from facts.transfers
    where status = 'settled' and currency = account_currency
),

asked as (
    select account_id, requested_at, cast(amount as double) as amount from staging.payouts
)

select
    days.account_id,
    days.desk_id,
    days.firm_day,
    days.stands_at,
    date_diff('day', days.opened_at, days.stands_at) as age_days,
    days.initial,
    days.split,
    (days.close_balance - days.initial) / days.initial as profit_share,
    (days.close_equity - days.close_balance) / days.initial as open_share,
    coalesce((select count(*) from paid where paid.account_id = days.account_id and paid.settled_at <= days.stands_at), 0)
        as paid_before,
    coalesce(
        (
            select sum(asked.amount) from asked
            where
                asked.account_id = days.account_id
                and asked.requested_at <= days.stands_at
                and asked.requested_at > days.stands_at - to_days(cast(getvariable('liability_waiting_days') as integer))
                and not exists (
                    select 1 from paid where paid.account_id = asked.account_id
                    and paid.settled_at <= days.stands_at and paid.settled_at > asked.requested_at
                )
        ), 0
    ) / days.initial as waiting_share,
    case
        when
            days.stands_at + to_days(cast(getvariable('liability_horizon_days') as integer)) <= getvariable('as_of')
            then
                coalesce(
                    (
                        select sum(paid.amount) from paid
                        where
                            paid.account_id = days.account_id
                            and paid.settled_at > days.stands_at
                            and paid.settled_at
                            <= days.stands_at + to_days(cast(getvariable('liability_horizon_days') as integer))
                    ), 0
                ) / days.initial
    end as next_paid
from days
