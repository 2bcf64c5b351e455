-- Trades that detectors measure: all, or in a run that goes on from what was kept those of some accounts.
-- Grain: account_id, trade_id.
select * from facts.trades
