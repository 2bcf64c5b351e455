-- Papers of several people of several countries in one hand: traders of one owner of other names and birth dates, each with papers
-- of their own. Grain: trader_id.
with held as (
    select
        owners.owner_id,
        traders.trader_id,
        lower(traders.full_name) as full_name,
        traders.date_of_birth,
        traders.country,
        traders.kyc_document
    from staging.traders as traders
    inner join decided.owners as owners using (trader_id)
    where traders.kyc_document is not null and owners.members > 1
)

select
    one.trader_id,
    count(distinct other.kyc_document) as owned_papers,
    count(distinct other.country) filter (where other.country <> one.country) as owned_countries
from held as one
inner join held as other using (owner_id)
where
    one.full_name <> other.full_name
    and one.date_of_birth <> other.date_of_birth
    and one.kyc_document <> other.kyc_document
group by one.trader_id
