-- Positions with what detectors measure: holding time, size in money, the loss at the stop. Grain: account_id, trade_id.
-- Partial closes are one position; a stop counts only on the losing side of the entry.
select
    trades.account_id,
    trades.trade_id,
    trades.instrument,
    trades.symbol,
    trades.side,
    trades.lots,
    trades.opened_at,
    trades.closed_at,
    trades.open_price,
    trades.close_price,
    trades.profit as gross_profit,
    trades.net_profit,
    trades.open_reason,
    trades.close_reason,
    trades.magic,
    trades.comment,
    trades.stop_loss,
    trades.take_profit,
    epoch(trades.closed_at - trades.opened_at) as hold_s,
    trades.lots * point.usual_result_per_lot as usual_result,
    point.usual_hold_s,
    trades.lots * point.usual_result_per_lot / accounts.initial_balance as size,
    coalesce(trades.close_reason in ('sl', 'tp') and abs(trades.close_price - trades.open_price)
        >= getvariable('detectors_usual_exit_share') * point.usual_move, false) as ended_by_market,
    case
        when (trades.open_price - trades.stop_loss) * if(trades.side = 'buy', 1, -1) > 0
            then abs(trades.open_price - trades.stop_loss) * trades.lots * point.point_value
    end as stop_risk
from detectors.trades as trades
inner join detectors.allowances as accounts using (account_id)
left join detectors.point_values as point
    on trades.instrument = point.instrument and accounts.currency = point.currency
