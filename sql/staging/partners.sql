-- Affiliates and introducing brokers. Newest version of each record as of the run. Grain: partner_id.
with corrected as (
    select partner_id, max(_version) as newest
    from lake.partners
    -- a move that is told before its day leaves the record before it in force until then
    where _version > 1 and joined_at <= getvariable('as_of')
    group by partner_id
)

select
    told.partner_id,
    told.name,
    told.parent_partner_id,
    told.plan,
    told.email,
    told.payout_destination,
    told.joined_at,
    told._load_id,
    told._line,
    told._version
from lake.partners as told
left join corrected using (partner_id)
where
    told.joined_at <= getvariable('as_of')
    and (corrected.newest is null or told._version = corrected.newest)
