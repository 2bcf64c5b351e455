-- The profit of each account that is still to be shared, as of the run, below zero where it lost: what stands above its initial
-- balance, less what was put in, what is promised to payouts and what is void. Grain: account_id. What a review would strip of
-- the trades since the last payout is still in it.
with set_aside as (
    select account_id, sum(amount) as amount
    from facts.set_aside
    group by account_id
)

select
    status.account_id,
    cast(
        as_walked(status.balance - status.initial_balance - coalesce(set_aside.amount, 0), status.currency) as double
    ) as profit
from decided.account_status as status
left join set_aside on status.account_id = set_aside.account_id
