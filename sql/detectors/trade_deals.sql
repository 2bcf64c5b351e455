-- Deals of the trades that several deals opened or closed: what a single one did, the trade tells itself.
-- Grain: account_id, deal_id, part.
select account_id, trade_id, deal_id, role, executed_at, price, lots
from facts.trade_deals
semi join (
    select account_id, trade_id
    from detectors.trades
    where opening_deals > 1 or closing_deals > 1
) as several using (account_id, trade_id)
