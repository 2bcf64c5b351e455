-- Transfers of requests that stand on the desk whose newest version has not moved them yet. Grain: settlement_id.
select
    transfers.settlement_id,
    cast(transfers._version as integer) as version,
    transfers.payout_id,
    transfers.status,
    transfers.amount,
    transfers.fee,
    transfers.currency,
    transfers.destination,
    payouts.destination as asked_destination,
    transfers.settled_at
from facts.told_transfers as transfers
semi join decided.payout_states as states on transfers.payout_id = states.payout_id
left join staging.payouts as payouts on transfers.payout_id = payouts.payout_id
anti join decided.settlement_events as events
    on
        transfers.settlement_id = events.settlement_id
        and transfers._version = events.version
        and events.outcome = 'moved'
