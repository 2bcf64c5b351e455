-- Deals of the trades that detectors measure. Grain: account_id, deal_id, part.
select * from facts.trade_deals
