-- The usual size of what an account put at stake, and its usual chance (size times the root of the holding time): means in
-- logarithms in which each position counts by its size or chance, so that positions opened for their number leave them where
-- they are. Grain: account_id.
with held as (
    select
        account_id,
        nullif(size, 0) as size,
        size * sqrt(greatest(coalesce(hold_s, epoch(getvariable('as_of') - opened_at)), 1)) as chance
    from detectors.positions
)

select
    account_id,
    exp(sum(size * ln(size)) / sum(size)) as real_size,
    exp(sum(chance * ln(chance)) / sum(chance)) as real_chance
from held
where size > 0
group by account_id
