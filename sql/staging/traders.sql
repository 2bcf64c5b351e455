-- The people who buy challenges. Newest version of each record as of the run. Grain: trader_id.
with corrected as (
    select trader_id, max(_version) as newest
    from lake.traders
    where _version > 1
    group by trader_id
)

select
    told.trader_id,
    told.full_name,
    told.email,
    told.phone,
    told.date_of_birth,
    told.country,
    told.address,
    told.kyc_status,
    told.kyc_document,
    told.kyc_checked_at,
    told.registered_at,
    told._load_id,
    told._line,
    told._version
from lake.traders as told
left join corrected using (trader_id)
where
    told.registered_at <= getvariable('as_of')
    and (corrected.newest is null or told._version = corrected.newest)
