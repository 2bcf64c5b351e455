-- Positions that each request rests on: closed in its window, or open as it was made. Grain: payout_id, trade_id.
select
    windows.payout_id,
    trades.trade_id,
    trades.instrument,
    trades.side,
    cast(trades.lots as double) as lots,
    trades.opened_at,
    trades.closed_at,
    cast(trades.net_profit as decimal(38, 8)) as net_profit,
    trades.closed_at is null or trades.closed_at > windows.requested_at as open
from facts.payout_windows as windows
inner join facts.trades as trades using (account_id)
where
    trades.opened_at <= windows.requested_at
    and (
        trades.closed_at is null
        or windows.last_paid_at is null
        or trades.closed_at > windows.last_paid_at
    )
