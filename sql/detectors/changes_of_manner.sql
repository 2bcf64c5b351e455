-- How far the manner of trading differs from one stage to another: at the funding, where the same trader goes on to another
-- evaluation or starts again, and between strangers. Grain: kind, account_id (the later account).
-- Each trader counts once in each kind but the funding, and no more of them than are needed to know what is usual.
with evaluations as (
    select
        accounts.trader_id,
        accounts.account_id,
        if(accounts.challenge_id = lag(accounts.challenge_id) over started, 'onward', 'again') as kind,
        manners.positions,
        lag(accounts.account_id) over started as earlier_id,
        least(manners.positions, lag(manners.positions) over started) as known
    from facts.accounts as accounts
    inner join detectors.manners as manners using (account_id)
    where accounts.stage <> 'funded'
    window started as (partition by accounts.trader_id order by accounts.opened_at, accounts.account_id)
),

-- of each trader the two that tell most
starts as (
    select
        kind,
        trader_id,
        arg_max(account_id, (known, account_id)) as account_id,
        arg_max(earlier_id, (known, account_id)) as earlier_id
    from evaluations
    where known >= getvariable('account_passing_positions_enough') / 2
    group by kind, trader_id
    qualify row_number() over (partition by kind order by hash(trader_id), trader_id)
        <= getvariable('account_passing_pairs_enough')
),

people as (
    select trader_id, arg_max(account_id, (positions, account_id)) as account_id
    from evaluations
    where positions >= getvariable('account_passing_positions_enough') / 2
    group by trader_id
    order by hash(trader_id), trader_id
    limit cast(getvariable('account_passing_pairs_enough') as integer)
),

strangers as (
    select account_id, lag(account_id) over (order by hash(trader_id), trader_id) as earlier_id
    from people
),

funded as (
    select account_id, challenge_id
    from facts.accounts
    where stage = 'funded'
),

-- the accounts on either side
members as (
    select 'funding' as kind, funded.account_id as later_id, accounts.account_id, accounts.stage = 'funded' as is_after
    from funded
    inner join facts.accounts as accounts using (challenge_id)
    where accounts.stage <> 'funded' or accounts.account_id = funded.account_id

    union all

    select kind, account_id, unnest([earlier_id, account_id]), unnest([false, true])
    from starts

    union all

    select 'strangers', account_id, unnest([earlier_id, account_id]), unnest([false, true])
    from strangers
    where earlier_id is not null
),

sides as (
    select
        members.kind,
        members.later_id,
        members.is_after,
        sum(manners.positions) as positions,
        sum(manners.days) as days,
        sum(manners.log_hold) / nullif(sum(manners.held), 0) as log_hold,
        (sum(manners.log_hold_squared) - sum(manners.log_hold) * sum(manners.log_hold) / nullif(sum(manners.held), 0))
        / nullif(sum(manners.held) - 1, 0) as log_hold_varied,
        sum(manners.hour_x) / sum(manners.positions) as hour_x,
        sum(manners.hour_y) / sum(manners.positions) as hour_y,
        sum(manners.by_robot) / nullif(sum(manners.robot_told), 0) as by_robot,
        sum(manners.with_stop) / sum(manners.positions) as with_stop,
        sum(manners.with_target) / sum(manners.positions) as with_target,
        sqrt(greatest(
            (sum(manners.log_size_squared) - sum(manners.log_size) * sum(manners.log_size) / nullif(sum(manners.sized), 0))
            / nullif(sum(manners.sized) - 1, 0), 0
        )) as sizes_spread,
        min(manners.first_at) as first_at,
        max(manners.last_at) as last_at
    from members
    inner join detectors.manners as manners using (account_id)
    group by members.kind, members.later_id, members.is_after
),

instrument_shares as (
    select
        members.kind,
        members.later_id,
        mine.instrument,
        coalesce(sum(mine.positions) filter (where not members.is_after), 0)
        / nullif(sum(sum(mine.positions) filter (where not members.is_after)) over whole, 0) as share_before,
        coalesce(sum(mine.positions) filter (where members.is_after), 0)
        / nullif(sum(sum(mine.positions) filter (where members.is_after)) over whole, 0) as share_after
    from members
    inner join detectors.account_instruments as mine using (account_id)
    group by members.kind, members.later_id, mine.instrument
    window whole as (partition by members.kind, members.later_id)
),

-- how far the two mixes of instruments agree: Bhattacharyya's coefficient, 1 for the same, 0 for nothing in common
mixes as (
    select kind, later_id, sum(sqrt(share_before * share_after)) as overlap, count(*) as instruments
    from instrument_shares
    group by kind, later_id
)

select
    coalesce(before.kind, after.kind) as kind,
    coalesce(before.later_id, after.later_id) as account_id,
    before.positions as positions_before,
    after.positions as positions_after,
    before.days as days_before,
    after.days as days_after,
    before.log_hold as log_hold_before,
    after.log_hold as log_hold_after,
    before.log_hold_varied as log_hold_varied_before,
    after.log_hold_varied as log_hold_varied_after,
    before.hour_x as hour_x_before,
    before.hour_y as hour_y_before,
    after.hour_x as hour_x_after,
    after.hour_y as hour_y_after,
    before.by_robot as by_robot_before,
    after.by_robot as by_robot_after,
    before.with_stop as with_stop_before,
    after.with_stop as with_stop_after,
    before.with_target as with_target_before,
    after.with_target as with_target_after,
    before.sizes_spread as sizes_spread_before,
    after.sizes_spread as sizes_spread_after,
    mixes.overlap as instrument_overlap,
    mixes.instruments,
    after.first_at,
    after.last_at
from (from sides where not is_after) as before
full join (from sides where is_after) as after using (kind, later_id)
left join mixes
    on mixes.kind = coalesce(before.kind, after.kind) and mixes.later_id = coalesce(before.later_id, after.later_id)
