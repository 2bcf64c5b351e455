-- What a commission can follow from: purchases, passes, funding, payouts, returned fees. Grain: event_id.
-- The amount is the fee, the firm's share of a payout (gross profit drawn less what the trader got) or what was returned.
-- A transfer in another currency than the account's counts at the rate of its day; without one the amount is unknown.
with bought as (
    select
        'purchase:' || challenge_id as event_id, 'purchase' as kind, challenge_id, trader_id,
        purchased_at as happened_at, cast(fee as double) as amount, currency
    from staging.challenges
),

stage_passes as (
    select
        'stage_pass:' || status.account_id, 'stage_pass', accounts.challenge_id, bought.trader_id, status.status_at,
        bought.amount, bought.currency
    from decided.account_status as status
    inner join staging.accounts as accounts using (account_id)
    inner join bought on accounts.challenge_id = bought.challenge_id
    where status.status = 'passed' and status.stage like 'evaluation%'
),

passes as (
    select 'pass:' || challenge_id, 'pass', challenge_id, bought.trader_id, passed_at, bought.amount, bought.currency
    from facts.passed_challenges
    inner join bought using (challenge_id)
),

funded as (
    select 'funded:' || challenge_id, 'funded', challenge_id, any_value(bought.trader_id), min(accounts.opened_at),
        any_value(bought.amount), any_value(bought.currency)
    from staging.accounts as accounts
    inner join bought using (challenge_id)
    where accounts.stage = 'funded'
    group by challenge_id
),

paid as (
    select transfers.*, bought.trader_id, bought.amount as fee, bought.currency as fee_currency
    from facts.transfers as transfers
    inner join bought using (challenge_id)
    where transfers.status = 'settled'
),

first_payouts as (
    select 'first_payout:' || challenge_id, 'first_payout', challenge_id, any_value(trader_id), min(settled_at),
        any_value(fee), any_value(fee_currency)
    from paid
    group by challenge_id
),

rates as (
    select currency, day, rate_to_usd from staging.rates
),

profits as (
    select 'profit_share:' || paid.payout_id, 'profit_share', paid.challenge_id, paid.trader_id, paid.settled_at,
        cast(paid.requested as double) - cast(paid.amount as double) * case
            when paid.currency = paid.account_currency then 1
            else
                in_dollars(paid.currency, told.rate_to_usd) / in_dollars(paid.account_currency, wanted.rate_to_usd)
        end,
        paid.account_currency
    from paid
    asof left join rates as told on paid.currency = told.currency and cast(paid.settled_at as date) >= told.day
    asof left join rates as wanted
        on paid.account_currency = wanted.currency and cast(paid.settled_at as date) >= wanted.day
),

returned as (
    select fees.payment_id, fees.kind, fees.challenge_id, fees.trader_id, fees.occurred_at,
        cast(fees.amount as double), fees.currency
    from facts.returned_fees as fees
    inner join bought using (challenge_id)
)

select * from bought
union all select * from stage_passes
union all select * from passes
union all select * from funded
union all select * from first_payouts
union all select * from profits
union all select * from returned
