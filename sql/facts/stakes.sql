-- What is at stake of accounts: what was requested and waits, and on live funded accounts the profit that could be
-- requested next, whichever is more. Grain: account_id, of those with something at stake.
with requested as (
    select account_id, sum(amount) as amount
    from marts.payout_queue
    where waits
    group by account_id
),

drawable as (
    select status.account_id, profits.profit
    from decided.account_status as status
    inner join facts.profits_now as profits using (account_id)
    where status.stage in ('funded', 'instant') and status.status in ('active', 'paused') and profits.profit > 0
)

select account_id, greatest(requested.amount, drawable.profit) as stake
from requested
full join drawable using (account_id)
where stake > 0
