-- Positions that are still open: few of all that there were. Grain: account_id, trade_id.
select *
from facts.trades
where closed_at is null
