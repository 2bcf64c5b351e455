-- How each trader buys, over all records that are one owner's (`records` bought): how many evaluations run side by side, how soon
-- they are burnt, at what stake, and how many of the trader's own were breached one after the other. Instant accounts are bought like
-- evaluations; what was passed to is not. Grain: trader_id.
with beside as (
    select
        one.owner,
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
    from detectors.bought as one
    inner join detectors.bought as other using (owner)
    group by one.owner, one.trader_id, one.challenge_id, one.purchased_at, one.breached_at, one.days, one.positions
),

traders as (
    select distinct trader_id, owner
    from detectors.bought
),

staked as (
    select traders.owner, median(exp(all_in.log_stake) / all_in.allowance) as stake_share
    from detectors.all_in as all_in
    inner join traders using (trader_id)
    where all_in.phase <> 'on one idea'
    group by traders.owner
),

farmed as (
    select
        beside.owner,
        count(distinct beside.trader_id) as records,
        count(*) as challenges,
        count(*) filter (where beside.positions > 0 or beside.breached_at is not null) as traded,
        count(beside.breached_at) as breached,
        max(beside.side_by_side) as side_by_side,
        max(beside.bought_within) as busiest,
        count(*) filter (where beside.bought_again > 0) as again_at_once,
        median(beside.days) filter (where beside.breached_at is not null) as days_to_breach,
        any_value(staked.stake_share) as stake_share,
        min(beside.purchased_at) as first_at,
        max(beside.purchased_at) as last_at
    from beside
    left join staked using (owner)
    group by beside.owner
    having count(*) > 1
)

select
    traders.trader_id,
    farmed.* exclude (owner, first_at, last_at),
    in_a_row.in_a_row,
    in_a_row.breaches as row_breaches,
    in_a_row.days_to_breach as row_days_to_breach,
    in_a_row.returns as row_returns,
    in_a_row.days_to_each_return as row_days_to_each_return,
    coalesce(in_a_row.is_in_ring, false) as row_is_in_ring,
    farmed.first_at,
    farmed.last_at
from traders
inner join farmed using (owner)
left join detectors.recurring_breaches as in_a_row using (trader_id)
