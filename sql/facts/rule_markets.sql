-- Delivered symbols of trades as numbers for this run: `code` of the symbol, `market` of its instrument. Grain: symbol.
select
    symbol,
    instrument,
    cast(row_number() over (order by symbol) - 1 as integer) as code,
    cast(dense_rank() over (order by instrument) - 1 as integer) as market
from (select distinct symbol, instrument from facts.trades)
