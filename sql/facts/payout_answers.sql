-- What became of each request: when it left the account, how far its transfers came and what the desk decided.
-- Grain: payout_id. `honoured_at` is the first sign that it was or will be paid, empty for a request whose transfers all
-- came back or never went; `taken` is what left the account for it, `granted_minor` what the desk granted (minor units).
with operations as (
    select payout_id, min(executed_at) as operated_at, sum(amount) as taken
    from facts.payout_operations
    where payout_id is not null
    group by payout_id
),

-- A transfer told as sent, and told as settled under another id but the same reference, is one.
told as (
    select
        *,
        status = 'sent' and reference is not null and bool_or(status = 'settled') over same as told_again
    from facts.told_transfers
    where payout_id is not null
    window same as (partition by payout_id, reference)
),

transfers as (
    select
        payout_id,
        count(*) as transfers,
        count(*) filter (where status in ('sent', 'settled') and not told_again) as standing,
        arg_max(status, (settled_at, settlement_id)) as status,
        arg_max(amount, (settled_at, settlement_id)) as amount,
        arg_max(coalesce(fee, 0), (settled_at, settlement_id)) as fee,
        arg_max(currency, (settled_at, settlement_id)) as currency,
        arg_max(coalesce(destination, ''), (settled_at, settlement_id)) as destination,
        min(settled_at) as first_at,
        max(settled_at) as last_at
    from told
    group by payout_id
),

decided_on as (
    select
        payout_id,
        if(state in ('queued', 'sent', 'settled'), updated_at, null) as granted_at,
        if(state in ('queued', 'sent', 'settled'), profit_minor - deducted_minor, null) as granted_minor,
        if(
            state in ('queued', 'sent', 'settled', 'failed', 'returned', 'rejected', 'upheld', 'cancelled'),
            updated_at, null
        ) as decided_at
    from decided.payout_states
)

select
    payouts.payout_id,
    payouts.account_id,
    payouts.requested_at,
    payouts.amount,
    operations.operated_at,
    operations.taken,
    transfers.transfers,
    transfers.standing,
    transfers.status as transfer_status,
    transfers.amount as transfer_amount,
    transfers.fee as transfer_fee,
    transfers.currency as transfer_currency,
    transfers.destination as transfer_destination,
    transfers.first_at as transfer_first_at,
    transfers.last_at as transfer_last_at,
    decided_on.granted_minor,
    case
        when transfers.status in ('sent', 'settled') then least(operations.operated_at, transfers.first_at)
        -- what came back is on its way anew once the desk has granted it again
        when transfers.status is null or decided_on.granted_at > transfers.last_at
            then least(operations.operated_at, decided_on.granted_at)
        else operations.operated_at
    end as honoured_at,
    least(operations.operated_at, transfers.first_at, decided_on.decided_at) as answered_at
from staging.payouts as payouts
left join operations using (payout_id)
left join transfers using (payout_id)
left join decided_on using (payout_id)
