-- Days on which a trader was in two countries within a time too short for travel, and how often one day was in one country and
-- the next in another, each at a machine that stays in its country: a machine that is seen in both has travelled, or hides where
-- it is. One machine at one address is where a robot runs. Grain: trader_id.
with several as (
    select trader_id
    from detectors.own_sign_ins
    where device_id is not null
    group by trader_id
    having min(country) < max(country) and min(device_id) < max(device_id)
),

theirs as (
    select *
    from detectors.own_sign_ins
    semi join several using (trader_id)
    where device_id is not null
),

machines as (
    select
        trader_id,
        device_id,
        arg_max(country, sign_ins) as country,
        sum(sign_ins) as sign_ins,
        max(sign_ins) as there,
        min(first_ip) < max(last_ip) as has_moved
    from (
        select trader_id, device_id, country, count(*) as sign_ins, min(ip) as first_ip, max(ip) as last_ip
        from theirs
        group by trader_id, device_id, country
    )
    group by trader_id, device_id
),

robots as (
    select accounts.trader_id, sum(manners.by_robot) >= 0.5 * sum(manners.positions) as by_robot
    from detectors.manners as manners
    inner join facts.accounts as accounts using (account_id)
    group by accounts.trader_id
),

hands as (
    select sign_ins.*
    from theirs as sign_ins
    inner join machines using (trader_id, device_id, country)
    left join robots using (trader_id)
    where
        machines.there >= getvariable('kyc_mismatch_of_one_place') * machines.sign_ins
        and not (coalesce(robots.by_robot, false) and not machines.has_moved)
),

met as (
    select one.trader_id, count(distinct one.day) as conflict_days, min(one.day) as first_day, max(one.day) as last_day
    from hands as one
    inner join hands as other
        on
            one.trader_id = other.trader_id
            and one.day = other.day
            and one.country < other.country
            and one.device_id <> other.device_id
            and abs(epoch(one.occurred_at) - epoch(other.occurred_at)) <= getvariable('kyc_mismatch_apart_s')
    group by one.trader_id
),

next_days as (
    select trader_id, day, country, lead(country) over later as next_country, lead(day) over later as next_day
    from (
        select trader_id, day, any_value(country) as country
        from hands
        group by trader_id, day
        having min(country) = max(country)
    )
    window later as (partition by trader_id order by day)
),

turned as (
    select
        trader_id,
        count(*) filter (where country <> next_country) as turns,
        count(*) as steps,
        min(day) filter (where country <> next_country) as first_day,
        max(next_day) filter (where country <> next_country) as last_day
    from next_days
    where next_day - day <= getvariable('kyc_mismatch_turn_days')
    group by trader_id
)

select
    trader_id,
    coalesce(met.conflict_days, 0) as conflict_days,
    coalesce(turned.turns, 0) as turns,
    coalesce(turned.steps, 0) as steps,
    least(met.first_day, turned.first_day) as first_day,
    greatest(met.last_day, turned.last_day) as last_day
from met
full join turned using (trader_id)
where met.trader_id is not null or turned.turns > 0
