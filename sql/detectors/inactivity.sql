-- How long each account that could be traded lay still: since its opening, last entry or last payout, until it was
-- closed or the run's instant. Grain: account_id. Open positions and waiting payouts are no rest.
with traded as (
    select account_id, max(opened_at) as last_opened_at, bool_or(closed_at is null) as is_open
    from facts.trades
    group by account_id
),

moved as (
    select account_id, max(executed_at) as last_moved_at
    from staging.deals
    where kind = 'balance'
    group by account_id
),

asked as (
    select payouts.account_id, max(payouts.requested_at) as last_asked_at
    from staging.payouts as payouts
    left join facts.paid as paid using (payout_id)
    where paid.payout_id is null
    group by payouts.account_id
),

rested as (
    select
        accounts.account_id,
        coalesce(accounts.inactivity_days, getvariable('inactivity_days')) as allowed_days,
        greatest(accounts.opened_at, traded.last_opened_at, moved.last_moved_at) as rested_from,
        least(coalesce(accounts.closed_at, getvariable('as_of')), getvariable('as_of')) as rested_to,
        asked.last_asked_at,
        accounts.closed_at is not null as is_closed,
        coalesce(traded.is_open, false) as is_open,
        traded.account_id is null as never_traded
    from detectors.allowances as accounts
    left join traded using (account_id)
    left join moved using (account_id)
    left join asked using (account_id)
    where accounts.status is null or accounts.status not in ('passed', 'breached')
)

select
    *,
    is_open or coalesce(last_asked_at > rested_to - to_days(getvariable('inactivity_waiting_days')), false) as is_excused,
    epoch(rested_to - rested_from) / 86400 as rested_days,
    rested_to - rested_from >= to_days(cast(allowed_days as integer)) as is_reached,
    rested_from as first_at,
    rested_to as last_at
from rested
where rested_to > rested_from
