-- Coupon sales of a partner without a click: how far they have risen, and whether they come from elsewhere. Grain: partner_id.
with homes as (
    select partner_id, list(distinct country) filter (where country is not null) as countries
    from detectors.partner_buyers
    where clicked_purchases > 0
    group by partner_id
),

sales as (
    select
        buyers.partner_id,
        buyers.first_at,
        buyers.last_at,
        buyers.coupon_purchases > 0 and buyers.clicked_purchases = 0 as is_bare_coupon,
        homes.countries is not null and not list_contains(homes.countries, buyers.country) as is_elsewhere,
        date_diff('day', buyers.first_at, getvariable('as_of')) < getvariable('coupon_leakage_recent_days') as is_recent,
        date_diff('day', partners.joined_at, getvariable('as_of')) as age_days
    from detectors.partner_buyers as buyers
    inner join staging.partners as partners using (partner_id)
    left join homes on buyers.partner_id = homes.partner_id
)

select
    partner_id,
    count(*) as buyers,
    count(*) filter (where is_bare_coupon) as bare_coupon,
    count(*) filter (where is_bare_coupon and is_recent) as recent,
    count(*) filter (where is_bare_coupon and not is_recent)
        / greatest(any_value(age_days) / getvariable('coupon_leakage_recent_days') - 1, 1) as usual,
    count(*) filter (where is_bare_coupon and is_elsewhere) as elsewhere,
    min(first_at) filter (where is_bare_coupon) as first_at,
    max(last_at) filter (where is_bare_coupon) as last_at
from sales
group by partner_id
having count(*) filter (where is_bare_coupon) > 0
