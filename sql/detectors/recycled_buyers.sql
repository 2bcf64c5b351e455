-- Buyers of a partner whose owner was first credited to another partner. Grain: partner_id.
select
    partner_id,
    count(distinct owner_id) as buyers,
    count(distinct owner_id) filter (where is_recycled) as recycled,
    min(first_at) filter (where is_recycled) as first_at,
    max(last_at) filter (where is_recycled) as last_at
from detectors.partner_buyers
group by partner_id
having count(*) filter (where is_recycled) > 0
