-- How each trader buys: how many evaluations run side by side, how soon they are burnt, at what stake, and how many were breached
-- one after the other. Instant accounts are bought like evaluations; what was passed to is not. Grain: trader_id.
with beside as (
    select
        one.trader_id,
        one.challenge_id,
        one.purchased_at,
        one.breached_at,
        one.days,
        one.positions,
        count(other.challenge_id) filter (
            where not other.is_funded and other.purchased_at <= one.purchased_at
            and (other.ended_at is null or other.ended_at > one.purchased_at)
        ) as side_by_side,
        count(other.challenge_id) filter (
            where other.purchased_at >= one.purchased_at
            and other.purchased_at < one.purchased_at + to_days(getvariable('challenge_farming_busy_days'))
        ) as bought_within,
        count(other.challenge_id) filter (
            where other.purchased_at >= one.breached_at
            and other.purchased_at < one.breached_at + to_hours(getvariable('challenge_farming_again_h'))
        ) as bought_again
    from detectors.purchases as one
    inner join detectors.purchases as other using (trader_id)
    group by one.trader_id, one.challenge_id, one.purchased_at, one.breached_at, one.days, one.positions
),

staked as (
    select trader_id, median(exp(log_stake) / allowance) as stake_share
    from detectors.all_in
    where phase <> 'on one idea'
    group by trader_id
)

select
    beside.trader_id,
    count(*) as challenges,
    count(*) filter (where beside.positions > 0 or beside.breached_at is not null) as traded,
    count(beside.breached_at) as breached,
    max(beside.side_by_side) as side_by_side,
    max(beside.bought_within) as busiest,
    count(*) filter (where beside.bought_again > 0) as again_at_once,
    median(beside.days) filter (where beside.breached_at is not null) as days_to_breach,
    any_value(staked.stake_share) as stake_share,
    any_value(in_a_row.in_a_row) as in_a_row,
    any_value(in_a_row.breaches) as row_breaches,
    any_value(in_a_row.days_to_breach) as row_days_to_breach,
    any_value(in_a_row.returns) as row_returns,
    any_value(in_a_row.days_to_each_return) as row_days_to_each_return,
    coalesce(any_value(in_a_row.is_in_ring), false) as row_is_in_ring,
    min(beside.purchased_at) as first_at,
    max(beside.purchased_at) as last_at
from beside
left join staked using (trader_id)
left join detectors.recurring_breaches as in_a_row using (trader_id)
group by beside.trader_id
having count(*) > 1
