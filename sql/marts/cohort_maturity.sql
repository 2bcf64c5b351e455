-- How much of each cohort still runs, so may yet move on. Grain: desk_id, product, cohort_month.
with running as (
    select accounts.challenge_id
    from decided.account_status as status
    inner join staging.accounts as accounts using (account_id)
    where status.status in ('active', 'paused')
    group by accounts.challenge_id
)

select
    challenges.desk_id,
    challenges.product,
    strftime(timezone(coalesce(desks.time_zone, 'UTC'), challenges.purchased_at), '%Y-%m') as cohort_month,
    count(*) as challenges,
    count(running.challenge_id) as running,
    count(running.challenge_id) / count(*) as running_share
from staging.challenges as challenges
left join staging.desks as desks on challenges.desk_id = desks.desk_id
left join running on challenges.challenge_id = running.challenge_id
group by all
