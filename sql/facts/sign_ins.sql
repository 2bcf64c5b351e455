-- Who signed in with which device from which address, and how often. Grain: trader_id, device_id, ip.
select trader_id, device_id, ip, count(*) as records
from staging.logins
group by all
