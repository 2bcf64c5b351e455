-- Which partner every purchase is credited to, in which share and by what; why its commission waits. Grain: challenge_id,
-- partner_id.
select challenge_id, partner_id, share, how, held_because
from decided.credits
