-- Round trips: one row per position from its first opening to its last close. Grain: account_id, trade_id.
-- closed_at is empty while lots are open; a position whose opening lies before the history has no opened_at and is left out.
-- `losses` is what its losing deals lost in all, `stopped` whether any of its deals tells a stop loss, `netted` whether it
-- is an episode of a netted position and so named after it with a number.
with positions as (
    select
        account_id,
        trade_id,
        arg_min(symbol, executed_at) as symbol,
        arg_min(side, executed_at) filter (where role = 'in') as side,
        sum(lots) filter (where role = 'in') as lots,
        sum(lots) filter (where role = 'out') as lots_closed,
        min(executed_at) filter (where role = 'in') as opened_at,
        max(executed_at) filter (where role = 'out') as last_out_at,
        -- the mean of the prices that are told
        sum(price * lots) filter (where role = 'in')
        / nullif(sum(lots) filter (where role = 'in' and price is not null), 0) as open_price,
        sum(price * lots) filter (where role = 'out')
        / nullif(sum(lots) filter (where role = 'out' and price is not null), 0) as close_price,
        sum(profit) as profit,
        sum(commission) as commission,
        sum(swap) as swap,
        sum(fee) as fee,
        arg_min(stop_loss, executed_at) filter (where role = 'in') as stop_loss,
        arg_min(take_profit, executed_at) filter (where role = 'in') as take_profit,
        arg_min(reason, executed_at) filter (where role = 'in') as open_reason,
        arg_max(reason, executed_at) filter (where role = 'out') as close_reason,
        arg_min(magic, executed_at) filter (where role = 'in') as magic,
        arg_min(comment, executed_at) filter (where role = 'in') as comment,
        cast(count(*) filter (where role = 'out') as integer) as closing_deals,
        cast(count(*) filter (where role = 'in') as integer) as opening_deals,
        -sum(least(profit + commission + swap + fee, 0)) as losses,
        coalesce(bool_or(stop_loss > 0), false) as stopped,
        any_value(trade_id <> position) as netted
    from facts.trade_deals
    group by account_id, trade_id
)

select
    positions.account_id,
    positions.trade_id,
    positions.symbol,
    coalesce(instruments.instrument, upper(positions.symbol)) as instrument,
    positions.side,
    positions.lots,
    positions.opened_at,
    case when round(positions.lots - coalesce(positions.lots_closed, 0), 8) <= 0 then positions.last_out_at end as closed_at,
    positions.open_price,
    positions.close_price,
    positions.profit,
    positions.commission,
    positions.swap,
    positions.fee,
    positions.profit + positions.commission + positions.swap + positions.fee as net_profit,
    nullif(positions.stop_loss, 0) as stop_loss,
    nullif(positions.take_profit, 0) as take_profit,
    positions.open_reason,
    positions.close_reason,
    positions.magic,
    positions.comment,
    positions.closing_deals,
    positions.opening_deals,
    positions.losses,
    positions.stopped,
    positions.netted
from positions
left join terms.instruments as instruments using (symbol)
where positions.opened_at is not null
