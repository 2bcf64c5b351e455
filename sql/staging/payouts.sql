-- Requests of traders for their share of profit. Newest version of each record as of the run. Grain: payout_id.
with corrected as (
    select payout_id, max(_version) as newest
    from lake.payouts
    where _version > 1
    group by payout_id
)

select
    told.payout_id,
    told.account_id,
    told.requested_at,
    told.amount,
    told.method,
    told.destination,
    told._load_id,
    told._line,
    told._version
from lake.payouts as told
left join corrected using (payout_id)
where
    told.requested_at <= getvariable('as_of')
    and (corrected.newest is null or told._version = corrected.newest)
