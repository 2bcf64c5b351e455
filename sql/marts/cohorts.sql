-- The funnel by desk, product and month of purchase (in the desk's zone). Grain: desk_id, product, cohort_month, stage.
-- Accounts are the challenges bought, reached those of them that got to the stage so far, median_days the days that these
-- took. A stage that any month of the desk's product reached has a row in every month, with none where it is none. What
-- reaching means and which money counts is said in marts.cohort_challenges.
with sizes as (
    select
        desk_id,
        product,
        cohort_month,
        cast(count(*) as integer) as accounts,
        sum(fees) as fees,
        coalesce(sum(payouts), 0) as payouts,
        [
            {'stage': 'purchase', 'reached': count(*), 'median_days': 0.0},
            {
                'stage': 'evaluation_1',
                'reached': count(evaluation_1_days),
                'median_days': median(evaluation_1_days)
            },
            {
                'stage': 'evaluation_2',
                'reached': count(evaluation_2_days),
                'median_days': median(evaluation_2_days)
            },
            {
                'stage': 'evaluation_3',
                'reached': count(evaluation_3_days),
                'median_days': median(evaluation_3_days)
            },
            {'stage': 'passed', 'reached': count(passed_days), 'median_days': median(passed_days)},
            {'stage': 'instant', 'reached': count(instant_days), 'median_days': median(instant_days)},
            {'stage': 'funded', 'reached': count(funded_days), 'median_days': median(funded_days)},
            {'stage': 'payout', 'reached': count(payout_days), 'median_days': median(payout_days)}
        ] as stages
    from marts.cohort_challenges
    group by desk_id, product, cohort_month
),

stages as (
    select *, max(stage.reached) over (partition by desk_id, product, stage.stage) as reached_ever
    from (select * exclude (stages), unnest(stages) as stage from sizes)
)

select
    desk_id,
    product,
    cohort_month,
    stage.stage as stage,
    accounts,
    cast(stage.reached as integer) as reached,
    stage.median_days as median_days,
    fees,
    payouts,
    case when fees > 0 then payouts / fees end as payout_ratio
from stages
where reached_ever > 0
