-- Executions of positions for which they matter, up to the last instant that counts.
-- Grain: account, place, deal_id, role.
-- What closes a position that was opened before the history is left out with that position. Of those opened with one deal
-- and closed with one, where no rule follows all executions of the account, the position itself tells what matters.
select
    trades.account,
    trades.market,
    trades.place,
    trades.opened_at,
    deals.role,
    deals.deal_id,
    deals.executed_at,
    cast(deals.lots as decimal(18, 8)) as lots,
    deals.price,
    cast(deals.profit + deals.commission + deals.swap + deals.fee as decimal(18, 8)) as net
from facts.trade_deals as deals
inner join facts.rule_trades as trades using (account_id, trade_id)
where trades.by_deals and deals.executed_at <= trades.until

union all

select account, market, place, opened_at, 'in', null, opened_at, lots, open_price, null
from facts.rule_trades
where by_itself

union all

select account, market, place, opened_at, 'out', null, closed_at, lots, close_price, null
from facts.rule_trades
where by_itself and closed_at is not null
