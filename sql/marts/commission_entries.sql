-- Every commission entry with its plan, when it falls due, and why it is held. Grain: one posting.
select
    entries.partner_id,
    entries.challenge_id,
    challenges.desk_id,
    entries.trader_id,
    entries.event,
    entries.level,
    entries.amount,
    entries.currency,
    entries.state,
    entries.happened_at,
    entries.due_at,
    entries.plan,
    entries.plan_version,
    entries.held_because
from decided.commission_entries as entries
left join staging.challenges as challenges using (challenge_id)
