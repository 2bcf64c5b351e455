-- Positions that may break a rule (`decided.suspects`), cut at the last instant that counts. Grain: account_id, trade_id.
-- A position still open then has neither closed_at nor net_profit; `held_until` says how long it counted as open.
-- Average prices are rounded, so that equal prices are equal. `account`, `market` (the instrument) and `place` (the order
-- of opening among them) are numbers for this run, by which rules follow positions.
select
    accounts.account,
    cast(markets.market + 1 as integer) as market,
    cast(
        row_number() over (partition by accounts.account order by trades.opened_at, trades.trade_id) as integer
    ) as place,
    trades.account_id,
    trades.trade_id,
    accounts.product,
    accounts.product_version,
    accounts.stage,
    accounts.currency,
    trades.symbol,
    trades.instrument,
    trades.side,
    cast(trades.lots as decimal(18, 8)) as lots,
    trades.opened_at,
    case when trades.closed_at <= accounts.until then trades.closed_at end as closed_at,
    least(coalesce(trades.closed_at, accounts.until), accounts.until) as held_until,
    case when trades.closed_at <= accounts.until then cast(trades.net_profit as decimal(18, 8)) end as net_profit,
    round(trades.open_price, 10) as open_price,
    round(trades.close_price, 10) as close_price,
    trades.profit,
    trades.stop_loss,
    trades.stopped,
    accounts.until,
    suspects.by_deals,
    suspects.by_itself,
    suspects.in_stack,
    suspects.beside_opposite,
    suspects.in_losing_idea,
    suspects.over_cutoff,
    suspects.in_addition
from facts.trades as trades
inner join facts.rule_accounts as accounts using (account_id)
inner join decided.suspects as suspects on trades.rowid = suspects.trade
inner join facts.rule_markets as markets using (symbol)
where trades.opened_at <= accounts.until
