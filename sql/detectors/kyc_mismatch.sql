-- Days on which each trader signed in from the country of the papers or from elsewhere, or from both at once, who else handed
-- those papers in, which strangers are paid to the same destination, and the papers of others in the same hand. Grain: trader_id.
with days as (
    select
        sign_ins.trader_id,
        sign_ins.day,
        bool_or(sign_ins.country = traders.country) as at_home,
        mode(sign_ins.country) as country,
        min(sign_ins.occurred_at) as first_at,
        max(sign_ins.occurred_at) as last_at
    from detectors.own_sign_ins as sign_ins
    inner join staging.traders as traders using (trader_id)
    where traders.country is not null
    group by sign_ins.trader_id, sign_ins.day
),

places as (
    select
        trader_id,
        count(*) as days,
        count(*) filter (where at_home) as home_days,
        max(day) filter (where at_home) > min(day) filter (where not at_home) as has_returned,
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
    coalesce(places.has_returned, false) as has_returned,
    places.other_country,
    places.away_span_days,
    coalesce(two_places.conflict_days, 0) as conflict_days,
    coalesce(two_places.turns, 0) as turns,
    coalesce(two_places.steps, 0) as steps,
    coalesce(papers.others, 0) as others,
    coalesce(paid.strangers, 0) as strangers,
    paid.destination_users,
    paid.destination,
    coalesce(owned.owned_papers, 0) as owned_papers,
    coalesce(owned.owned_countries, 0) as owned_countries,
    coalesce(places.first_at, two_places.first_day, paid.first_at, traders.kyc_checked_at, traders.registered_at) as first_at,
    coalesce(
        greatest(places.last_at, two_places.last_day, paid.last_at), traders.kyc_checked_at, traders.registered_at
    ) as last_at
from staging.traders as traders
left join places using (trader_id)
left join detectors.two_places as two_places using (trader_id)
left join detectors.shared_papers as papers using (trader_id)
left join detectors.shared_destinations as paid using (trader_id)
left join detectors.papers_of_one_owner as owned using (trader_id)
where
    places.trader_id is not null or papers.trader_id is not null or paid.trader_id is not null
    or owned.trader_id is not null
