-- How far a partner's challenges got so far beside all of the firm's, with Wilson intervals. Grain: desk_id,
-- partner_id, stage; desk `all` is the firm.
with reached as (
    select
        challenge_id,
        desk_id as sold_at,
        unnest([
            {'place': 1, 'stage': 'passed', 'reached': passed_days is not null},
            {'place': 2, 'stage': 'funded', 'reached': funded_days is not null or instant_days is not null},
            {'place': 3, 'stage': 'payout', 'reached': payout_days is not null},
            {'place': 4, 'stage': 'breached', 'reached': breached_days is not null},
            {'place': 5, 'stage': 'bought_again', 'reached': again_days is not null}
        ]) as told
    from marts.cohort_challenges
),

firm as (
    select desk_id, stage, count(*) filter (where told) / count(*) as firm_rate
    from (select unnest(['all', sold_at]) as desk_id, told.stage as stage, told.reached as told from reached)
    group by desk_id, stage
),

mine as (
    select
        desk_id,
        partner_id,
        told.stage as stage,
        any_value(told.place) as place,
        count(*) as challenges,
        count(*) filter (where told.reached) as reached
    from (
        select unnest(['all', reached.sold_at]) as desk_id, credits.partner_id, reached.told
        from decided.credits as credits
        inner join reached using (challenge_id)
    )
    group by desk_id, partner_id, told.stage
),

rated as (
    select mine.*, mine.reached / mine.challenges as rate, limits.quantile ^ 2 / mine.challenges as spread, limits.quantile
    from mine
    cross join marts.limits as limits
)

select
    rated.desk_id,
    rated.partner_id,
    rated.stage,
    rated.place,
    rated.challenges,
    rated.reached,
    rated.rate,
    greatest(
        (rated.rate + rated.spread / 2 - sqrt(rated.spread * rated.rate * (1 - rated.rate) + rated.spread ^ 2 / 4))
        / (1 + rated.spread), 0
    ) as rate_low,
    least(
        (rated.rate + rated.spread / 2 + sqrt(rated.spread * rated.rate * (1 - rated.rate) + rated.spread ^ 2 / 4))
        / (1 + rated.spread), 1
    ) as rate_high,
    firm.firm_rate
from rated
inner join firm using (desk_id, stage)
