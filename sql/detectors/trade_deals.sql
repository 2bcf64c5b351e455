-- Deals of the trades that detectors measure, what they read of them. Grain: account_id, deal_id, part.
select account_id, trade_id, deal_id, role, executed_at, price, lots from facts.trade_deals
