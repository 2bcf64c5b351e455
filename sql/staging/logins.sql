-- Sign-ins of traders. Newest version of each record as of the run. Grain: trader_id, occurred_at, ip.
with corrected as (
    select trader_id, occurred_at, ip, max(_version) as newest
    from lake.logins
    where _version > 1
    group by trader_id, occurred_at, ip
)

select
    told.trader_id,
    told.occurred_at,
    told.ip,
    told.account_id,
    told.device_id,
    told.country,
    told._load_id,
    told._line,
    told._version
from lake.logins as told
left join corrected using (trader_id, occurred_at, ip)
where
    told.occurred_at <= getvariable('as_of')
    and (corrected.newest is null or told._version = corrected.newest)
