-- Daily exchange rates. Newest version of each record as of the run. Grain: currency, day.
with corrected as (
    select currency, day, max(_version) as newest
    from lake.rates
    where _version > 1
    group by currency, day
)

select
    told.currency,
    told.day,
    told.rate_to_usd,
    told._load_id,
    told._line,
    told._version
from lake.rates as told
left join corrected using (currency, day)
where
    (corrected.newest is null or told._version = corrected.newest)
