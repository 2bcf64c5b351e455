-- Every transfer with the request that it pays, as far as anybody says so. Grain: settlement_id.
-- It names its request or the desk's own transfer id, or a person has put the two together (and may have parted them).
with marked as (
    select record_id as settlement_id, arg_max(verdict, place) as verdict, arg_max(payout_id, place) as payout_id
    from decided.reconciliation_marks
    where side = 'transfer'
    group by record_id
)

select
    transfers.* exclude (payout_id),
    case
        when marked.verdict = 'matched' then marked.payout_id
        when marked.verdict in ('disputed', 'explained') then null
        else coalesce(begun.payout_id, refers.payout_id, transfers.payout_id)
    end as payout_id
from staging.settlements as transfers
left join marked using (settlement_id)
left join decided.payout_transfers as begun on transfers.payout_id = begun.transfer_id
left join decided.payout_transfers as refers on transfers.reference = refers.transfer_id
