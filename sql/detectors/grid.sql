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
        max(layers.opened_at) as last_at
    from detectors.layers as layers
    left join usual using (account_id, instrument)
    group by layers.account_id, layers.instrument, layers.side, layers.basket
    having count(*) > 1
)

select
    account_id,
    count(*) as baskets,
    max(layers) as layers_max,
    count(*) filter (where layers >= getvariable('grid_layers_min')) as deep_baskets,
    sum(steps) as steps,
    sum(against) as against,
    sum(unevenness) / nullif(sum(uneven_steps), 0) as unevenness,
    avg(cast(closed_together as double)) as closed_together,
    min(first_at) as first_at,
    max(last_at) as last_at
from baskets
group by account_id
