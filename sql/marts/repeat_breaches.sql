-- Owners whose challenges of one product breached more than once; how often anybody's do is in marts.breach_rates. Grain:
-- owner_id, product, desk_id. Fees are net of refunds and chargebacks, in US dollars; `hours_held` is the usual time from
-- opening to breach.
with held as (
    select
        coalesce(owners.owner_id, accounts.trader_id) as owner_id,
        accounts.trader_id,
        accounts.trader_name,
        accounts.account_id,
        accounts.challenge_id,
        accounts.desk_id,
        accounts.product,
        accounts.opened_at,
        accounts.status
    from marts.accounts as accounts
    left join decided.owners as owners on accounts.trader_id = owners.trader_id
    where accounts.status is not null
),

repeated as (
    select owner_id, product, desk_id
    from held
    where status = 'breached'
    group by owner_id, product, desk_id
    having count(distinct challenge_id) > 1
),

challenge as (
    select
        held.owner_id,
        held.challenge_id,
        held.desk_id,
        held.product,
        min(held.trader_id) as trader_id,
        arg_min(held.trader_name, held.trader_id) as trader_name,
        bool_or(held.status = 'breached') as breached,
        max(stood.status_at) filter (where held.status = 'breached') as breached_at,
        arg_max(held.account_id, stood.status_at) filter (where held.status = 'breached') as account_id,
        max(date_diff('minute', utc(held.opened_at), utc(stood.status_at))) filter (where held.status = 'breached') / 60.0
            as hours_held,
        bool_or(held.status in ('active', 'paused')) as live
    from held
    semi join repeated using (owner_id, product, desk_id)
    inner join decided.account_status as stood on held.account_id = stood.account_id
    group by held.owner_id, held.challenge_id, held.desk_id, held.product
),

money as (
    select money.challenge_id, sum(money.fee * rates.rate_to_usd) as fees_usd
    from marts.challenge_money as money
    semi join challenge using (challenge_id)
    left join marts.usd_rates as rates on money.currency = rates.currency
    group by money.challenge_id
),

broken as (
    select account_id, arg_max(rule, happened_at) as rule
    from decided.verdicts
    where outcome = 'breached' and effect = 'terminate'
    group by account_id
)

select
    challenge.owner_id,
    min(challenge.trader_id) as trader_id,
    arg_min(challenge.trader_name, challenge.trader_id) as trader_name,
    count(distinct challenge.trader_id) as traders,
    challenge.product,
    challenge.desk_id,
    count(*) as challenges,
    count(*) filter (where challenge.breached) as breached,
    count(*) filter (where challenge.live) as live,
    avg(cast(challenge.breached as double)) as breached_share,
    mode(broken.rule order by broken.rule) as rule,
    median(challenge.hours_held) as hours_held,
    sum(money.fees_usd) as fees_usd,
    min(challenge.breached_at) as first_at,
    max(challenge.breached_at) as last_at,
    arg_max(challenge.account_id, challenge.breached_at) as account_id
from challenge
left join money using (challenge_id)
left join broken on challenge.account_id = broken.account_id
group by challenge.owner_id, challenge.product, challenge.desk_id
