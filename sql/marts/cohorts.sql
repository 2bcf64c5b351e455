-- The funnel by desk, product and month of purchase (in the desk's zone). Grain: desk_id, product, cohort_month, stage.
-- A challenge has reached a stage when it has an account of it, `passed` when each of its evaluation stages is passed,
-- `payout` when a transfer to it was settled. Money is in the desk's currency at the rate of its day.
with challenges as (
    select
        challenges.challenge_id,
        challenges.desk_id,
        challenges.product,
        strftime(timezone(coalesce(desks.time_zone, 'UTC'), challenges.purchased_at), '%Y-%m') as cohort_month,
        challenges.purchased_at
    from staging.challenges as challenges
    left join staging.desks as desks using (desk_id)
),

opened as (
    select challenge_id, stage, min(opened_at) as reached_at
    from staging.accounts
    group by challenge_id, stage
),

money as (
    select challenge_id, sum(fee) as fees, sum(payout) as payouts, min(happened_at) filter (where payout is not null) as paid_at
    from marts.challenge_money
    group by challenge_id
),

reached as (
    select challenge_id, 'purchase' as stage, purchased_at as reached_at from challenges
    union all
    select challenge_id, stage, reached_at from opened
    union all
    select challenge_id, 'passed', passed_at from facts.passed_challenges
    union all
    select challenge_id, 'payout', paid_at from money where paid_at is not null
),

sizes as (
    select
        challenges.desk_id,
        challenges.product,
        challenges.cohort_month,
        cast(count(*) as integer) as accounts,
        sum(money.fees) as fees,
        coalesce(sum(money.payouts), 0) as payouts
    from challenges
    left join money using (challenge_id)
    group by challenges.desk_id, challenges.product, challenges.cohort_month
),

stages as (
    select
        challenges.desk_id,
        challenges.product,
        challenges.cohort_month,
        reached.stage,
        cast(count(*) as integer) as reached,
        median(date_diff('second', challenges.purchased_at, reached.reached_at) / 86400.0) as median_days
    from reached
    inner join challenges using (challenge_id)
    group by challenges.desk_id, challenges.product, challenges.cohort_month, reached.stage
)

select
    stages.desk_id,
    stages.product,
    stages.cohort_month,
    stages.stage,
    sizes.accounts,
    stages.reached,
    stages.median_days,
    sizes.fees,
    sizes.payouts,
    sizes.payouts / nullif(sizes.fees, 0) as payout_ratio
from stages
inner join sizes using (desk_id, product, cohort_month)
