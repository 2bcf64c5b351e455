-- The mailbox of each partner and trader: an address without letter case, tags and, at Google, dots. Grain: kind, id.
select
    kind,
    id,
    case
        when domain in ('gmail.com', 'googlemail.com') then replace(split_part(box, '+', 1), '.', '') || '@gmail.com'
        else split_part(box, '+', 1) || '@' || domain
    end as mailbox
from (
    select kind, id, split_part(lower(trim(email)), '@', 1) as box, split_part(lower(trim(email)), '@', 2) as domain
    from (
        select 'partner' as kind, partner_id as id, email from staging.partners
        union all
        select 'trader', trader_id, email from staging.traders
    )
    where email like '%_@_%'
)
