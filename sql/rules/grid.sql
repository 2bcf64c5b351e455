-- Positions opened onto more of the same instrument and direction than the stage allows. Grain: account_id, trade_id.
-- With `losing_only` they count while the oldest of them loses at the price of the new one.
with followed as (
    select
        trades.*,
        terms.layers,
        terms.losing_only,
        max(trades.held_until) over (
            partition by trades.account_id, trades.instrument, trades.side
            order by trades.opened_at, trades.trade_id
            rows between unbounded preceding and 1 preceding
        ) as earlier_until
    from facts.rule_trades as trades
    inner join terms.grid as terms using (product, product_version, stage)
),

chained as (
    select
        *,
        count(*) filter (where coalesce(opened_at >= earlier_until, true)) over (
            partition by account_id, instrument, side order by opened_at, trade_id
        ) as chain
    from followed
),

long_chains as (
    select account_id, instrument, side, chain
    from chained
    group by account_id, instrument, side, chain, layers
    having count(*) > layers
),

candidates as (
    select chained.*
    from chained
    semi join long_chains using (account_id, instrument, side, chain)
),

stacked as (
    select
        new.account_id,
        new.trade_id,
        new.instrument,
        new.side,
        new.opened_at,
        new.open_price,
        new.layers,
        new.losing_only,
        count(*) + 1 as layers_open,
        arg_min(old.open_price, (old.opened_at, old.trade_id)) as first_price,
        arg_min(old.trade_id, (old.opened_at, old.trade_id)) as first_id
    from candidates as new
    inner join candidates as old
        on
            new.account_id = old.account_id
            and new.instrument = old.instrument
            and new.side = old.side
            and new.chain = old.chain
            and (old.opened_at, old.trade_id) < (new.opened_at, new.trade_id)
            and old.held_until > new.opened_at
    group by all
)

select
    account_id,
    opened_at as happened_at,
    'breached' as outcome,
    cast(layers_open as double) as observed,
    cast(layers as double) as allowed,
    trade_id,
    json_object('instrument', instrument, 'side', side, 'first_trade_id', first_id) as detail
from stacked
where
    layers_open > layers
    and (not losing_only or case side when 'buy' then open_price < first_price else open_price > first_price end)
