-- How much of each cohort still runs, so may yet move on. Grain: desk_id, product, cohort_month.
select
    desk_id,
    product,
    cohort_month,
    count(*) as challenges,
    count(*) filter (where running) as running,
    count(*) filter (where running) / count(*) as running_share
from marts.cohort_challenges
group by desk_id, product, cohort_month
