-- Accounts breached after a payout: how far stakes and sizes of ideas had moved since the last one. Grain: account_id.
-- Beside all ideas before and beside those of the last cycle alone, whichever were larger; in logarithms, since ratios count. Where
-- no stop is told, a loss counts as a gain of that much does, or bad luck alone would look like larger stakes; and the largest
-- stake afterwards is left out: some loss was large where an account was breached. Sizes do not hang on how an idea ended.
with last_paid as (
    select
        status.account_id,
        status.status_at as breached_at,
        max(paid.paid_at) as paid_at,
        max(paid.paid_at, 2)[2] as begins_at
    from decided.account_status as status
    inner join detectors.payout_instants as paid
        on status.account_id = paid.account_id and paid.paid_at <= status.status_at
    semi join staging.payouts as asked on status.account_id = asked.account_id
    where status.status = 'breached'
    group by status.account_id, status.status_at
),

ideas as (
    select
        last_paid.account_id,
        ln(
            if(
                stakes.is_planned or stakes.net_profit >= 0, stakes.stake,
                least(stakes.stake, greatest(getvariable('all_in_of_gain') * stakes.stake, coalesce(stakes.size, 0)))
            )
        ) as log_stake,
        if(stakes.size > 0, ln(stakes.size), null) as log_size,
        stakes.opened_at >= last_paid.paid_at as is_after,
        stakes.opened_at >= last_paid.begins_at and stakes.opened_at < last_paid.paid_at as is_last,
        stakes.is_planned or row_number() over (
            partition by last_paid.account_id, stakes.opened_at >= last_paid.paid_at
            order by stakes.is_planned, stakes.stake desc
        ) > 1 as tells
    from last_paid
    inner join detectors.stakes as stakes using (account_id)
),

moved as (
    select
        account_id,
        avg(log_stake) filter (where is_after and tells)
        - greatest(avg(log_stake) filter (where not is_after), avg(log_stake) filter (where is_last)) as stake_moved,
        avg(log_size) filter (where is_after)
        - greatest(avg(log_size) filter (where not is_after), avg(log_size) filter (where is_last)) as size_moved,
        var_samp(log_stake) filter (where not is_after) as stake_varied,
        var_samp(log_size) filter (where not is_after) as size_varied,
        count(log_size) filter (where not is_after) as sizes_before,
        count(log_size) filter (where is_after) as sizes_after,
        count(*) filter (where not is_after) as stakes_before,
        count(*) filter (where is_after and tells) as stakes_after
    from ideas
    group by account_id
)

select
    last_paid.account_id,
    last_paid.paid_at as last_paid_at,
    epoch(last_paid.breached_at - last_paid.paid_at) / 86400 as breached_after_days,
    last_paid.breached_at,
    moved.* exclude (account_id)
from last_paid
left join moved using (account_id)
