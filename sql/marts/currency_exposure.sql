-- Open positions of funded accounts by currency, in US dollars, whole and weighted by what traders get of a gain. Grain:
-- desk_id, currency. A pair counts once on each side; instruments without a known contract size are counted, not valued.
with legs as (
    select
        funded.desk_id,
        exposures.account_id,
        moved.currency,
        exposures.net_usd * if(moved.currency = exposures.quote, -1, 1) as net_usd,
        funded.next_split
    from facts.open_exposures as exposures
    inner join facts.funded_now as funded using (account_id)
    inner join (
        select distinct instruments.instrument, currencies.currency
        from terms.instruments as instruments
        inner join terms.instrument_currencies as currencies using (symbol)
        where instruments.asset_class = 'fx'
        union all
        select distinct instrument, instrument from terms.instruments where asset_class <> 'fx'
    ) as moved on exposures.instrument = moved.instrument
)

select
    desk_id,
    currency,
    count(distinct account_id) as accounts,
    count(*) filter (where net_usd is null) as unknown,
    sum(net_usd) as net_usd,
    sum(net_usd * next_split) as weighted_usd
from legs
group by desk_id, currency
