-- Devices, instruments, destinations, documents and addresses that two or more traders used. Grain: kind, value, trader_id.
with used as (
    select 'device' as kind, device_id as value, trader_id from facts.sign_ins where device_id is not null
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
    select 'ip', ip, trader_id from facts.sign_ins
),

shared as (
    select kind, value, cast(count(*) as integer) as holders
    from used
    group by kind, value
    having count(*) > 1
)

select used.kind, used.value, used.trader_id, shared.holders
from used
inner join shared using (kind, value)
