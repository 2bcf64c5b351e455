-- The funnel by desk, product and month of purchase (in the desk's zone). Grain: desk_id, product, cohort_month, stage.
-- Accounts are the challenges bought, reached those of them that got to the stage so far, median_days the days that these
-- took. A stage that any month of the desk's product reached has a row in every month, with none where it is none. What
-- reaching means and which money counts is said in marts.cohort_challenges.
with days as (
    select
        desk_id,
        product,
        cohort_month,
        unnest([
            {'stage': 'purchase', 'days': 0.0},
            {'stage': 'evaluation_1', 'days': evaluation_1_days},
            {'stage': 'evaluation_2', 'days': evaluation_2_days},
            {'stage': 'evaluation_3', 'days': evaluation_3_days},
            {'stage': 'passed', 'days': passed_days},
            {'stage': 'instant', 'days': instant_days},
            {'stage': 'funded', 'days': funded_days},
            {'stage': 'payout', 'days': payout_days}
        ]) as reached
    from marts.cohort_challenges
),

sizes as (
    select
        desk_id,
        product,
        cohort_month,
        cast(count(*) as integer) as accounts,
        sum(fees) as fees,
        coalesce(sum(payouts), 0) as payouts
    from marts.cohort_challenges
    group by desk_id, product, cohort_month
),

known as (
    select distinct desk_id, product, reached.stage as stage
    from days
    where reached.days is not null
),

stages as (
    select
        desk_id,
        product,
        cohort_month,
        reached.stage as stage,
        cast(count(reached.days) as integer) as reached,
        median(reached.days) as median_days
    from days
    semi join known on days.desk_id = known.desk_id and days.product = known.product and days.reached.stage = known.stage
    group by desk_id, product, cohort_month, reached.stage
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
