-- Payouts as they left the accounts, each with the request that it answers: the newest one before it of that very
-- amount. Grain: account_id, deal_id. A payout that nobody asked for has no payout_id.
with operations as (
    select account_id, deal_id, executed_at, -net as amount
    from facts.payout_deals
    where payout
),

answered as (
    select
        operations.account_id,
        operations.deal_id,
        payouts.payout_id,
        row_number() over (
            partition by operations.account_id, operations.deal_id
            order by payouts.requested_at desc, payouts.payout_id desc
        ) as place
    from operations
    inner join staging.payouts as payouts
        on
            operations.account_id = payouts.account_id
            and operations.amount = payouts.amount
            and operations.executed_at >= payouts.requested_at
)

select operations.*, answered.payout_id
from operations
left join answered
    on
        operations.account_id = answered.account_id
        and operations.deal_id = answered.deal_id
        and answered.place = 1
