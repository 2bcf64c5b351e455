-- Purchases whose fee no rate of their day turns into the currency of their desk; nothing needs none. Grain: challenge_id.
with sold as (
    select
        challenges.challenge_id,
        challenges.currency,
        desks.currency as desk_currency,
        cast(challenges.purchased_at as date) as day
    from staging.challenges as challenges
    inner join staging.desks as desks using (desk_id)
    where challenges.currency <> desks.currency and challenges.fee > 0
),

rates as (
    select currency, day, rate_to_usd from staging.rates
)

select
    sold.challenge_id,
    case when told.rate_to_usd is null and sold.currency <> 'USD' then sold.currency else sold.desk_currency end as currency
from sold
asof left join rates as told on sold.currency = told.currency and sold.day >= told.day
asof left join rates as wanted on sold.desk_currency = wanted.currency and sold.day >= wanted.day
where
    (told.rate_to_usd is null and sold.currency <> 'USD')
    or (wanted.rate_to_usd is null and sold.desk_currency <> 'USD')
