-- Devices, instruments, destinations, documents and addresses that two or more traders used. Grain: kind, value, trader_id.
with used as (
    select 'device' as kind, device_id as value, trader_id from staging.logins where device_id is not null
    union
    select 'instrument', instrument, trader_id from staging.payments where instrument is not null
    union
    select 'destination', payouts.destination, accounts.trader_id
    from staging.payouts as payouts
    inner join staging.accounts as accounts using (account_id)
    where payouts.destination is not null
    union
    select 'document', kyc_document, trader_id from staging.traders where kyc_document is not null
    union
    select 'ip', ip, trader_id from staging.logins
),

counted as (
    select kind, value, trader_id, count(*) over (partition by kind, value) as holders
    from used
)

select kind, value, trader_id, cast(holders as integer) as holders
from counted
where holders > 1
