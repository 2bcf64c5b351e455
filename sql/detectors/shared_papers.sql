-- Papers that were handed in under more than one date of birth or country. Grain: trader_id.
select
    one.trader_id,
    count(distinct other.trader_id) as others,
    min(other.trader_id) as other_trader_id
from staging.traders as one
inner join staging.traders as other
    on
        one.kyc_document = other.kyc_document
        and one.trader_id <> other.trader_id
        and (one.date_of_birth <> other.date_of_birth or one.country <> other.country)
group by one.trader_id
