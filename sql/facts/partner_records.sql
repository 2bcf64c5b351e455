-- A partner's place in the tree and plan over time: each record counts from its joined_at until the next one does.
-- A record told again with the same joined_at corrects the earlier one, with a later one it moves the partner. Grain:
-- partner_id, effective_from.
select
    partner_id,
    joined_at as effective_from,
    first(parent_partner_id order by _version desc) as parent_partner_id,
    first(plan order by _version desc) as plan
from lake.partners
where joined_at <= getvariable('as_of')
group by partner_id, joined_at
