-- How far a partner's challenges got so far beside all of the firm's, with Wilson intervals. Grain: desk_id,
-- partner_id, stage; desk `all` is the firm.
-- A person's challenges are alike, so they say less than as many of strangers: the interval is that of so many
-- independent challenges as vary from person to person as these do (Kish's design effect, Student's t for few people).
with reached as (
    select
        challenge_id,
        person,
        desk_id as sold_at,
        passed_days is not null as passed,
        funded_days is not null or instant_days is not null as funded,
        payout_days is not null as payout,
        breached_days is not null as breached,
        again_days is not null as bought_again
    from marts.cohort_challenges
),

firm as (
    select desk_id, unnest([
        {'stage': 'passed', 'firm_rate': passed},
        {'stage': 'funded', 'firm_rate': funded},
        {'stage': 'payout', 'firm_rate': payout},
        {'stage': 'breached', 'firm_rate': breached},
        {'stage': 'bought_again', 'firm_rate': bought_again}
    ], recursive := true)
    from (
        select
            if(grouping(sold_at) = 1, 'all', sold_at) as desk_id,
            count(*) filter (where passed) / count(*) as passed,
            count(*) filter (where funded) / count(*) as funded,
            count(*) filter (where payout) / count(*) as payout,
            count(*) filter (where breached) / count(*) as breached,
            count(*) filter (where bought_again) / count(*) as bought_again
        from reached
        group by grouping sets ((sold_at), ())
    )
),

people as (
    select
        desk_id,
        partner_id,
        person,
        count(*) as challenges,
        count(*) filter (where passed) as passed,
        count(*) filter (where funded) as funded,
        count(*) filter (where payout) as payout,
        count(*) filter (where breached) as breached,
        count(*) filter (where bought_again) as bought_again
    from (
        select unnest(['all', reached.sold_at]) as desk_id, credits.partner_id, reached.*
        from decided.credits as credits
        inner join reached using (challenge_id)
    )
    group by desk_id, partner_id, person
),

-- of each stage also the sums that tell how far people are apart
sums as (
    select
        desk_id,
        partner_id,
        count(*) as people,
        sum(challenges) as challenges,
        sum(challenges * challenges) as challenges_squares,
        sum(passed) as passed,
        sum(passed * passed) as passed_squares,
        sum(passed * challenges) as passed_shared,
        sum(funded) as funded,
        sum(funded * funded) as funded_squares,
        sum(funded * challenges) as funded_shared,
        sum(payout) as payout,
        sum(payout * payout) as payout_squares,
        sum(payout * challenges) as payout_shared,
        sum(breached) as breached,
        sum(breached * breached) as breached_squares,
        sum(breached * challenges) as breached_shared,
        sum(bought_again) as bought_again,
        sum(bought_again * bought_again) as bought_again_squares,
        sum(bought_again * challenges) as bought_again_shared
    from people
    group by desk_id, partner_id
),

mine as (
    select
        desk_id,
        partner_id,
        people,
        cast(challenges as bigint) as challenges,
        challenges_squares,
        unnest([
            {'place': 1, 'stage': 'passed', 'reached': passed, 'squares': passed_squares, 'shared': passed_shared},
            {'place': 2, 'stage': 'funded', 'reached': funded, 'squares': funded_squares, 'shared': funded_shared},
            {'place': 3, 'stage': 'payout', 'reached': payout, 'squares': payout_squares, 'shared': payout_shared},
            {'place': 4, 'stage': 'breached', 'reached': breached, 'squares': breached_squares, 'shared': breached_shared},
            {'place': 5, 'stage': 'bought_again', 'reached': bought_again, 'squares': bought_again_squares, 'shared': bought_again_shared}
        ], recursive := true)
    from sums
),

rates as (
    select * replace (cast(reached as bigint) as reached), reached / challenges as rate from mine
),

-- how much more the rate varies than that of as many strangers would
effects as (
    select
        rates.*,
        limits.quantile,
        limits.quantile + (limits.quantile ^ 3 + limits.quantile) / (4 * nullif(rates.people - 1, 0)) as student,
        case
            when rates.challenges = rates.people then 1
            when rates.people = 1 or rates.reached in (0, rates.challenges) then rates.challenges / rates.people
            else
                (rates.squares - 2 * rates.rate * rates.shared + rates.rate ^ 2 * rates.challenges_squares)
                * rates.people / (rates.people - 1) / (rates.challenges * rates.rate * (1 - rates.rate))
        end as effect
    from rates
    cross join marts.limits as limits
),

rated as (
    select
        *,
        quantile ^ 2 / challenges * case when effect > 1 then effect * coalesce(student / quantile, 1) ^ 2 else 1 end
            as spread
    from effects
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
