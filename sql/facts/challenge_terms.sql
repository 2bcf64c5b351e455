-- The product version that each challenge bought: the newest in force at purchase among those sold at its desk, in the
-- buyer's country and with its coupon, a narrower one before a general one. Grain: challenge_id.
with sold as (
    select
        challenges.challenge_id,
        terms.product_version,
        row_number() over (
            partition by challenges.challenge_id
            order by terms.narrowness desc, terms.product_version desc
        ) as place
    from staging.challenges as challenges
    inner join terms.versions as terms
        on challenges.product = terms.product and terms.effective_from <= challenges.purchased_at
    left join staging.traders as traders using (trader_id)
    where
        (len(terms.desks) = 0 or list_contains(terms.desks, challenges.desk_id))
        and (len(terms.countries) = 0 or list_contains(terms.countries, traders.country))
        and (len(terms.coupons) = 0 or list_contains(terms.coupons, challenges.coupon))
)

select challenge_id, product_version
from sold
where place = 1
