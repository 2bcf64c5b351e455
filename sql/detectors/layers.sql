-- Entries that were open together in one instrument and direction: baskets. Grain: account_id, instrument, side, entry.
-- Every opening deal is a layer, so netted platforms are seen alike; what follows within seconds is a piece of the same
-- order. A position that one deal opened is told by itself, one that several opened by its deals.
with entries as (
    select
        account_id,
        instrument,
        side,
        trade_id as entry,
        opened_at,
        open_price as price,
        lots,
        coalesce(closed_at, getvariable('as_of')) as closed_at
    from detectors.trades
    where opening_deals = 1

    union all

    select
        deals.account_id,
        trades.instrument,
        trades.side,
        deals.deal_id,
        deals.executed_at,
        deals.price,
        deals.lots,
        coalesce(trades.closed_at, getvariable('as_of'))
    from detectors.trade_deals as deals
    inner join detectors.trades as trades using (account_id, trade_id)
    where deals.role = 'in' and trades.opening_deals > 1
),

chained as (
    select
        *,
        opened_at >= max(closed_at) over (
            partition by account_id, instrument, side order by opened_at, entry
            rows between unbounded preceding and 1 preceding
        ) as begins,
        opened_at - lag(opened_at) over (partition by account_id, instrument, side order by opened_at, entry)
        <= to_seconds(getvariable('grid_piece_s')) as is_piece
    from entries
)

select
    *,
    count(*) filter (where coalesce(begins, true)) over entered as basket,
    if(begins, null, (price - lag(price) over entered) * if(side = 'buy', -1, 1)) as step
from chained
where coalesce(begins, true) or not is_piece
window entered as (
    partition by account_id, instrument, side order by opened_at, entry
    rows between unbounded preceding and current row
)
