-- How each trader can be written to, and whether they agreed. Grain: trader_id. Who never said anything has not agreed.
with newest as (
    select trader_id, arg_max(given, occurred_at) = 'yes' as consent
    from staging.consents
    group by trader_id
)

select
    traders.trader_id,
    traders.full_name,
    traders.email,
    traders.country,
    coalesce(newest.consent, false) as consent
from staging.traders as traders
left join newest using (trader_id)
