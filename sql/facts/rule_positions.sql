-- Trades of the accounts under judgement as numbers, for the pass that tells which of them rules must look into.
-- Accounts count from nought, instants are in microseconds, `trade` is the row of facts.trades, `own_value` what a point
-- of price is worth by the trade's own result; what is not known is not a number, and flags are 0 and 1. Grain: trade.
select
    trades.rowid as trade,
    accounts.account - 1 as account,
    markets.code,
    cast(trades.lots as double) as lots,
    epoch_us(trades.opened_at) as opened_us,
    epoch_us(least(coalesce(trades.closed_at, accounts.until), accounts.until)) as held_us,
    cast(trades.net_profit as double) as net,
    trades.losses,
    trades.opening_deals + trades.closing_deals as deals,
    trades.opening_deals,
    coalesce(abs(trades.open_price - trades.stop_loss), 'nan') as stop_distance,
    coalesce(trades.open_price, 0) as open_price,
    coalesce(abs(trades.profit / nullif(trades.close_price - trades.open_price, 0)), 'nan') as own_value,
    cast(coalesce(trades.side = 'sell', false) as utinyint) as sold,
    cast(coalesce(trades.closed_at <= accounts.until, false) as utinyint) as closed
from facts.trades as trades
inner join facts.rule_accounts as accounts using (account_id)
inner join facts.rule_markets as markets using (symbol)
where trades.opened_at <= accounts.until
