-- Every commission entry with its plan, when it falls due, and why it is held. Grain: one posting.
select
    partner_id,
    challenge_id,
    trader_id,
    event,
    level,
    amount,
    currency,
    state,
    happened_at,
    due_at,
    plan,
    plan_version,
    held_because
from decided.commission_entries
