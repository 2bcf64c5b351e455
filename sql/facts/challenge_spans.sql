-- Days from purchase to each milestone, or to the run where it has not come yet; from breach to the next purchase for
-- `bought_again`. Grain: challenge_id, milestone.
with challenges as (
    select
        challenges.challenge_id,
        challenges.trader_id,
        challenges.desk_id,
        challenges.product,
        challenges.purchased_at,
        timezone(coalesce(desks.time_zone, 'UTC'), challenges.purchased_at) as bought_local,
        coalesce(desks.time_zone, 'UTC') as zone
    from staging.challenges as challenges
    left join staging.desks as desks using (desk_id)
),

breaches as (
    select accounts.challenge_id, min(status.status_at) as reached_at
    from decided.account_status as status
    inner join staging.accounts as accounts using (account_id)
    where status.status = 'breached'
    group by accounts.challenge_id
),

funded as (
    select challenge_id, min(opened_at) as reached_at
    from staging.accounts
    where stage in ('funded', 'instant')
    group by challenge_id
),

payouts as (
    select challenge_id, min(settled_at) as reached_at
    from facts.transfers
    where status = 'settled'
    group by challenge_id
),

milestones as (
    select challenges.challenge_id, 'passed' as milestone, passed.passed_at as reached_at
    from challenges left join facts.passed_challenges as passed using (challenge_id)
    union all
    select challenges.challenge_id, 'breached', breaches.reached_at from challenges left join breaches using (challenge_id)
    union all
    select challenges.challenge_id, 'funded', funded.reached_at from challenges left join funded using (challenge_id)
    union all
    select challenges.challenge_id, 'first_payout', payouts.reached_at
    from challenges left join payouts using (challenge_id)
),

again as (
    select
        challenges.challenge_id,
        breaches.reached_at as breached_at,
        min(later.purchased_at) as reached_at
    from challenges
    inner join breaches using (challenge_id)
    left join challenges as later
        on challenges.trader_id = later.trader_id and later.purchased_at >= breaches.reached_at
    group by challenges.challenge_id, breaches.reached_at
)

select
    challenges.challenge_id,
    challenges.desk_id,
    challenges.product,
    strftime(challenges.bought_local, '%Y-%m') as cohort_month,
    milestones.milestone,
    greatest(date_diff('second', challenges.purchased_at, coalesce(milestones.reached_at, getvariable('as_of'))), 0)
    / 86400.0 as days,
    milestones.reached_at is not null as observed
from milestones
inner join challenges using (challenge_id)

union all

select
    challenges.challenge_id,
    challenges.desk_id,
    challenges.product,
    strftime(timezone(challenges.zone, again.breached_at), '%Y-%m'),
    'bought_again',
    greatest(date_diff('second', again.breached_at, coalesce(again.reached_at, getvariable('as_of'))), 0) / 86400.0,
    again.reached_at is not null
from again
inner join challenges using (challenge_id)
