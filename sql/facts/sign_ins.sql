-- Who signed in to which account with which device from which address, how often and when last. Grain: trader_id,
-- account_id, device_id, ip.
select trader_id, account_id, device_id, ip, count(*) as records, max(occurred_at) as newest_at
from staging.logins
group by all
