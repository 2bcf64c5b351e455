-- Challenges with how they ended (`ended_at` is null while they run): breached, passed on. Grain: challenge_id.
with ended as (
    select
        accounts.challenge_id,
        min(status.status_at) filter (where status.status = 'breached') as breached_at,
        max(coalesce(accounts.closed_at, status.status_at)) as last_change_at,
        bool_or(status.status in ('active', 'paused')) as is_running,
        bool_or(accounts.stage = 'funded') as is_funded,
        min(accounts.opened_at) filter (where accounts.stage in ('funded', 'instant')) as paying_at
    from facts.accounts as accounts
    left join decided.account_status as status using (account_id)
    group by accounts.challenge_id
),

traded as (
    select
        accounts.challenge_id,
        count(*) as accounts,
        sum(traded.positions) as positions,
        any_value(len(traded.days)) as days
    from detectors.traded as traded
    inner join facts.accounts as accounts using (account_id)
    group by accounts.challenge_id
),

-- a day on which several accounts of a challenge came in is one
together as (
    select challenge_id, count(distinct day) as days
    from (
        select accounts.challenge_id, unnest(traded.days) as day
        from detectors.traded as traded
        inner join facts.accounts as accounts using (account_id)
        where accounts.challenge_id in (select challenge_id from traded where accounts > 1)
    )
    group by challenge_id
)

select
    challenges.challenge_id,
    challenges.trader_id,
    challenges.purchased_at,
    cast(challenges.fee as double) as fee,
    challenges.currency,
    challenges.reset_of,
    ended.breached_at,
    coalesce(ended.breached_at, if(coalesce(ended.is_running, true), null, ended.last_change_at)) as ended_at,
    coalesce(ended.is_funded, false) as is_funded,
    ended.paying_at,
    coalesce(traded.positions, 0) as positions,
    coalesce(together.days, traded.days, 0) as days
from staging.challenges as challenges
left join ended using (challenge_id)
left join traded using (challenge_id)
left join together using (challenge_id)
