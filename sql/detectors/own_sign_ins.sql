-- Sign-ins from addresses and devices that are a trader's own: those that several strangers share (exits, machine images,
-- services) are left out, and so are those without a country. Grain: trader_id, occurred_at, ip.
with shared_ips as (
    select ip
    from staging.logins
    group by ip
    having count(distinct trader_id) >= getvariable('kyc_mismatch_shared_by')
),

shared_devices as (
    select device_id
    from staging.logins
    where device_id is not null
    group by device_id
    having count(distinct trader_id) >= getvariable('kyc_mismatch_shared_by')
)

select
    trader_id,
    occurred_at,
    cast(occurred_at as date) as day,
    ip,
    device_id,
    country
from staging.logins
where
    country is not null
    and ip not in (select ip from shared_ips)
    and (device_id is null or device_id not in (select device_id from shared_devices))
