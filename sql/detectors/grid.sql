-- How each account adds to what it holds: layers, whether against itself, how evenly, whether closed at once.
-- Grain: account_id.
with usual as (
    select account_id, instrument, median(abs(step)) as step
    from detectors.layers
    where step <> 0
    group by account_id, instrument
),

baskets as (
    select
        layers.account_id,
        layers.instrument,
        layers.side,
        layers.basket,
        count(*) as layers,
        count(layers.step) as steps,
        count(*) filter (where layers.step >= 0) as against,
        sum(abs(ln(abs(layers.step) / usual.step))) filter (where layers.step > 0) as unevenness,
        count(*) filter (where layers.step > 0) as uneven_steps,
        max(layers.closed_at) - min(layers.closed_at) <= to_seconds(getvariable('grid_together_s')) as closed_together,
        min(layers.opened_at) as first_at,
        max(layers.opened_at) as last_at,
        max(layers.closed_at) as ends_at
    from detectors.layers as layers
    left join usual using (account_id, instrument)
    group by layers.account_id, layers.instrument, layers.side, layers.basket
    having count(*) > 1
),

-- a grid that lies on both sides of the market is as deep as its two sides together
both_sides as (
    select
        one.account_id,
        one.instrument,
        one.side,
        one.basket,
        max(other.layers) as layers
    from baskets as one
    inner join baskets as other
        on
            one.account_id = other.account_id
            and one.instrument = other.instrument
            and one.side <> other.side
            and one.first_at < other.ends_at
            and other.first_at < one.ends_at
    where one.against = one.steps and other.against = other.steps
    group by one.account_id, one.instrument, one.side, one.basket
),

deep as (
    select baskets.*, baskets.layers + coalesce(both_sides.layers, 0) as layers_in_all
    from baskets
    left join both_sides using (account_id, instrument, side, basket)
)

select
    account_id,
    count(*) as baskets,
    max(layers_in_all) as layers_max,
    count(*) filter (where layers_in_all >= getvariable('grid_layers_min')) as deep_baskets,
    sum(steps) as steps,
    sum(against) as against,
    sum(unevenness) / nullif(sum(uneven_steps), 0) as unevenness,
    avg(cast(closed_together as double)) as closed_together,
    min(first_at) as first_at,
    max(last_at) as last_at
from deep
group by account_id
