-- Trades closed sooner than the stage allows. Grain: account_id, trade_id.
select
    trades.account_id,
    trades.closed_at as happened_at,
    'breached' as outcome,
    (epoch_us(trades.closed_at) - epoch_us(trades.opened_at)) / 1e6 as observed,
    cast(terms.seconds as double) as allowed,
    trades.trade_id,
    json_object('instrument', trades.instrument) as detail
from facts.rule_trades as trades
inner join terms.holding_time as terms using (product, product_version, stage)
where trades.closed_at < trades.opened_at + to_seconds(terms.seconds)
