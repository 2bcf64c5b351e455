-- Owners whose challenges of one product breached more than once, beside how often anybody's do. Grain: owner_id, product,
-- desk_id. Fees are net of refunds and chargebacks, in US dollars; `hours_held` is the usual time from opening to breach.
with challenge as (
    select
        coalesce(owners.owner_id, accounts.trader_id) as owner_id,
        accounts.challenge_id,
        accounts.desk_id,
        accounts.product,
        min(accounts.trader_id) as trader_id,
        arg_min(accounts.trader_name, accounts.trader_id) as trader_name,
        bool_or(status.status = 'breached') as breached,
        max(status.status_at) filter (where status.status = 'breached') as breached_at,
        arg_max(accounts.account_id, status.status_at) filter (where status.status = 'breached') as account_id,
        max(date_diff('minute', utc(accounts.opened_at), utc(status.status_at))) filter (where status.status = 'breached') / 60.0
            as hours_held,
        bool_or(status.status in ('active', 'paused')) as live
    from decided.account_status as status
    inner join marts.accounts as accounts using (account_id)
    left join decided.owners as owners on accounts.trader_id = owners.trader_id
    group by all
),

money as (
    select money.challenge_id, sum(money.fee * rates.rate_to_usd) as fees_usd
    from marts.challenge_money as money
    left join marts.usd_rates as rates on money.currency = rates.currency
    group by money.challenge_id
),

broken as (
    select account_id, arg_max(rule, happened_at) as rule
    from decided.verdicts
    where outcome = 'breached' and effect = 'terminate'
    group by account_id
),

usual as (
    select product, avg(cast(breached as double)) as usual_share from challenge group by product
),

repeated as (
    select owner_id, product, desk_id
    from challenge
    where breached
    group by owner_id, product, desk_id
    having count(*) > 1
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
    any_value(usual.usual_share) as usual_share,
    mode(broken.rule order by broken.rule) as rule,
    median(challenge.hours_held) as hours_held,
    sum(money.fees_usd) as fees_usd,
    min(challenge.breached_at) as first_at,
    max(challenge.breached_at) as last_at,
    arg_max(challenge.account_id, challenge.breached_at) as account_id
from challenge
semi join repeated using (owner_id, product, desk_id)
inner join usual using (product)
left join money using (challenge_id)
left join broken on challenge.account_id = broken.account_id
group by challenge.owner_id, challenge.product, challenge.desk_id
