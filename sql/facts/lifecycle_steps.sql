-- Steps of a trader's way that a platform has to be asked for: identification at a purchase and again at a request for
-- a payout, and an offer to come back. Grain: action, about. `kyc_days`, `kyc_valid_days`, `winback_from_days` and
-- `winback_until_days` are set by whoever reads it.
with people as (
    select
        trader_id,
        kyc_status = 'verified' as is_verified,
        kyc_status = 'pending' as is_under_way,
        kyc_checked_at
    from staging.traders
),

-- the account that a challenge began with, once there is one
first_accounts as (
    select challenge_id, arg_min(account_id, opened_at) as account_id
    from staging.accounts
    group by challenge_id
),

bought as (
    select
        'ask_kyc' as action,
        challenges.challenge_id as about,
        coalesce(first_accounts.account_id, challenges.challenge_id) as account_id,
        challenges.trader_id,
        challenges.desk_id,
        'purchase' as rule,
        challenges.purchased_at as happened_at
    from staging.challenges as challenges
    inner join people using (trader_id)
    left join first_accounts using (challenge_id)
    where
        challenges.purchased_at > getvariable('as_of') - to_days(getvariable('kyc_days'))
        and not people.is_verified and not people.is_under_way
),

requested as (
    select
        'ask_kyc' as action,
        payouts.payout_id as about,
        payouts.account_id,
        accounts.trader_id,
        accounts.desk_id,
        'payout' as rule,
        payouts.requested_at as happened_at
    from staging.payouts as payouts
    inner join staging.accounts as accounts using (account_id)
    inner join people using (trader_id)
    where
        payouts.requested_at > getvariable('as_of') - to_days(getvariable('kyc_days'))
        and not people.is_under_way
        and (
            not people.is_verified
            or people.kyc_checked_at < payouts.requested_at - to_days(getvariable('kyc_valid_days'))
        )
),

-- of who has no running account, the one that ended last
ended as (
    select
        trader_id,
        arg_max(account_id, status_at) as account_id,
        arg_max(desk_id, status_at) as desk_id,
        arg_max(status, status_at) as status,
        max(status_at) as happened_at
    from decided.account_status
    group by trader_id
    having bool_and(status in ('breached', 'expired', 'closed', 'passed'))
),

agreed as (
    select trader_id
    from staging.consents
    group by trader_id
    having arg_max(given, occurred_at) = 'yes'
),

bought_last as (
    select trader_id, max(purchased_at) as purchased_at
    from staging.challenges
    group by trader_id
),

risky as (
    select distinct trader_id
    from decided.risk_scores
    where band in ('high', 'critical')
),

left_us as (
    select
        'offer_winback' as action,
        ended.account_id as about,
        ended.account_id,
        ended.trader_id,
        ended.desk_id,
        'win_back' as rule,
        ended.happened_at
    from ended
    inner join agreed using (trader_id)
    inner join bought_last using (trader_id)
    anti join risky using (trader_id)
    where
        ended.status <> 'passed'
        and bought_last.purchased_at <= ended.happened_at
        and ended.happened_at <= getvariable('as_of') - to_days(getvariable('winback_from_days'))
        and ended.happened_at > getvariable('as_of') - to_days(getvariable('winback_until_days'))
),

due as (
    select * from bought
    union all
    select * from requested
    union all
    select * from left_us
)

select action, about, account_id, trader_id, desk_id, rule, happened_at
from due
