-- Positions of accounts that asked for payouts, by the cycle in which they were opened: each payout ends one. A cycle that no
-- payout has ended counts where one was asked for in it. Grain: account_id, trade_id.
-- A position is real beside its account's real size: half of all that was traded in a cycle was in positions of that size and
-- larger, and what was real stays so in later cycles. A brief one is real by its chance too: its size times the root of its time.
with asked as (
    select account_id, max(requested_at) as last_asked_at
    from staging.payouts
    group by account_id
),

held as (
    select
        positions.*,
        coalesce(paid.payout, 0) as cycle,
        paid.paid_at as begins_at,
        ended.paid_at as ends_at,
        ended.paid_at is not null or coalesce(asked.last_asked_at >= paid.paid_at, true) as counts,
        positions.size * sqrt(
            greatest(coalesce(positions.hold_s, epoch(getvariable('as_of') - positions.opened_at)), 1)
        ) as chance
    from detectors.positions as positions
    inner join asked using (account_id)
    asof left join detectors.payout_instants as paid
        on positions.account_id = paid.account_id and positions.opened_at >= paid.paid_at
    left join detectors.payout_instants as ended
        on positions.account_id = ended.account_id and ended.payout = coalesce(paid.payout, 0) + 1
),

ranked as (
    select
        account_id,
        cycle,
        size,
        chance,
        sum(size) over (partition by account_id, cycle order by size desc, trade_id) as size_above,
        sum(size) over (partition by account_id, cycle) as all_size,
        sum(chance) over (partition by account_id, cycle order by chance desc, trade_id) as chance_above,
        sum(chance) over (partition by account_id, cycle) as all_chance
    from held
),

reached as (
    select
        account_id,
        cycle,
        max(size) filter (where size_above >= all_size / 2) as real_size,
        max(chance) filter (where chance_above >= all_chance / 2) as real_chance
    from ranked
    group by account_id, cycle
),

real_sizes as (
    select account_id, cycle, real_chance, max(real_size) over (partition by account_id order by cycle) as real_size
    from reached
)

select
    held.*,
    held.size >= getvariable('payout_gaming_filler_share') * real_sizes.real_size
    and (coalesce(held.hold_s >= getvariable('payout_gaming_filler_s'), true)
        or held.chance >= getvariable('payout_gaming_filler_share') * real_sizes.real_chance) as is_real
from held
inner join real_sizes using (account_id, cycle)
