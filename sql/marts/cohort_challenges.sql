-- Every purchase with what a cohort is cut by, the days from purchase to each stage (empty while it has not come) and the
-- money that hangs on it. Grain: challenge_id. Month in the desk's zone, money in the desk's currency at the rate of its day.
-- A stage is reached when the challenge has an account of it, `passed` when each of its evaluation stages is passed,
-- `payout` when a transfer to it was settled. Size is the balance that the challenge's first account started with; a person
-- is an owner, who may have several registrations.
with challenges as (
    select
        challenges.*,
        strftime(timezone(coalesce(desks.time_zone, 'UTC'), challenges.purchased_at), '%Y-%m') as cohort_month
    from staging.challenges as challenges
    left join staging.desks as desks using (desk_id)
),

credited as (
    select challenge_id, arg_max(partner_id, (share, partner_id)) as partner_id, any_value(how) as how
    from decided.credits
    group by challenge_id
),

opened as (
    select
        challenge_id,
        min(opened_at) filter (where stage = 'evaluation_1') as evaluation_1,
        min(opened_at) filter (where stage = 'evaluation_2') as evaluation_2,
        min(opened_at) filter (where stage = 'evaluation_3') as evaluation_3,
        min(opened_at) filter (where stage = 'funded') as funded,
        min(opened_at) filter (where stage = 'instant') as instant,
        arg_min(initial_balance, (opened_at, account_id)) as size,
        arg_min(currency, (opened_at, account_id)) as size_currency,
        arg_max(account_id, (opened_at, account_id)) as account_id
    from staging.accounts
    group by challenge_id
),

stands as (
    select
        accounts.challenge_id,
        min(status.status_at) filter (where status.status = 'breached') as breached_at,
        bool_or(status.status in ('active', 'paused')) as running
    from decided.account_status as status
    inner join staging.accounts as accounts using (account_id)
    group by accounts.challenge_id
),

money as (
    select
        challenge_id,
        sum(fee) as fees,
        coalesce(sum(payout), 0) as payouts,
        count(*) filter (where fee is null and payout is null) as unknown_amounts,
        min(happened_at) filter (where kind = 'payout') as paid_at
    from marts.challenge_money
    group by challenge_id
),

bought_again as (
    select challenges.challenge_id, min(later.purchased_at) as again_at
    from challenges
    inner join stands using (challenge_id)
    inner join challenges as later
        on challenges.trader_id = later.trader_id and later.purchased_at >= stands.breached_at
    group by challenges.challenge_id
)

select
    challenges.challenge_id,
    opened.account_id,
    challenges.trader_id,
    coalesce(owners.owner_id, challenges.trader_id) as person,
    challenges.desk_id,
    challenges.product,
    terms.product_version,
    challenges.cohort_month,
    challenges.purchased_at,
    cast(opened.size as double) as size,
    format('{:,.0f} {}', cast(opened.size as double), opened.size_currency) as size_name,
    case
        when credited.partner_id is not null then 'partner'
        when challenges.coupon is not null then 'coupon'
        else 'direct'
    end as channel,
    credited.partner_id,
    credited.how,
    traders.country,
    days_between(challenges.purchased_at, opened.evaluation_1) as evaluation_1_days,
    days_between(challenges.purchased_at, opened.evaluation_2) as evaluation_2_days,
    days_between(challenges.purchased_at, opened.evaluation_3) as evaluation_3_days,
    days_between(challenges.purchased_at, passed.passed_at) as passed_days,
    days_between(challenges.purchased_at, opened.instant) as instant_days,
    days_between(challenges.purchased_at, opened.funded) as funded_days,
    days_between(challenges.purchased_at, money.paid_at) as payout_days,
    days_between(challenges.purchased_at, stands.breached_at) as breached_days,
    days_between(stands.breached_at, bought_again.again_at) as again_days,
    coalesce(stands.running, false) as running,
    money.fees,
    money.payouts,
    money.unknown_amounts
from challenges
left join facts.challenge_terms as terms using (challenge_id)
left join facts.passed_challenges as passed using (challenge_id)
left join credited using (challenge_id)
left join opened using (challenge_id)
left join stands using (challenge_id)
left join money using (challenge_id)
left join bought_again using (challenge_id)
left join staging.traders as traders on challenges.trader_id = traders.trader_id
left join decided.owners as owners on challenges.trader_id = owners.trader_id
