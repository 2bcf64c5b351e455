-- Rings whose accounts came through a partner or through those below it. Grain: partner_id, ring_id.
-- An account belongs to the partner with the largest share of its purchase, and to all above that partner.
with recursive up as (
    select partner_id, partner_id as above, 0 as level
    from staging.partners
    union
    select up.partner_id, partners.parent_partner_id, up.level + 1
    from up
    inner join decided.partner_places as partners on up.above = partners.partner_id
    where partners.parent_partner_id is not null and up.level < 6
),

members as (
    select rings.ring_id, rings.kind, rings.strength, rings.account_id, challenges.partner_id
    from decided.copy_rings as rings
    inner join staging.accounts as accounts using (account_id)
    inner join marts.cohort_challenges as challenges on accounts.challenge_id = challenges.challenge_id
),

sizes as (
    select ring_id, count(distinct account_id) as ring_accounts from members group by ring_id
)

select
    up.above as partner_id,
    members.ring_id,
    any_value(members.kind) as kind,
    max(members.strength) as strength,
    count(distinct members.account_id) as accounts,
    count(distinct members.partner_id) as partners,
    any_value(sizes.ring_accounts) as ring_accounts
from members
inner join up on members.partner_id = up.partner_id
inner join sizes using (ring_id)
group by up.above, members.ring_id
having count(distinct members.account_id) > 1
