-- Entries that were open together in one instrument and direction: baskets. Grain: account_id, instrument, side, entry.
-- Every opening deal is a layer, so netted platforms are seen alike; what follows within seconds is a piece of the same
-- order.
with entries as (
    select
        deals.account_id,
        trades.instrument,
        trades.side,
        deals.deal_id,
        deals.executed_at as opened_at,
        deals.price,
        deals.lots,
        coalesce(trades.closed_at, getvariable('as_of')) as closed_at
    from detectors.trade_deals as deals
    inner join detectors.trades as trades using (account_id, trade_id)
    where deals.role = 'in'
),

chained as (
    select
        *,
        opened_at >= max(closed_at) over (
            partition by account_id, instrument, side order by opened_at, deal_id
            rows between unbounded preceding and 1 preceding
        ) as begins,
        opened_at - lag(opened_at) over (partition by account_id, instrument, side order by opened_at, deal_id)
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
    partition by account_id, instrument, side order by opened_at, deal_id
    rows between unbounded preceding and current row
)
