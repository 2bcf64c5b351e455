-- Positions opened onto more of the same instrument and direction than the stage allows. Grain: account_id, trade_id.
-- With `losing_only` they count while the oldest of them loses at the price of the new one.
with accounts as (
    select accounts.account, terms.layers, terms.losing_only
    from facts.rule_accounts as accounts
    inner join terms.grid as terms using (product, product_version, stage)
),

followed as (
    select
        account,
        market,
        side,
        place,
        opened_at,
        max(coalesce(closed_at, 'infinity')) over (
            partition by account, market, side order by place rows between unbounded preceding and 1 preceding
        ) as earlier_until
    from facts.rule_trades
    semi join accounts using (account)
    where in_stack
),

-- positions that overlap follow each other in chains; only long ones are looked into
chained as (
    select
        account,
        market,
        side,
        place,
        count(*) filter (where coalesce(opened_at >= earlier_until, true)) over (
            partition by account, market, side order by place
        ) as chain
    from followed
),

long_chains as (
    select chained.account, chained.market, chained.side, chained.chain, accounts.layers, accounts.losing_only
    from chained
    inner join accounts using (account)
    group by all
    having count(*) > accounts.layers
),

candidates as (
    select chained.chain, long_chains.layers, long_chains.losing_only, trades.*
    from chained
    inner join long_chains using (account, market, side, chain)
    inner join facts.rule_trades as trades using (account, place)
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
        arg_min(old.open_price, old.place) as first_price,
        arg_min(old.trade_id, old.place) as first_id
    from candidates as new
    inner join candidates as old
        on
            new.account = old.account
            and new.market = old.market
            and new.side = old.side
            and new.chain = old.chain
            and old.place < new.place
            and coalesce(old.closed_at, 'infinity') > new.opened_at
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
