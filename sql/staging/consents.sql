-- What traders said about being written to. Newest version of each record as of the run. Grain: trader_id, occurred_at.
with corrected as (
    select trader_id, occurred_at, max(_version) as newest
    from lake.consents
    where _version > 1
    group by trader_id, occurred_at
)

select
    told.trader_id,
    told.occurred_at,
    told.given,
    told._load_id,
    told._line,
    told._version
from lake.consents as told
left join corrected using (trader_id, occurred_at)
where
    told.occurred_at <= getvariable('as_of')
    and (corrected.newest is null or told._version = corrected.newest)
