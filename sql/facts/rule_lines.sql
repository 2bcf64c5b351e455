-- Instruments whose positions may stand against each other beside those of one instrument: those of a line that count as
-- one, of which an instrument has one at most (`against` is null), and the two sides of pairs that move against each
-- other. Grain: product, product_version, stage, market, line, against.
with kinds as (
    select symbol, upper(any_value(asset_class)) as asset_class from terms.instruments group by symbol
)

select
    names.product,
    names.product_version,
    names.stage,
    cast(markets.market + 1 as integer) as market,
    min(names.line) as line,
    names.against
from terms.hedge_names as names
inner join facts.rule_markets as markets
    left join kinds using (symbol)
    on names.name in (markets.instrument, upper(markets.symbol), kinds.asset_class)
group by
    names.product,
    names.product_version,
    names.stage,
    markets.market,
    names.against,
    case when names.against is not null then names.line end
