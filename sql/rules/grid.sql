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
        new.account,
        new.place,
        new.account_id,
        new.trade_id,
        new.instrument,
        new.side,
        new.opened_at,
        new.layers,
        new.losing_only,
        count(*) + 1 as layers_open,
        min(old.place) as first_place,
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
    stacked.account_id,
    stacked.opened_at as happened_at,
    'breached' as outcome,
    cast(stacked.layers_open as double) as observed,
    cast(stacked.layers as double) as allowed,
    stacked.trade_id,
    json_object('instrument', stacked.instrument, 'side', stacked.side, 'first_trade_id', stacked.first_id) as detail
from stacked
inner join facts.rule_openings as openings using (account, place, opened_at)
asof inner join facts.rule_openings as firsts
    on
        stacked.account = firsts.account
        and stacked.first_place = firsts.place
        and stacked.opened_at >= firsts.opened_at
where
    stacked.layers_open > stacked.layers
    and (
        not stacked.losing_only
        or case stacked.side
            when 'buy' then openings.price < firsts.average_price else openings.price > firsts.average_price
        end
    )
