-- Payout requests that were paid: settled and not returned since. Grain: payout_id.
with last_word as (
    select
        payout_id,
        arg_max(status, settled_at) as status,
        max(settled_at) as settled_at
    from staging.settlements
    where payout_id is not null
    group by payout_id
)

select
    payouts.payout_id,
    payouts.account_id,
    payouts.requested_at,
    payouts.amount,
    last_word.settled_at
from staging.payouts as payouts
inner join last_word using (payout_id)
where last_word.status in ('sent', 'settled')
