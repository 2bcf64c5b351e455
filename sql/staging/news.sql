-- Economic calendar. Newest version of each record as of the run. Grain: event_id.
with corrected as (
    select event_id, max(_version) as newest
    from lake.news
    where _version > 1
    group by event_id
)

select
    told.event_id,
    told.occurs_at,
    told.currency,
    told.impact,
    told.title,
    told._load_id,
    told._line,
    told._version
from lake.news as told
left join corrected using (event_id)
where
    (corrected.newest is null or told._version = corrected.newest)
