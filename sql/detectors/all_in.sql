-- How much of its allowance each account usually stakes, before its first paid payout and after it. Grain: account_id, phase.
-- Of stakes that were told, the usual one is where half of all staked money lies at that stake or above, and ideas count by
-- what was staked on them (Kish's effective number): small ones that try a market out hide no large one. The phase `on one idea`
-- is the largest told stake of all beside the account's other ideas, whenever it was: once is enough.
with phased as (
    select
        stakes.*,
        if(stakes.opened_at >= first_paid.first_paid_at, 'after payout', 'from the start') as phase
    from detectors.stakes as stakes
    left join detectors.first_payouts as first_paid using (account_id)
),

told as (
    select account_id, phase, max(ln(stake)) filter (where stake_above >= all_stake / 2) as log_planned
    from (
        select
            account_id,
            phase,
            stake,
            sum(stake) over (
                partition by account_id, phase order by stake desc, opened_at, instrument, side
            ) as stake_above,
            sum(stake) over (partition by account_id, phase) as all_stake
        from phased
        where is_planned
    )
    group by account_id, phase
),

-- losses that were answered by a larger size, where most were: the last rungs of a ladder are large
ladders as (
    select account_id, max(raised_after_loss) as rungs
    from detectors.martingale
    where raised_after_loss >= 0.6 * losses
    group by account_id
),

usually as (
    select
        phased.account_id,
        accounts.trader_id,
        phased.phase,
        count(*) as ideas,
        count(*) filter (where phased.is_planned) as planned,
        count(distinct cast(phased.opened_at as date)) as days,
        sum(phased.stake) * sum(phased.stake) / sum(phased.stake * phased.stake) as ideas_weighed,
        any_value(told.log_planned) as log_planned,
        median(ln(phased.stake)) as log_stake,
        median(ln(phased.size)) filter (where phased.size > 0) as log_size,
        sqrt(greatest(
            sum(phased.stake * ln(phased.stake) * ln(phased.stake)) filter (where phased.is_planned)
            / sum(phased.stake) filter (where phased.is_planned)
            - pow(
                sum(phased.stake * ln(phased.stake)) filter (where phased.is_planned)
                / sum(phased.stake) filter (where phased.is_planned), 2
            ), 0
        )) as spread,
        count(*) filter (where phased.net_profit < 0) as losses,
        avg(ln(-phased.net_profit / accounts.initial_balance)) filter (where phased.net_profit < 0) as log_lost,
        stddev_pop(ln(-phased.net_profit / accounts.initial_balance)) filter (where phased.net_profit < 0) as lost_spread,
        any_value(phased.allowance) as allowance,
        any_value(accounts.status) in ('breached', 'passed') as is_ended,
        max(phased.stake) as stake_max,
        coalesce(any_value(ladders.rungs), 0) as rungs,
        min(phased.opened_at) as first_at,
        max(phased.opened_at) as last_at
    from phased
    inner join detectors.allowances as accounts using (account_id)
    left join told using (account_id, phase)
    left join ladders using (account_id)
    group by phased.account_id, accounts.trader_id, phased.phase
),

-- every told stake beside the account's other ideas: their usual stake and size, and how these vary
beside as (
    select
        account_id,
        opened_at,
        instrument,
        side,
        ln(stake) as log_stake,
        ln(nullif(size, 0)) as log_size,
        count(*) over ideas - 1 as others,
        (sum(ln(stake)) over ideas - ln(stake)) / nullif(count(*) over ideas - 1, 0) as others_log_stake,
        (sum(ln(nullif(size, 0))) over ideas - ln(nullif(size, 0))) / nullif(count(nullif(size, 0)) over ideas - 1, 0)
            as others_log_size,
        sum(pow(ln(stake), 2)) over ideas - pow(ln(stake), 2) as others_squares,
        is_planned
    from phased
    window ideas as (partition by account_id)
),

once as (
    select
        account_id,
        opened_at,
        others,
        log_stake,
        log_size,
        log_stake - others_log_stake as stake_beyond,
        log_size - others_log_size as size_beyond,
        greatest((others_squares - others * pow(others_log_stake, 2)) / nullif(others - 1, 0), 0) as others_varied
    from beside
    where is_planned and others >= getvariable('all_in_others_enough')
    qualify row_number() over (partition by account_id order by log_stake desc, opened_at, instrument, side) = 1
)

select *, 0 as others, null as stake_beyond, null as size_beyond, null as others_varied
from usually

union all by name

select
    once.account_id,
    usually.trader_id,
    'on one idea' as phase,
    1 as ideas,
    1 as planned,
    1 as days,
    1.0 as ideas_weighed,
    once.log_stake as log_planned,
    once.log_stake,
    once.log_size,
    0.0 as spread,
    0 as losses,
    usually.allowance,
    usually.is_ended,
    exp(once.log_stake) as stake_max,
    usually.rungs,
    once.opened_at as first_at,
    once.opened_at as last_at,
    once.others,
    once.stake_beyond,
    once.size_beyond,
    once.others_varied
from once
inner join (
    select account_id, any_value(trader_id) as trader_id, any_value(allowance) as allowance,
        any_value(is_ended) as is_ended, max(rungs) as rungs
    from usually
    group by account_id
) as usually using (account_id)
