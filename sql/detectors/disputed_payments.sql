-- Disputed payments with what had happened to the challenge when they came. Grain: payment_id.
-- A dispute that names no challenge belongs to the trader's latest purchase before it. One of a fee that was taken several times
-- leaves it paid, and is left out, as is one that was corrected down to nothing.
with paid_still as (
    select challenge_id
    from staging.payments
    where challenge_id is not null
    group by challenge_id, amount
    having count(*) filter (where kind = 'purchase') > count(*) filter (where kind <> 'purchase')
        and count(*) filter (where kind = 'chargeback') > 0
),

disputes as (
    select
        payments.payment_id,
        payments.trader_id,
        payments.occurred_at,
        payments.instrument,
        cast(payments.amount as double) as amount,
        payments.currency,
        coalesce(payments.challenge_id, (
            select arg_max(purchases.challenge_id, purchases.purchased_at)
            from detectors.purchases as purchases
            where purchases.trader_id = payments.trader_id and purchases.purchased_at <= payments.occurred_at
        )) as challenge_id
    from staging.payments as payments
    anti join paid_still on payments.challenge_id = paid_still.challenge_id
    where payments.kind = 'chargeback' and payments.amount <> 0
),

paid as (
    select accounts.trader_id, min(paid.first_paid_at) as first_paid_at
    from detectors.first_payouts as paid
    inner join facts.accounts as accounts using (account_id)
    group by accounts.trader_id
)

select
    disputes.*,
    purchases.purchased_at,
    purchases.breached_at,
    epoch(disputes.occurred_at - purchases.breached_at) / 86400 as days_after_breach,
    coalesce(paid.first_paid_at < disputes.occurred_at, false) as is_after_payout
from disputes
left join detectors.purchases as purchases using (challenge_id)
left join paid on disputes.trader_id = paid.trader_id
