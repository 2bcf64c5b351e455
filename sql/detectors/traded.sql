-- How each account has traded: its last entry and end, whether something is open, on which days it came in.
-- Grain: account_id.
select
    account_id,
    count(*) as positions,
    list_distinct(list(cast(opened_at as date))) as days,
    max(opened_at) as last_opened_at,
    max(closed_at) as last_closed_at,
    max(greatest(opened_at, coalesce(closed_at, opened_at))) as last_traded_at,
    bool_or(closed_at is null) as is_open
from detectors.trades
group by account_id
