-- Trades in instruments that the plan does not allow, named by instrument, delivered symbol or asset class.
-- Grain: account_id, trade_id.
with names as (
    select distinct
        trades.product,
        trades.product_version,
        trades.stage,
        trades.symbol,
        trades.instrument,
        [trades.instrument, upper(trades.symbol), upper(instruments.asset_class)] as names
    from facts.rule_trades as trades
    semi join terms.symbols using (product, product_version, stage)
    left join terms.instruments as instruments using (symbol)
),

judged as (
    select
        names.product,
        names.product_version,
        names.stage,
        names.symbol,
        bool_or(listed.field = 'allowed') as has_allowed,
        bool_or(listed.field = 'allowed' and list_contains(names.names, listed.name)) as is_allowed,
        bool_or(listed.field = 'prohibited' and list_contains(names.names, listed.name)) as is_prohibited
    from names
    inner join terms.listed_names as listed
        on
            listed.rule = 'symbols'
            and names.product = listed.product
            and names.product_version = listed.product_version
            and names.stage = listed.stage
    group by all
)

select
    trades.account_id,
    trades.opened_at as happened_at,
    'breached' as outcome,
    cast(trades.lots as double) as observed,
    cast(0 as double) as allowed,
    trades.trade_id,
    json_object('instrument', trades.instrument, 'symbol', trades.symbol) as detail
from facts.rule_trades as trades
inner join judged using (product, product_version, stage, symbol)
where judged.is_prohibited or (judged.has_allowed and not judged.is_allowed)
