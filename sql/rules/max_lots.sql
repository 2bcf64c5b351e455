-- Trades of which more was open at once than the stage allows, at the entry with which they became so; what is
-- closed in its very instant was open with it.
-- Grain: account_id, trade_id.
with kinds as (
    select symbol, upper(any_value(asset_class)) as asset_class from terms.instruments group by symbol
),

large_trades as (
    select
        trades.account,
        trades.place,
        trades.account_id,
        trades.trade_id,
        trades.instrument,
        cast(terms.lots as decimal(18, 8)) as allowed
    from facts.rule_trades as trades
    inner join terms.max_lots as terms using (product, product_version, stage)
    left join kinds using (symbol)
    where
        trades.lots > cast(terms.lots as decimal(18, 8))
        and (
            terms.symbols is null
            or exists (
                select 1
                from terms.listed_names as listed
                where
                    listed.rule = 'max_lots'
                    and listed.product = trades.product
                    and listed.product_version = trades.product_version
                    and listed.stage = trades.stage
                    and listed.name in (trades.instrument, upper(trades.symbol), kinds.asset_class)
            )
        )
),

grown as (
    select
        large_trades.*,
        deals.executed_at,
        deals.role,
        sum(case deals.role when 'in' then deals.lots else -deals.lots end) over (
            partition by large_trades.account, large_trades.place
            order by deals.executed_at, deals.role
        ) as lots_then
    from large_trades
    inner join facts.rule_deals as deals using (account, place)
)

select
    account_id,
    min(executed_at) as happened_at,
    'breached' as outcome,
    cast(arg_min(lots_then, executed_at) as double) as observed,
    cast(allowed as double) as allowed,
    trade_id,
    json_object('instrument', instrument) as detail
from grown
where role = 'in' and lots_then > allowed
group by account_id, trade_id, instrument, allowed
