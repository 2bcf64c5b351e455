-- Clicks of a partner that no person made: few sales for them, one machine, sales at once after the click. Grain: partner_id.
with visits as (
    select
        clicks.partner_id,
        count(*) as clicks,
        count(distinct coalesce(clicks.device_id, clicks.ip, clicks.click_id)) as visitors,
        min(clicks.occurred_at) as first_at,
        max(clicks.occurred_at) as last_at
    from staging.clicks as clicks
    group by clicks.partner_id
),

sales as (
    select
        partner_id,
        count(*) filter (where clicked_purchases > 0) as clicked,
        count(*) filter (where click_to_purchase_s between 0 and getvariable('click_stuffing_instant_s')) as instant
    from detectors.partner_buyers
    group by partner_id
)

select
    visits.partner_id,
    visits.clicks,
    visits.visitors,
    visits.clicks - visits.visitors as repeated,
    coalesce(sales.clicked, 0) as clicked,
    coalesce(sales.instant, 0) as instant,
    visits.first_at,
    visits.last_at
from visits
left join sales using (partner_id)
