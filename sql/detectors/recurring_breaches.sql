-- Breaches of each trader in a row: bought, breached, bought again. Grain: trader_id.
-- Challenges that ran side by side are one trial: a challenge counts when none was breached between its purchase and its end.
with breached as (
    select *
    from detectors.purchases
    where breached_at is not null
),

links as (
    select *
    from breached as one
    where not exists (
        select 1
        from breached as other
        where
            other.trader_id = one.trader_id
            and other.challenge_id <> one.challenge_id
            and other.purchased_at >= one.purchased_at
            and (other.breached_at, other.challenge_id) < (one.breached_at, one.challenge_id)
    )
),

in_a_row as (
    select
        *,
        lag(breached_at) over (partition by trader_id order by breached_at, challenge_id) as earlier_breached_at
    from links
),

counted as (
    select *
    from in_a_row
    where earlier_breached_at is null or purchased_at >= earlier_breached_at
),

-- how soon after each breach the next challenge was bought, also one that still runs; a day and sooner is at once
came_back as (
    select
        counted.trader_id,
        counted.breached_at,
        epoch(min(purchases.purchased_at) - counted.breached_at) / 86400 as days
    from counted
    inner join detectors.purchases as purchases
        on counted.trader_id = purchases.trader_id and counted.breached_at <= purchases.purchased_at
    group by counted.trader_id, counted.breached_at
),

returns as (
    select
        trader_id,
        count(*) as returns,
        median(days) as days_to_return,
        exp(avg(ln(greatest(least(days, getvariable('recurring_breaches_late_days')), getvariable('recurring_breaches_soon_days')))))
            as days_to_each_return
    from came_back
    group by trader_id
),

totals as (
    select trader_id, count(*) as breaches
    from breached
    group by trader_id
),

in_rings as (
    select distinct accounts.trader_id
    from decided.copy_rings as rings
    inner join facts.accounts as accounts using (account_id)
    where rings.kind = 'ring'
)

select
    counted.trader_id,
    count(*) as in_a_row,
    any_value(totals.breaches) as breaches,
    median(epoch(counted.breached_at - counted.purchased_at) / 86400) as days_to_breach,
    any_value(returns.returns) as returns,
    any_value(returns.days_to_return) as days_to_return,
    any_value(returns.days_to_each_return) as days_to_each_return,
    epoch(max(counted.breached_at) - min(counted.purchased_at)) / 86400 as span_days,
    any_value(in_rings.trader_id) is not null as is_in_ring,
    min(counted.breached_at) as first_at,
    max(counted.breached_at) as last_at
from counted
inner join totals using (trader_id)
left join returns using (trader_id)
left join in_rings using (trader_id)
group by counted.trader_id
having count(*) > 1
