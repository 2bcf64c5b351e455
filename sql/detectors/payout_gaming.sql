-- What accounts that asked for payouts did for each: filler days, days that won just what they had to, winners split over a reset,
-- one spike and silence, the account burnt afterwards. Grain: account_id, cycle; an account of several cycles has a row for all of
-- them, whose cycle is empty.
with asked as (
    select account_id, count(*) as requests
    from staging.payouts
    group by account_id
),

positions as (
    select *
    from detectors.payout_cycles
    where counts
),

by_day as (
    select
        account_id,
        cycle,
        cast(opened_at as date) as day,
        count(*) as positions,
        count(*) filter (where is_real) as real_positions,
        sum(abs(coalesce(net_profit, 0))) as moved,
        min(opened_at) as first_at,
        max(opened_at) as last_at,
        any_value(ends_at) as ends_at
    from positions
    group by account_id, cycle, cast(opened_at as date)
),

real_days as (
    select account_id, median(moved) as usually_moved
    from by_day
    where real_positions > 0
    group by account_id
),

-- a day of tiny positions that won or lost as a real day does was traded, however briefly
told_days as (
    select
        by_day.*,
        by_day.real_positions = 0
        and coalesce(by_day.moved <= getvariable('payout_gaming_filler_moved') * real_days.usually_moved, true) as is_filler
    from by_day
    left join real_days using (account_id)
),

days as (
    select
        account_id,
        cycle,
        count(*) as days,
        count(*) filter (where is_filler) as filler_days,
        count(*) filter (where is_filler and day > last_real_day) as end_filler_days,
        sum(positions) as positions,
        min(first_at) filter (where is_filler) as first_filler_at,
        max(last_at) filter (where is_filler) as last_filler_at,
        any_value(ends_at) as ends_at
    from (
        select *, max(day) filter (where not is_filler) over (partition by account_id, cycle) as last_real_day
        from told_days
    )
    group by account_id, cycle
),

-- two ends of one idea: twins opened together, or the first and last part of one position
twins as (
    select
        account_id, cycle, opened_at, closed_at as one_at, twin_closed_at as other_at,
        net_profit > 0 and twin_profit > 0 as won
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
    select
        positions.account_id, positions.cycle, positions.opened_at,
        min(deals.executed_at), max(deals.executed_at), positions.net_profit > 0
    from positions
    inner join detectors.trade_deals as deals using (account_id, trade_id)
    where positions.is_real and positions.closed_at is not null and deals.role = 'out'
    group by positions.account_id, positions.cycle, positions.trade_id, positions.opened_at, positions.net_profit
    having count(*) > 1
),

ends as (
    select *, least(one_at, other_at) as first_end_at, greatest(one_at, other_at) as last_end_at
    from (from twins union all from parts)
    where won
),

splits as (
    select
        ends.account_id,
        ends.cycle,
        count(distinct ends.opened_at) as splits,
        count(*) filter (
            where resets.opened_at - ends.first_end_at <= to_seconds(getvariable('payout_gaming_near_s'))
            and ends.last_end_at - resets.opened_at <= to_seconds(getvariable('payout_gaming_near_s'))
        ) as near_splits,
        count(distinct ends.opened_at) filter (
            where resets.opened_at - ends.first_end_at <= to_seconds(getvariable('payout_gaming_near_s'))
            and ends.last_end_at - resets.opened_at <= to_seconds(getvariable('payout_gaming_near_s'))
            and ends.opened_at = spikes.won_from
        ) as near_largest,
        any_value(spikes.winners) as winners,
        min(ends.opened_at) as first_at,
        max(ends.opened_at) as last_at
    from ends
    inner join decided.account_days as resets
        on
            ends.account_id = resets.account_id
            and resets.opened_at > ends.first_end_at
            and resets.opened_at <= ends.last_end_at
    left join detectors.payout_spikes as spikes
        on ends.account_id = spikes.account_id and ends.cycle = spikes.cycle
    group by ends.account_id, ends.cycle
),

-- a reset falls between two ends by chance as often as the time between them is of a day
habits as (
    select
        account_id, cycle, count(*) as winners_in_two,
        sum(least(epoch(last_end_at - first_end_at) / 86400, 1)) as over_resets_by_chance
    from ends
    group by account_id, cycle
),

-- as near to a time of day shortly before or after the reset: who trades around then splits winners without meaning to
around as (
    select ends.account_id, count(*) / 2 as splits_by_chance
    from ends
    inner join decided.account_days as resets using (account_id)
    cross join (values (-2), (2)) as moved (by_near)
    where
        resets.opened_at + to_seconds(by_near * getvariable('payout_gaming_near_s')) > ends.first_end_at
        and resets.opened_at + to_seconds((by_near - 1) * getvariable('payout_gaming_near_s')) <= ends.first_end_at
        and resets.opened_at + to_seconds(by_near * getvariable('payout_gaming_near_s')) <= ends.last_end_at
        and resets.opened_at + to_seconds((by_near + 1) * getvariable('payout_gaming_near_s')) >= ends.last_end_at
    group by ends.account_id
),

-- who always wins the same wins it on days too that do not end there
near_results as (
    select positions.account_id, positions.closed_at, positions.net_profit / accounts.profitable_day as times
    from positions
    inner join detectors.allowances as accounts using (account_id)
    where
        accounts.profitable_day > 0
        and positions.net_profit >= accounts.profitable_day / getvariable('payout_gaming_thin_times')
        and positions.net_profit < accounts.profitable_day * pow(getvariable('payout_gaming_thin_times'), 2)
),

