-- Instruments that count as one when positions stand against each other: all of a line, of which an instrument has one at
-- most. Grain: product, product_version, stage, market.
with kinds as (
    select symbol, upper(any_value(asset_class)) as asset_class from terms.instruments group by symbol
)

select
    names.product,
    names.product_version,
    names.stage,
    cast(markets.market + 1 as integer) as market,
    min(names.line) as line
from terms.hedge_names as names
inner join facts.rule_markets as markets
    left join kinds using (symbol)
    on names.name in (markets.instrument, upper(markets.symbol), kinds.asset_class)
group by all
