-- The idea that won most in each payout cycle: its size beside the account's others until then, its share of what was won and
-- among how many winners, and how quiet it was from then to the payout. Grain: account_id, cycle.
with ideas as (
    select
        stakes.account_id,
        coalesce(paid.payout, 0) as cycle,
        ln(stakes.size) as log_size,
        stakes.net_profit,
        stakes.opened_at,
        stakes.closed_at,
        row_number() over (
            partition by stakes.account_id, coalesce(paid.payout, 0)
            order by stakes.net_profit desc, stakes.opened_at, stakes.instrument, stakes.side
        ) as place
    from detectors.stakes as stakes
    semi join staging.payouts as asked on stakes.account_id = asked.account_id
    asof left join detectors.payout_instants as paid
        on stakes.account_id = paid.account_id and stakes.opened_at >= paid.paid_at
    where stakes.size > 0 and stakes.closed_at is not null
),

by_cycle as (
    select
        account_id,
        cycle,
        count(*) as ideas,
        count(*) filter (where net_profit > 0) as winners,
        sum(log_size) as logs,
        sum(log_size * log_size) as squares,
        max(net_profit) / nullif(sum(greatest(net_profit, 0)), 0) as won_share,
        max(log_size) filter (where place = 1) as log_size,
        max(opened_at) filter (where place = 1) as won_from,
        max(closed_at) filter (where place = 1) as won_at
    from ideas
    group by account_id, cycle
),

until_then as (
    select
        *,
        sum(ideas) over cycles - 1 as others,
        sum(logs) over cycles - log_size as other_logs,
        sum(squares) over cycles - log_size * log_size as other_squares
    from by_cycle
    window cycles as (partition by account_id order by cycle)
),

days as (
    select
        spikes.account_id,
        spikes.cycle,
        count(distinct cast(positions.opened_at as date)) filter (where positions.opened_at < spikes.won_from) as days_before,
        count(distinct cast(positions.opened_at as date)) filter (
            where positions.cycle = spikes.cycle and positions.opened_at > spikes.won_at
        ) as days_after,
        epoch(spikes.won_from - min(positions.opened_at)) / 86400 as days_before_in_all,
        epoch(max(positions.ends_at) filter (where positions.cycle = spikes.cycle) - spikes.won_at) / 86400 as days_after_in_all
    from by_cycle as spikes
    inner join detectors.payout_cycles as positions
        on spikes.account_id = positions.account_id and spikes.cycle >= positions.cycle
    where positions.is_real
    group by spikes.account_id, spikes.cycle, spikes.won_from, spikes.won_at
)

select
    until_then.account_id,
    until_then.cycle,
    until_then.winners,
    until_then.won_share,
    until_then.won_from,
    until_then.won_at,
    until_then.others,
    until_then.log_size - until_then.other_logs / nullif(until_then.others, 0) as spike,
    greatest(
        (until_then.other_squares - until_then.other_logs * until_then.other_logs / nullif(until_then.others, 0))
        / nullif(until_then.others - 1, 0), 0
    ) as varied,
    days.days_after,
    days.days_before / (days.days_before_in_all + 1) * days.days_after_in_all as days_expected
from until_then
left join days using (account_id, cycle)
