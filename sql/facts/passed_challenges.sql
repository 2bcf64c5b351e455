-- Challenges that have passed every evaluation stage of the version they bought, and when. Grain: challenge_id.
with evaluations as (
    select product, product_version, count(*) as stages
    from terms.stages
    where stage like 'evaluation%'
    group by product, product_version
)

select accounts.challenge_id, max(status.status_at) as passed_at
from decided.account_status as status
inner join staging.accounts as accounts using (account_id)
inner join evaluations
    on status.product = evaluations.product and status.product_version = evaluations.product_version
where status.status = 'passed' and status.stage like 'evaluation%'
group by accounts.challenge_id
having count(distinct status.stage) = any_value(evaluations.stages)
