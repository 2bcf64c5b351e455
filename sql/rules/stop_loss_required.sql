-- Positions without a stop loss when the time allowed to set it is over, or whose stop risks too much.
-- The feed tells stops on deals: one told on a later deal of the position was set at a time nobody knows, so with a
-- time allowed it counts as set in time. Grain: account_id, trade_id.
with trades as (
    select trades.*, accounts.initial_balance, terms.grace_seconds, terms.max_risk_percent
    from facts.rule_trades as trades
    inner join facts.rule_accounts as accounts using (account)
    inner join terms.stop_loss_required as terms
        on
            accounts.product = terms.product
            and accounts.product_version = terms.product_version
            and accounts.stage = terms.stage
)

select
    trades.account_id,
    trades.opened_at + to_seconds(trades.grace_seconds) as happened_at,
    'breached' as outcome,
    cast(0 as double) as observed,
    cast(trades.grace_seconds as double) as allowed,
    trades.trade_id,
    json_object('instrument', trades.instrument) as detail
from trades
where
    trades.stop_loss is null
    and (trades.grace_seconds = 0 or not trades.stopped)
    and trades.held_until >= trades.opened_at + to_seconds(trades.grace_seconds)
    and (trades.closed_at is null or trades.closed_at > trades.opened_at + to_seconds(trades.grace_seconds))

union all

select
    trades.account_id,
    trades.opened_at,
    'breached',
    abs(trades.open_price - trades.stop_loss) * worth.point_value,
    trades.max_risk_percent / 100 * cast(trades.initial_balance as double),
    trades.trade_id,
    json_object('instrument', trades.instrument, 'stop_loss', trades.stop_loss)
from trades
inner join facts.rule_trade_values as worth using (account, place)
where
    trades.max_risk_percent is not null
    and round(abs(trades.open_price - trades.stop_loss) * worth.point_value, 2)
    > round(trades.max_risk_percent / 100 * cast(trades.initial_balance as double), 2)
