-- Refunds and chargebacks with the challenge whose fee they return. Grain: payment_id.
-- One that names no challenge belongs to the only challenge that its trader had paid for by then, or else to the only one
-- of exactly that fee; where neither is one, the challenge stays unknown. One that was corrected down to nothing, such as a
-- dispute that the firm won, returned nothing and is left out.
with nameless as (
    select payment_id, trader_id, amount, currency, occurred_at
    from staging.payments
    where kind in ('refund', 'chargeback') and challenge_id is null and amount <> 0
),

found as (
    select
        nameless.payment_id,
        case
            when count(*) = 1 then any_value(bought.challenge_id)
            when count(*) filter (where bought.fee = nameless.amount and bought.currency = nameless.currency) = 1
                then any_value(bought.challenge_id) filter (
                    where bought.fee = nameless.amount and bought.currency = nameless.currency
                )
        end as challenge_id
    from nameless
    inner join staging.challenges as bought
        on nameless.trader_id = bought.trader_id and nameless.occurred_at >= bought.purchased_at and bought.fee > 0
    group by nameless.payment_id
)

select
    payments.payment_id,
    payments.trader_id,
    coalesce(payments.challenge_id, found.challenge_id) as challenge_id,
    payments.kind,
    payments.amount,
    payments.currency,
    payments.occurred_at
from staging.payments as payments
left join found using (payment_id)
where payments.kind in ('refund', 'chargeback') and payments.amount <> 0
