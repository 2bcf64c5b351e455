-- What accounts that asked for payouts did for it: filler days, winners split over a reset, the account burnt afterwards.
-- Grain: account_id.
with asked as (
    select account_id, count(*) as requests, min(requested_at) as first_asked_at
    from staging.payouts
    group by account_id
),

-- what a position puts to chance: its size times the root of its time
held as (
    select positions.*, size * sqrt(greatest(coalesce(hold_s, epoch(getvariable('as_of') - opened_at)), 1)) as chance
    from detectors.positions as positions
    semi join asked using (account_id)
),

-- an account's real size: half of all it traded was in positions of that size and larger; its real chance likewise
ranked as (
    select
        account_id,
        size,
        chance,
        sum(size) over (partition by account_id order by size desc, trade_id) as size_above,
        sum(size) over (partition by account_id) as all_size,
        sum(chance) over (partition by account_id order by chance desc, trade_id) as chance_above,
        sum(chance) over (partition by account_id) as all_chance
    from held
),

real_sizes as (
    select
        account_id,
        max(size) filter (where size_above >= all_size / 2) as real_size,
        max(chance) filter (where chance_above >= all_chance / 2) as real_chance
    from ranked
    group by account_id
),

positions as (
    select
        positions.*,
        cast(positions.opened_at as date) as day,
        positions.size >= getvariable('payout_gaming_filler_share') * real_sizes.real_size
        and (coalesce(positions.hold_s >= getvariable('payout_gaming_filler_s'), true)
            or positions.chance >= getvariable('payout_gaming_filler_share') * real_sizes.real_chance) as is_real,
        coalesce(positions.opened_at >= first_payouts.first_paid_at, false) as is_after
    from held as positions
    inner join real_sizes using (account_id)
    left join detectors.first_payouts as first_payouts using (account_id)
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

-- two ends of one idea: twins opened together, or the first and last part of one position
twins as (
    select account_id, opened_at, closed_at as one_at, twin_closed_at as other_at, net_profit > 0 and twin_profit > 0 as won
    from (
        select
            *,
            lead(closed_at) over entries as twin_closed_at,
            lead(opened_at) over entries as twin_opened_at,
            lead(net_profit) over entries as twin_profit,
            lead(lots) over entries / lots as twin_ratio
        from positions
        where is_real and closed_at is not null
        window entries as (partition by account_id, instrument, side order by opened_at, trade_id)
    )
    where
        twin_opened_at - opened_at <= to_seconds(getvariable('payout_gaming_twin_s'))
        and twin_ratio between getvariable('payout_gaming_twin_ratio_min') and 1 / getvariable('payout_gaming_twin_ratio_min')
),

parts as (
    select positions.account_id, positions.opened_at, min(deals.executed_at), max(deals.executed_at), positions.net_profit > 0
    from positions
    inner join detectors.trade_deals as deals using (account_id, trade_id)
    where positions.is_real and positions.closed_at is not null and deals.role = 'out'
    group by positions.account_id, positions.trade_id, positions.opened_at, positions.net_profit
    having count(*) > 1
),

ends as (
    select *, least(one_at, other_at) as first_end_at, greatest(one_at, other_at) as last_end_at
    from (from twins union all from parts)
),

splits as (
    select
        ends.account_id,
        count(distinct ends.opened_at) as splits,
        count(*) filter (
            where resets.opened_at - ends.first_end_at <= to_seconds(getvariable('payout_gaming_near_s'))
            and ends.last_end_at - resets.opened_at <= to_seconds(getvariable('payout_gaming_near_s'))
        ) as near_splits,
        min(ends.opened_at) as first_at,
        max(ends.opened_at) as last_at
    from ends
    inner join decided.account_days as resets
        on
            ends.account_id = resets.account_id
            and resets.opened_at > ends.first_end_at
            and resets.opened_at <= ends.last_end_at
    where ends.won
    group by ends.account_id
),

-- a reset falls between two ends by chance as often as the time between them is of a day
habits as (
    select
        account_id, count(*) as winners_in_two,
        sum(least(epoch(last_end_at - first_end_at) / 86400, 1)) as over_resets_by_chance
    from ends
    where won
    group by account_id
),

-- as near to a time of day shortly before or after the reset: who trades around then splits winners without meaning to
around as (
    select ends.account_id, count(*) / 2 as splits_by_chance
    from ends
    inner join decided.account_days as resets using (account_id)
    cross join (values (-2), (2)) as moved (by_near)
    where
        ends.won
        and resets.opened_at + to_seconds(by_near * getvariable('payout_gaming_near_s')) > ends.first_end_at
        and resets.opened_at + to_seconds((by_near - 1) * getvariable('payout_gaming_near_s')) <= ends.first_end_at
        and resets.opened_at + to_seconds(by_near * getvariable('payout_gaming_near_s')) <= ends.last_end_at
        and resets.opened_at + to_seconds((by_near + 1) * getvariable('payout_gaming_near_s')) >= ends.last_end_at
    group by ends.account_id
),

sizes as (
    select
        account_id,
        median(size) filter (where is_after) / nullif(quantile_cont(size, 0.9) filter (where not is_after), 0) as size_after,
        count(*) filter (where is_after) as positions_after
    from positions
    group by account_id
),

-- the same of what ideas put at risk: who lets losses run stakes more at the same size. The largest of those afterwards
-- is left out: some loss was large where an account was breached
ideas as (
    select
        stakes.account_id,
        stakes.stake,
        stakes.opened_at >= first_payouts.first_paid_at as is_after,
        row_number() over (
            partition by stakes.account_id, stakes.opened_at >= first_payouts.first_paid_at order by stakes.stake desc
        ) as place
    from detectors.stakes as stakes
    semi join asked using (account_id)
    inner join detectors.first_payouts as first_payouts using (account_id)
),

stakes as (
    select
        account_id,
        median(stake) filter (where is_after and place > 1) / nullif(quantile_cont(stake, 0.9) filter (where not is_after), 0)
            as stake_after
    from ideas
    group by account_id
)

select
    asked.account_id,
    asked.requests,
    days.days,
    days.filler_days,
    days.positions,
    coalesce(splits.splits, 0) as splits,
    coalesce(splits.near_splits, 0) as near_splits,
    coalesce(around.splits_by_chance, 0) as splits_by_chance,
    coalesce(habits.winners_in_two, 0) as winners_in_two,
    coalesce(habits.over_resets_by_chance, 0) as over_resets_by_chance,
    sizes.size_after,
    stakes.stake_after,
    sizes.positions_after,
    first_paid.first_paid_at,
    epoch(status.status_at - first_paid.first_paid_at) / 86400 as breached_after_days,
    least(days.first_filler_at, splits.first_at) as first_at,
    greatest(days.last_filler_at, splits.last_at) as last_at
from asked
inner join days using (account_id)
left join splits using (account_id)
left join around using (account_id)
left join habits using (account_id)
left join sizes using (account_id)
left join stakes using (account_id)
left join detectors.first_payouts as first_paid using (account_id)
left join decided.account_status as status
    on asked.account_id = status.account_id and status.status = 'breached' and status.status_at >= first_paid.first_paid_at
