-- What became of each request: when it left the account, and how far its transfers came. Grain: payout_id.
-- `honoured_at` is the first sign that it was paid, empty for a request whose transfers all came back or never went.
with operations as (
    select payout_id, min(executed_at) as operated_at
    from facts.payout_operations
    where payout_id is not null
    group by payout_id
),

transfers as (
    select
        payout_id,
        count(*) as transfers,
        count(*) filter (where status in ('sent', 'settled')) as standing,
        arg_max(status, settled_at) as status,
        arg_max(amount, settled_at) as amount,
        arg_max(coalesce(fee, 0), settled_at) as fee,
        arg_max(currency, settled_at) as currency,
        arg_max(destination, settled_at) as destination,
        min(settled_at) as first_at,
        max(settled_at) as last_at
    from staging.settlements
    where payout_id is not null
    group by payout_id
)

select
    payouts.payout_id,
    payouts.account_id,
    payouts.requested_at,
    payouts.amount,
    operations.operated_at,
    transfers.transfers,
    transfers.standing,
    transfers.status as transfer_status,
    transfers.amount as transfer_amount,
    transfers.fee as transfer_fee,
    transfers.currency as transfer_currency,
    transfers.destination as transfer_destination,
    transfers.first_at as transfer_first_at,
    transfers.last_at as transfer_last_at,
    case
        when transfers.status in ('sent', 'settled') then least(operations.operated_at, transfers.first_at)
        else operations.operated_at
    end as honoured_at,
    least(operations.operated_at, transfers.first_at) as answered_at
from staging.payouts as payouts
left join operations using (payout_id)
left join transfers using (payout_id)
