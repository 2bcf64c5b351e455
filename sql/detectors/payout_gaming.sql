-- What accounts that asked for payouts did for it: filler days, winners split over a reset, the account burnt afterwards.
-- Grain: account_id.
with asked as (
    select account_id, count(*) as requests, min(requested_at) as first_asked_at
    from staging.payouts
    group by account_id
),

first_paid as (
    select account_id, min(settled_at) as first_paid_at
    from facts.paid
    group by account_id
),

positions as (
    select
        positions.*,
        cast(positions.opened_at as date) as day,
        positions.size >= getvariable('payout_gaming_filler_share')
        * quantile_cont(positions.size, 0.9) over (partition by positions.account_id) as is_real,
        coalesce(positions.opened_at >= first_paid.first_paid_at, false) as is_after,
        first_paid.first_paid_at
    from detectors.positions as positions
    semi join asked using (account_id)
    left join first_paid using (account_id)
),

days as (
    select
        account_id,
        count(*) as days,
        count(*) filter (where real_positions = 0) as filler_days,
        sum(positions) as positions,
        min(first_at) filter (where real_positions = 0) as first_filler_at,
        max(last_at) filter (where real_positions = 0) as last_filler_at
    from (
        select
            account_id, day, count(*) as positions, count(*) filter (where is_real) as real_positions,
            min(opened_at) as first_at, max(opened_at) as last_at
        from positions
        where not is_after
        group by account_id, day
    )
    group by account_id
),

pairs as (
    select
        account_id,
        closed_at,
        net_profit,
        opened_at,
        lead(closed_at) over twins as twin_closed_at,
        lead(opened_at) over twins as twin_opened_at,
        lead(lots) over twins / lots as twin_ratio
    from positions
    where is_real and closed_at is not null
    window twins as (partition by account_id, instrument, side order by opened_at, trade_id)
),

splits as (
    select
        pairs.account_id,
        count(*) as splits,
        min(pairs.opened_at) as first_at,
        max(pairs.opened_at) as last_at
    from pairs
    where
        pairs.twin_opened_at - pairs.opened_at <= to_seconds(getvariable('payout_gaming_twin_s'))
        and pairs.twin_ratio between getvariable('payout_gaming_twin_ratio_min')
        and 1 / getvariable('payout_gaming_twin_ratio_min')
        and exists (
            from decided.account_days as resets
            where
                resets.account_id = pairs.account_id
                and resets.opened_at > least(pairs.closed_at, pairs.twin_closed_at)
                and resets.opened_at <= greatest(pairs.closed_at, pairs.twin_closed_at)
        )
    group by pairs.account_id
),

changes as (
    select
        account_id,
        median(size) filter (where is_after and is_real) / nullif(median(size) filter (where not is_after and is_real), 0)
            as size_after,
        count(*) filter (where is_after) as positions_after
    from positions
    group by account_id
)

select
    asked.account_id,
    asked.requests,
    days.days,
    days.filler_days,
    days.positions,
    coalesce(splits.splits, 0) as splits,
    changes.size_after,
    changes.positions_after,
    first_paid.first_paid_at,
    epoch(status.status_at - first_paid.first_paid_at) / 86400 as breached_after_days,
    least(days.first_filler_at, splits.first_at) as first_at,
    greatest(days.last_filler_at, splits.last_at) as last_at
from asked
inner join days using (account_id)
left join splits using (account_id)
left join changes using (account_id)
left join first_paid using (account_id)
left join decided.account_status as status
    on asked.account_id = status.account_id and status.status = 'breached' and status.status_at >= first_paid.first_paid_at
