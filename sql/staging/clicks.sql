-- Visits that partners sent. Newest version of each record as of the run. Grain: click_id.
with corrected as (
    select click_id, max(_version) as newest
    from lake.clicks
    where _version > 1
    group by click_id
)

select
    told.click_id,
    told.partner_id,
    told.occurred_at,
    told.ip,
    told.device_id,
    told._load_id,
    told._line,
    told._version
from lake.clicks as told
left join corrected using (click_id)
where
    told.occurred_at <= getvariable('as_of')
    and (corrected.newest is null or told._version = corrected.newest)
