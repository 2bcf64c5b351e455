-- Delivered symbols that a list of the terms names: by instrument, by the symbol itself or by asset class.
-- Grain: rule, field, product, product_version, stage, symbol.
with kinds as (
    select symbol, upper(any_value(asset_class)) as asset_class from terms.instruments group by symbol
)

select distinct
    listed.rule,
    listed.field,
    listed.product,
    listed.product_version,
    listed.stage,
    markets.symbol
from terms.listed_names as listed
inner join facts.rule_markets as markets
    left join kinds using (symbol)
    on listed.name in (markets.instrument, upper(markets.symbol), kinds.asset_class)
