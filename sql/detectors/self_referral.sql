-- What ties a partner to the traders they are credited with. Grain: partner_id; only partners with such a buyer.
-- One owner: records of a single person among the buyers, where they are half of them or more.
with largest as (
    select partner_id, max(records) as records
    from (select partner_id, owner_id, count(*) as records from detectors.partner_buyers group by partner_id, owner_id)
    group by partner_id
),

-- how many people of the firm bear a partner's name
namesakes as (
    select lower(trim(traders.full_name)) as name, count(distinct coalesce(owners.owner_id, traders.trader_id)) as people
    from staging.traders as traders
    left join decided.owners as owners using (trader_id)
    where lower(trim(traders.full_name)) in (select lower(trim(name)) from staging.partners)
    group by 1
)

select
    buyers.partner_id,
    count(*) as buyers,
    if(any_value(largest.records) * 2 >= count(*) and any_value(largest.records) > 1, any_value(largest.records), 0)
        as one_owner,
    count(*) filter (where same_destination) as same_destination,
    count(*) filter (where same_instrument) as same_instrument,
    count(*) filter (where same_mailbox) as same_mailbox,
    count(*) filter (where in_own_cluster and not same_destination and not same_mailbox) as own_cluster,
    count(*) filter (where same_name) as same_name,
    any_value(namesakes.people) as namesakes,
    (select count(*) from staging.traders) as traders,
    count(*) filter (where shares_click_device) as shared_click_device,
    min(first_at) filter (
        where same_destination or same_instrument or same_mailbox or in_own_cluster or same_name or largest.records > 1
    ) as first_at,
    max(last_at) filter (
        where same_destination or same_instrument or same_mailbox or in_own_cluster or same_name or largest.records > 1
    ) as last_at
from detectors.partner_buyers as buyers
inner join largest using (partner_id)
inner join staging.partners as partners using (partner_id)
left join namesakes on lower(trim(partners.name)) = namesakes.name
group by buyers.partner_id
having
    bool_or(same_destination or same_instrument or same_mailbox or in_own_cluster or same_name)
    or one_owner > 0
