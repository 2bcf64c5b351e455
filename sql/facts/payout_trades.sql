-- Positions that each request rests on: closed in its window, or open as it was made, and the firm days on which they
-- were opened and closed; net profits are what was added to the balance. Grain: payout_id, trade_id.
with made as (
    select
        deals.account_id,
        deals.trade_id,
        sum(net_as_walked(deals.profit, deals.commission, deals.swap, deals.fee, accounts.currency)) as net_profit
    from facts.trade_deals as deals
    inner join facts.accounts as accounts using (account_id)
    semi join facts.payout_windows as windows using (account_id)
    group by deals.account_id, deals.trade_id
)

select
    windows.payout_id,
    trades.trade_id,
    trades.instrument,
    trades.side,
    cast(trades.lots as double) as lots,
    trades.opened_at,
    trades.closed_at,
    made.net_profit,
    trades.stop_loss is not null as stopped,
    trades.closed_at is null or trades.closed_at > windows.requested_at as open,
    opening.firm_day as opened_day,
    closing.firm_day as closed_day
from facts.payout_windows as windows
inner join facts.trades as trades using (account_id)
inner join made using (account_id, trade_id)
inner join facts.accounts as bought using (account_id)
asof left join terms.payout_resets as opening
    on
        bought.product = opening.product
        and bought.product_version = opening.product_version
        and trades.opened_at >= opening.opened_at
asof left join terms.payout_resets as closing
    on
        bought.product = closing.product
        and bought.product_version = closing.product_version
        and trades.closed_at >= closing.opened_at
where
    trades.opened_at <= windows.requested_at
    and (
        trades.closed_at is null
        or windows.last_paid_at is null
        or trades.closed_at > windows.last_paid_at
    )
