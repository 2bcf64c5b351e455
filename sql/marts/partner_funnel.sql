-- How far a partner's challenges got so far beside all of the firm's, with Wilson intervals. Grain: desk_id,
-- partner_id, stage; desk `all` is the firm.
-- A person's challenges are alike, so they say less than as many of strangers: the interval is that of so many
-- independent challenges as vary from person to person as these do (Kish's design effect, Student's t for few people).
with reached as (
    select
        challenge_id,
        person,
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

people as (
    select
        desk_id,
        partner_id,
        told.stage as stage,
        person,
        any_value(told.place) as place,
        count(*) as challenges,
        count(*) filter (where told.reached) as reached
    from (
        select unnest(['all', reached.sold_at]) as desk_id, credits.partner_id, reached.person, reached.told
        from decided.credits as credits
        inner join reached using (challenge_id)
    )
    group by desk_id, partner_id, told.stage, person
),

mine as (
    select
        desk_id,
        partner_id,
        stage,
        any_value(place) as place,
        cast(sum(challenges) as bigint) as challenges,
        cast(sum(reached) as bigint) as reached,
        sum(reached) / sum(challenges) as rate,
        count(*) as people
    from people
    group by desk_id, partner_id, stage
),

apart as (
    select desk_id, partner_id, stage, sum((people.reached - mine.rate * people.challenges) ^ 2) as squares
    from people
    inner join mine using (desk_id, partner_id, stage)
    group by desk_id, partner_id, stage
),

-- how much more the rate varies than that of as many strangers would
effects as (
    select
        mine.*,
        limits.quantile,
        limits.quantile + (limits.quantile ^ 3 + limits.quantile) / (4 * nullif(mine.people - 1, 0)) as student,
        case
            when mine.challenges = mine.people then 1
            when mine.people = 1 or mine.reached in (0, mine.challenges) then mine.challenges / mine.people
            else apart.squares * mine.people / (mine.people - 1) / (mine.challenges * mine.rate * (1 - mine.rate))
        end as effect
    from mine
    inner join apart using (desk_id, partner_id, stage)
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
