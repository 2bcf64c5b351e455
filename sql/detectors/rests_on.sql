-- A number for all that an account's measurements rest on beside its trades: terms, state, payouts and resets.
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
)

select
    allowances.account_id,
    hash(
        allowances.trader_id, allowances.challenge_id, allowances.stage, allowances.currency, allowances.product,
        allowances.opened_at, allowances.closed_at, allowances.purchased_at, allowances.initial_balance,
        allowances.daily_allowance, allowances.total_allowance, allowances.target, allowances.holding_s,
        allowances.status, allowances.status_at, first_payouts.first_paid_at, paid.paid, paid.payouts, asked.asked,
        resets.resets, resets.days
    ) as rests_on
from detectors.allowances as allowances
left join detectors.first_payouts as first_payouts using (account_id)
left join paid using (account_id)
left join asked using (account_id)
left join resets using (account_id)
