-- How far each month's purchases of a desk got, all of them and cut by one thing. Grain: desk_id, cut_by, cut, cohort_month,
-- counted. `cut_by` is what the purchases were cut by, empty where they are not, and `cut` its value. `counted` is
-- challenges, or people: who reached a stage with any purchase counts once, in the days of the quickest. What reaching
-- means and which money counts is said in marts.cohort_challenges; fees_squared, payouts_squared and fees_payouts are sums
-- over people, from which the interval of the payout ratio is told.
with purchases as (
    select
        desk_id,
        cohort_month,
        person,
        coalesce(running, false) as running,
        fees,
        payouts,
        unknown_amounts,
        evaluation_1_days,
        evaluation_2_days,
        evaluation_3_days,
        passed_days,
        instant_days,
        funded_days,
        payout_days,
        unnest([
            {'cut_by': '', 'cut': ''},
            {'cut_by': 'product', 'cut': product},
            {'cut_by': 'size_name', 'cut': size_name},
            {'cut_by': 'channel', 'cut': channel},
            {'cut_by': 'country', 'cut': country}
        ], recursive := true)
    from marts.cohort_challenges
),

people as (
    select
        desk_id,
        cut_by,
        cut,
        cohort_month,
        person,
        bool_or(running) as running,
        sum(fees) as fees,
        sum(payouts) as payouts,
        count(*) filter (where unknown_amounts > 0) as unknown,
        min(evaluation_1_days) as evaluation_1_days,
        min(evaluation_2_days) as evaluation_2_days,
        min(evaluation_3_days) as evaluation_3_days,
        min(passed_days) as passed_days,
        min(instant_days) as instant_days,
        min(funded_days) as funded_days,
        min(payout_days) as payout_days
    from purchases
    where cut is not null
    group by desk_id, cut_by, cut, cohort_month, person
),

counted as (
    select
        'challenges' as counted,
        * exclude (person, unknown_amounts),
        cast(unknown_amounts > 0 as integer) as unknown
    from purchases
    where cut is not null
    union all by name
    select 'people' as counted, * exclude (person) from people
),

money as (
    select
        desk_id,
        cut_by,
        cut,
        cohort_month,
        count(*) as people,
        sum(coalesce(fees, 0) ** 2) as fees_squared,
        sum(coalesce(payouts, 0) ** 2) as payouts_squared,
        sum(coalesce(fees, 0) * coalesce(payouts, 0)) as fees_payouts
    from people
    group by desk_id, cut_by, cut, cohort_month
)

select
    desk_id,
    cut_by,
    cut,
    cohort_month,
    counted,
    count(*) as accounts,
    avg(cast(running as double)) as running,
    sum(fees) as fees,
    coalesce(sum(payouts), 0) as payouts,
    cast(coalesce(sum(unknown), 0) as bigint) as unknown,
    any_value(money.people) as people,
    any_value(money.fees_squared) as fees_squared,
    any_value(money.payouts_squared) as payouts_squared,
    any_value(money.fees_payouts) as fees_payouts,
    count(evaluation_1_days) as evaluation_1,
    median(evaluation_1_days) as evaluation_1_days,
    count(evaluation_2_days) as evaluation_2,
    median(evaluation_2_days) as evaluation_2_days,
    count(evaluation_3_days) as evaluation_3,
    median(evaluation_3_days) as evaluation_3_days,
    count(passed_days) as passed,
    median(passed_days) as passed_days,
    count(instant_days) as instant,
    median(instant_days) as instant_days,
    count(funded_days) as funded,
    median(funded_days) as funded_days,
    count(payout_days) as payout,
    median(payout_days) as payout_days
from counted
inner join money using (desk_id, cut_by, cut, cohort_month)
group by desk_id, cut_by, cut, cohort_month, counted
