-- What each position made in a request's window (after the last payout, up to the request), closed or not, costs
-- included and each amount rounded as the walk does; a position whose opening lies before the history has no opened_at.
-- Grain: payout_id, trade_id.
with made as (
    select
        windows.payout_id,
        windows.account_id,
        deals.trade_id,
        sum(net_as_walked(deals.profit, deals.commission, deals.swap, deals.fee, accounts.currency)) as made
    from facts.payout_windows as windows
    inner join facts.accounts as accounts using (account_id)
    inner join facts.trade_deals as deals
        on
            windows.account_id = deals.account_id
            and deals.executed_at <= windows.requested_at
            and (windows.last_paid_at is null or deals.executed_at > windows.last_paid_at)
    group by windows.payout_id, windows.account_id, deals.trade_id
)

select
    made.payout_id,
    made.trade_id,
    made.made,
    trades.instrument,
    trades.side,
    trades.opened_at,
    trades.closed_at
from made
left join facts.trades as trades using (account_id, trade_id)