same_results as (
    select
        results.account_id,
        count(*) as near_results,
        count(*) filter (where results.times >= 1 and results.times < getvariable('payout_gaming_thin_times')) as thin_results
    from near_results as results
    asof inner join decided.account_days as days
        on results.account_id = days.account_id and results.closed_at >= days.opened_at
    inner join detectors.allowances as accounts on results.account_id = accounts.account_id
    where
        days.closed_profit < accounts.profitable_day
        or days.closed_profit >= accounts.profitable_day * getvariable('payout_gaming_thin_times')
    group by results.account_id
),

by_cycle as (
    select
        days.*,
        sum(days.days) over (partition by days.account_id) as all_days,
        sum(days.filler_days) over (partition by days.account_id) as all_filler_days,
        coalesce(splits.splits, 0) as splits,
        coalesce(splits.near_splits, 0) as near_splits,
        coalesce(splits.near_largest, 0) as near_largest,
        -- any of the winners may be the largest
        coalesce(splits.near_splits / nullif(splits.winners, 0), 0) as largest_by_chance,
        splits.first_at as first_split_at,
        splits.last_at as last_split_at,
        coalesce(habits.winners_in_two, 0) as winners_in_two,
        coalesce(habits.over_resets_by_chance, 0) as over_resets_by_chance,
        -- the habit of the whole account, as far as it came to winners in this cycle
        coalesce(
            around.splits_by_chance * habits.winners_in_two
            / sum(habits.winners_in_two) over (partition by days.account_id), 0
        ) as splits_by_chance,
        coalesce(thin.counting_days, 0) as counting_days,
        coalesce(thin.thin_days, 0) as thin_days,
        coalesce(thin.near_days, 0) as near_days,
        thin.profitable_day,
        thin.other_thin_days + coalesce(same_results.thin_results, 0) as other_thin_days,
        thin.other_near_days + coalesce(same_results.near_results, 0) as other_near_days,
        thin.first_thin_at,
        thin.last_thin_at
    from days
    left join splits using (account_id, cycle)
    left join habits using (account_id, cycle)
    left join detectors.thin_days as thin using (account_id, cycle)
    left join same_results using (account_id)
    left join around using (account_id)
),

judged as (
    select
        account_id,
        cycle,
        count(*) as cycles,
        max(ends_at) as ends_at,
        sum(days) as days,
        sum(filler_days) as filler_days,
        sum(end_filler_days) as end_filler_days,
        sum(positions) as positions,
        sum(splits) as splits,
        sum(near_splits) as near_splits,
        sum(near_largest) as near_largest,
        sum(largest_by_chance) as largest_by_chance,
        sum(splits_by_chance) as splits_by_chance,
        sum(winners_in_two) as winners_in_two,
        sum(over_resets_by_chance) as over_resets_by_chance,
        sum(counting_days) as counting_days,
        sum(thin_days) as thin_days,
        sum(near_days) as near_days,
        any_value(profitable_day) as profitable_day,
        coalesce(any_value(other_thin_days), 0) as other_thin_days,
        coalesce(any_value(other_near_days), 0) as other_near_days,
        min(first_thin_at) as first_thin_at,
        max(last_thin_at) as last_thin_at,
        any_value(all_days) - sum(days) as other_days,
        any_value(all_filler_days) - sum(filler_days) as other_filler_days,
        least(min(first_filler_at), min(first_split_at)) as first_at,
        greatest(max(last_filler_at), max(last_split_at)) as last_at
    from by_cycle
    group by grouping sets ((account_id, cycle), (account_id))
)

select
    judged.account_id,
    asked.requests,
    judged.cycle,
    max(judged.cycles) over (partition by judged.account_id) as cycles,
    judged.ends_at,
    judged.days,
    judged.filler_days,
    judged.end_filler_days,
    judged.other_days,
    judged.other_filler_days,
    judged.positions,
    judged.splits,
    judged.near_splits,
    judged.near_largest,
    judged.largest_by_chance,
    judged.splits_by_chance,
    judged.winners_in_two,
    judged.over_resets_by_chance,
    judged.counting_days,
    judged.thin_days,
    judged.near_days,
    judged.profitable_day,
    judged.other_thin_days,
    judged.other_near_days,
    spikes.spike,
    spikes.varied as spike_varied,
    spikes.others as spike_others,
    spikes.won_share,
    spikes.days_after as spike_days_after,
    spikes.days_expected as spike_days_expected,
    burnt.last_paid_at,
    burnt.breached_after_days,
    burnt.stake_moved,
    burnt.stake_varied,
    burnt.size_moved,
    burnt.size_varied,
    burnt.stakes_before,
    burnt.stakes_after,
    burnt.sizes_before,
    burnt.sizes_after,
    coalesce(judged.first_at, judged.first_thin_at, spikes.won_from, burnt.last_paid_at) as first_at,
    coalesce(judged.last_at, judged.last_thin_at, spikes.won_at, burnt.breached_at) as last_at
from judged
inner join asked using (account_id)
left join detectors.payout_spikes as spikes using (account_id, cycle)
left join detectors.payout_burnt as burnt using (account_id)
qualify judged.cycle is not null or max(judged.cycles) over (partition by judged.account_id) > 1
