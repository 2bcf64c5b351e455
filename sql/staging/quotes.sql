-- Market quotes, optional. Newest version of each record as of the run. Grain: symbol, quoted_at.
with corrected as (
    select symbol, quoted_at, max(_version) as newest
    from lake.quotes
    where _version > 1
    group by symbol, quoted_at
)

select
    told.symbol,
    told.quoted_at,
    told.bid,
    told.ask,
    told._load_id,
    told._line,
    told._version
from lake.quotes as told
left join corrected using (symbol, quoted_at)
where
    told.quoted_at <= getvariable('as_of')
    and (corrected.newest is null or told._version = corrected.newest)
