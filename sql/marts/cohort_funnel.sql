-- How far each month's purchases of a desk got, all of them and cut by one thing. Grain: desk_id, cut_by, cut, cohort_month,
-- counted. `cut_by` is what the purchases were cut by, empty where they are not, and `cut` its value. `counted` is
-- challenges, or people: who reached a stage with any purchase counts once, in the days of the quickest. What reaching
-- means and which money counts is said in marts.cohort_challenges; fees_squared, payouts_squared and fees_payouts are sums
-- over people, from which the interval of the payout ratio is told.
with challenges as (
    select
        desk_id,
        case
            when grouping(product) = 0 then 'product'
            when grouping(size_name) = 0 then 'size_name'
            when grouping(channel) = 0 then 'channel'
            when grouping(country) = 0 then 'country'
            else ''
        end as cut_by,
        case
            when grouping(product) = 0 then product
            when grouping(size_name) = 0 then size_name
            when grouping(channel) = 0 then channel
            when grouping(country) = 0 then country
            else ''
        end as cut,
        cohort_month,
        'challenges' as counted,
        count(*) as accounts,
        avg(cast(coalesce(running, false) as double)) as running,
        sum(fees) as fees,
        coalesce(sum(payouts), 0) as payouts,
        count(*) filter (where unknown_amounts > 0) as unknown,
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
    from marts.cohort_challenges
    group by grouping sets (
        (desk_id, cohort_month),
        (desk_id, cohort_month, product),
        (desk_id, cohort_month, size_name),
        (desk_id, cohort_month, channel),
        (desk_id, cohort_month, country)
    )
    having cut is not null
),

by_person as (
    select
        desk_id,
        case
            when grouping(product) = 0 then 'product'
            when grouping(size_name) = 0 then 'size_name'
            when grouping(channel) = 0 then 'channel'
            when grouping(country) = 0 then 'country'
            else ''
        end as cut_by,
        case
            when grouping(product) = 0 then product
            when grouping(size_name) = 0 then size_name
            when grouping(channel) = 0 then channel
            when grouping(country) = 0 then country
            else ''
        end as cut,
        cohort_month,
        bool_or(coalesce(running, false)) as running,
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
    from marts.cohort_challenges
    group by grouping sets (
        (desk_id, cohort_month, person),
        (desk_id, cohort_month, product, person),
        (desk_id, cohort_month, size_name, person),
        (desk_id, cohort_month, channel, person),
        (desk_id, cohort_month, country, person)
    )
    having cut is not null
),

people as (
    select
        desk_id,
        cut_by,
        cut,
        cohort_month,
        'people' as counted,
        count(*) as accounts,
        avg(cast(running as double)) as running,
        sum(fees) as fees,
        coalesce(sum(payouts), 0) as payouts,
        cast(coalesce(sum(unknown), 0) as bigint) as unknown,
        sum(coalesce(fees, 0) ** 2) as fees_squared,
        sum(coalesce(payouts, 0) ** 2) as payouts_squared,
        sum(coalesce(fees, 0) * coalesce(payouts, 0)) as fees_payouts,
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
    from by_person
    group by desk_id, cut_by, cut, cohort_month
)

select
    told.desk_id,
    told.cut_by,
    told.cut,
    told.cohort_month,
    told.counted,
    told.accounts,
    told.running,
    told.fees,
    told.payouts,
    told.unknown,
    people.accounts as people,
    people.fees_squared,
    people.payouts_squared,
    people.fees_payouts,
    told.evaluation_1,
    told.evaluation_1_days,
    told.evaluation_2,
    told.evaluation_2_days,
    told.evaluation_3,
    told.evaluation_3_days,
    told.passed,
    told.passed_days,
    told.instant,
    told.instant_days,
    told.funded,
    told.funded_days,
    told.payout,
    told.payout_days
from (
    select * from challenges
    union all by name
    select * exclude (fees_squared, payouts_squared, fees_payouts) from people
) as told
inner join people using (desk_id, cut_by, cut, cohort_month)
