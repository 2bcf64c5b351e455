-- The brands or offices of the firm; a desk is a data boundary. Newest version of each record as of the run. Grain: desk_id.
with corrected as (
    select desk_id, max(_version) as newest
    from lake.desks
    where _version > 1
    group by desk_id
)

select
    told.desk_id,
    told.name,
    told.currency,
    told.time_zone,
    told._load_id,
    told._line,
    told._version
from lake.desks as told
left join corrected using (desk_id)
where
    (corrected.newest is null or told._version = corrected.newest)
