-- A number for all that an account's measurements rest on beside its trades: terms, state, payouts, resets, and days that
-- ended near what a day must win, its own and those of its trader elsewhere.
-- Grain: account_id.
with asked as (
    select account_id, bit_xor(hash(payout_id, requested_at)) as asked
    from staging.payouts
    group by account_id
),

paid as (
    select account_id, bit_xor(hash(paid_at)) as paid, count(*) as payouts
    from detectors.payout_instants
    group by account_id
),

resets as (
    select days.account_id, bit_xor(hash(days.opened_at)) as resets, count(*) as days
    from decided.account_days as days
    semi join asked using (account_id)
    group by days.account_id
),

thin as (
    select account_id, bit_xor(hash(cycle, thin_days, near_days, other_thin_days, other_near_days)) as thin
    from detectors.thin_days
    group by account_id
)

select
    allowances.account_id,
    hash(
        allowances.trader_id, allowances.challenge_id, allowances.stage, allowances.currency, allowances.product,
        allowances.opened_at, allowances.closed_at, allowances.purchased_at, allowances.initial_balance,
        allowances.daily_allowance, allowances.total_allowance, allowances.target, allowances.holding_s,
        allowances.status, allowances.status_at, first_payouts.first_paid_at, paid.paid, paid.payouts, asked.asked,
        resets.resets, resets.days, allowances.profitable_day, thin.thin
    ) as rests_on
from detectors.allowances as allowances
left join detectors.first_payouts as first_payouts using (account_id)
left join paid using (account_id)
left join asked using (account_id)
left join resets using (account_id)
left join thin using (account_id)
