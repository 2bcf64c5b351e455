-- Fees and payouts of each cohort by the months since purchase, cumulated. Grain: desk_id, product, cohort_month, age_months.
-- `complete` is false while the youngest challenge of the cohort has not reached that age.
with challenges as (
    select
        challenges.challenge_id,
        challenges.desk_id,
        challenges.product,
        challenges.purchased_at,
        strftime(timezone(coalesce(desks.time_zone, 'UTC'), challenges.purchased_at), '%Y-%m') as cohort_month
    from staging.challenges as challenges
    left join staging.desks as desks using (desk_id)
),

cohorts as (
    select desk_id, product, cohort_month, max(purchased_at) as youngest, min(purchased_at) as oldest
    from challenges
    group by desk_id, product, cohort_month
),

ages as (
    select
        cohorts.*,
        unnest(range(0, cast(date_diff('day', oldest, getvariable('as_of')) // 30 as bigint) + 1)) as age_months
    from cohorts
),

moved as (
    select
        challenges.desk_id,
        challenges.product,
        challenges.cohort_month,
        date_diff('day', challenges.purchased_at, money.happened_at) // 30 as age_months,
        sum(money.fee) as fees,
        sum(money.payout) as payouts
    from marts.challenge_money as money
    inner join challenges using (challenge_id)
    group by all
),

cumulated as (
    select
        ages.desk_id,
        ages.product,
        ages.cohort_month,
        cast(ages.age_months as integer) as age_months,
        sum(moved.fees) over growing as fees,
        coalesce(sum(moved.payouts) over growing, 0) as payouts,
        date_diff('day', ages.youngest, getvariable('as_of')) // 30 > ages.age_months as complete
    from ages
    left join moved using (desk_id, product, cohort_month, age_months)
    window growing as (
        partition by ages.desk_id, ages.product, ages.cohort_month
        order by ages.age_months
        rows between unbounded preceding and current row
    )
)

select *, payouts / nullif(fees, 0) as payout_ratio
from cumulated
