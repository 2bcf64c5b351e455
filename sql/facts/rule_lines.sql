-- Instruments whose positions may stand against each other beside those of one instrument: those of a line that count as
-- one, of which an instrument has one at most (`against` is null), and the two sides of pairs that move against each
-- other. What counts as one with a side of a pair stands on it too.
-- Grain: product, product_version, stage, market, line, against.
with kinds as (
    select symbol, upper(any_value(asset_class)) as asset_class from terms.instruments group by symbol
),

named as (
    select distinct
        names.product,
        names.product_version,
        names.stage,
        cast(markets.market + 1 as integer) as market,
        names.line,
        names.against
    from terms.hedge_names as names
    inner join facts.rule_markets as markets
        left join kinds using (symbol)
        on names.name in (markets.instrument, upper(markets.symbol), kinds.asset_class)
),

joint as (
    select product, product_version, stage, market, min(line) as line
    from named
    where against is null
    group by all
),

alike as (
    select one.product, one.product_version, one.stage, one.market, other.market as other
    from joint as one
    inner join joint as other using (product, product_version, stage, line)
)

select product, product_version, stage, market, line, cast(null as boolean) as against from joint

union all

select distinct
    named.product,
    named.product_version,
    named.stage,
    coalesce(alike.other, named.market) as market,
    named.line,
    named.against
from named
left join alike using (product, product_version, stage, market)
where named.against is not null
