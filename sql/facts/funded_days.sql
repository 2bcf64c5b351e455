-- Funded accounts that lived at the end of each firm day of which something is told and whenever else their profit changed:
-- the profit still to be shared then, as `facts.profits_now` has it, what was open beside it, and whether they traded on the
-- day. Grain: account_id, stands_at.
with funded as (
    select
        account_id,
        desk_id,
        cast(initial_balance as double) as initial,
        case when status not in ('active', 'paused') then status_at end as ended_at
    from decided.account_status
    where stage in ('funded', 'instant')
),

day_ends as (
    select
        days.account_id,
        timezone('UTC', cast(days.firm_day as timestamp)) + interval 1 day as stands_at,
        days.close_balance - funded.initial as gained,
        days.close_equity - days.close_balance as open_profit,
        days.trades > 0 or days.closed_profit <> 0 as is_traded
    from decided.account_days as days
    inner join funded using (account_id)
),

-- few accounts have anything set aside, and only theirs are put together
put_together as (
    select
        account_id,
        stands_at,
        any_value(gained) as gained,
        any_value(open_profit) as open_profit,
        coalesce(bool_or(is_traded), false) as is_traded,
        sum(amount) as set_aside
    from (
        select *, 0 as amount from day_ends semi join facts.set_aside using (account_id)
        union all by name
        select account_id, since as stands_at, amount from facts.set_aside
    )
    group by account_id, stands_at
),

told as (
    select account_id, stands_at, gained as profit, open_profit, is_traded
    from day_ends
    anti join facts.set_aside using (account_id)
    union all by name
    select
        account_id,
        stands_at,
        coalesce(last_value(gained ignore nulls) over until_then, 0) - sum(set_aside) over until_then as profit,
        open_profit,
        is_traded
    from put_together
    window until_then as (partition by account_id order by stands_at)
)

select
    told.account_id,
    funded.desk_id,
    told.stands_at,
    told.profit,
    told.open_profit,
    told.is_traded
from told
inner join funded using (account_id)
where funded.ended_at is null or funded.ended_at > told.stands_at
