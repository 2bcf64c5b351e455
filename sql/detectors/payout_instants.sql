-- When each account was paid, in order: what left it, or what was settled where nothing left it for that request.
-- Grain: account_id, payout.
with told as (
    select account_id, executed_at as paid_at
    from facts.payout_operations

    union

    select paid.account_id, paid.settled_at
    from facts.paid as paid
    anti join facts.payout_operations as operations using (payout_id)
)

select account_id, paid_at, row_number() over (partition by account_id order by paid_at) as payout
from told
