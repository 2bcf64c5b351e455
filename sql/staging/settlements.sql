-- Transfers that a payment provider reports. Newest version of each record as of the run. Grain: settlement_id.
with corrected as (
    select settlement_id, max(_version) as newest
    from lake.settlements
    where _version > 1
    group by settlement_id
)

select
    told.settlement_id,
    told.payout_id,
    told.destination,
    told.amount,
    told.fee,
    told.currency,
    told.settled_at,
    told.status,
    told.reference,
    told._load_id,
    told._line,
    told._version
from lake.settlements as told
left join corrected using (settlement_id)
where
    told.settled_at <= getvariable('as_of')
    and (corrected.newest is null or told._version = corrected.newest)
