-- How long each account that could be traded lay still: since its opening, last entry or last payout, until it was
-- closed, its server's trades end or the run's instant. Grain: account_id. Open positions and waiting payouts are no rest.
-- Where trades are missing there is no row: nothing is known. Missing they are after a server's last trade, on a server
-- whose accounts mostly have none, and where the balance moves without them.
with moved as (
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

followed as (
    select challenge_id, max(opened_at) as last_account_opened_at
    from facts.accounts
    group by challenge_id
),

rested as (
    select
        accounts.account_id,
        coalesce(allowances.inactivity_days, getvariable('inactivity_days')) as allowed_days,
        greatest(accounts.opened_at, traded.last_opened_at, moved.last_moved_at) as rested_from,
        least(
            coalesce(accounts.closed_at, getvariable('as_of')), getvariable('as_of'), feeds.delivered_to
        ) as rested_to,
        greatest(accounts.opened_at, traded.last_closed_at, moved.last_moved_at) as settled_at,
        asked.last_asked_at,
        accounts.closed_at is not null as is_closed,
        coalesce(traded.is_open, false) as is_open,
        traded.account_id is null as never_traded
    from facts.accounts as accounts
    inner join detectors.allowances as allowances using (account_id)
    inner join detectors.trade_feeds as feeds
        on
            accounts.platform = feeds.platform
            and coalesce(accounts.server, '') = feeds.server
            and accounts.stage = feeds.stage
    inner join followed
        on accounts.challenge_id = followed.challenge_id and accounts.opened_at = followed.last_account_opened_at
    left join detectors.traded as traded on accounts.account_id = traded.account_id
    left join moved on accounts.account_id = moved.account_id
    left join asked on accounts.account_id = asked.account_id
    where
        (allowances.status is null or allowances.status not in ('passed', 'breached'))
        and feeds.delivered_to is not null
        and (feeds.is_rest_told or traded.account_id is not null)
),

long as (
    select *
    from rested
    where rested_to - rested_from >= to_days(cast(allowed_days as integer)) / 2
),

-- a balance that changes between two observations, or an open result, within the rest: somebody trades
unseen as (
    select distinct account_id
    from (
        select
            equity.account_id,
            equity.equity <> equity.balance
            or equity.balance <> lag(equity.balance) over (
                partition by equity.account_id order by equity.observed_at
            ) as is_moving
        from staging.equity as equity
        inner join long using (account_id)
        where equity.observed_at > long.settled_at + to_days(1) and equity.observed_at <= long.rested_to
    )
    where is_moving
)

select
    long.*,
    is_open or coalesce(last_asked_at > rested_to - to_days(getvariable('inactivity_waiting_days')), false) as is_excused,
    epoch(rested_to - rested_from) / 86400 as rested_days,
    rested_to - rested_from >= to_days(cast(allowed_days as integer)) as is_reached,
    rested_from as first_at,
    rested_to as last_at
from long
anti join unseen using (account_id)
