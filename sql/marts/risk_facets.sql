-- How many accounts the risk queue holds under each combination of its filters. Grain: desk_id, product, stage, platform, state.
select desk_id, product, stage, platform, state, count(*) as accounts
from marts.risk_queue
group by all
