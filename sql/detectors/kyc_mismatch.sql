-- Days on which each trader signed in from the country of the papers or from elsewhere, and who else handed those papers in.
-- Grain: trader_id.
-- Left out: addresses and devices that several strangers share (exits, machine images, services), sign-ins without country.
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
),

days as (
    select
        logins.trader_id,
        cast(logins.occurred_at as date) as day,
        bool_or(logins.country = traders.country) as at_home,
        mode(logins.country) as country,
        min(logins.occurred_at) as first_at,
        max(logins.occurred_at) as last_at
    from staging.logins as logins
    inner join staging.traders as traders using (trader_id)
    where
        logins.country is not null
        and traders.country is not null
        and logins.ip not in (select ip from shared_ips)
        and (logins.device_id is null or logins.device_id not in (select device_id from shared_devices))
    group by logins.trader_id, cast(logins.occurred_at as date)
),

places as (
    select
        trader_id,
        count(*) as days,
        count(*) filter (where at_home) as home_days,
        mode(country) filter (where not at_home) as other_country,
        date_diff('day', min(day) filter (where not at_home), max(day) filter (where not at_home)) + 1 as away_span_days,
        min(first_at) filter (where not at_home) as first_at,
        max(last_at) filter (where not at_home) as last_at
    from days
    group by trader_id
)

select
    traders.trader_id,
    traders.country as papers_country,
    traders.kyc_status,
    coalesce(places.days, 0) as days,
    coalesce(places.home_days, 0) as home_days,
    places.other_country,
    places.away_span_days,
    coalesce(papers.others, 0) as others,
    coalesce(places.first_at, traders.kyc_checked_at, traders.registered_at) as first_at,
    coalesce(places.last_at, traders.kyc_checked_at, traders.registered_at) as last_at
from staging.traders as traders
left join places using (trader_id)
left join detectors.shared_papers as papers using (trader_id)
where places.trader_id is not null or papers.trader_id is not null
