-- When each account was first paid: the earlier of what left it and what the provider settled. Grain: account_id.
with told as (
    select account_id, settled_at as paid_at
    from facts.paid

    union all

    select account_id, executed_at
    from facts.payout_operations
)

select account_id, min(paid_at) as first_paid_at
from told
group by account_id
