-- How much of its allowance each account usually stakes, before its first paid payout and after it. Grain: account_id, phase.
with first_paid as (
    select account_id, min(settled_at) as first_paid_at
    from facts.paid
    group by account_id
),

phased as (
    select
        stakes.*,
        if(stakes.opened_at >= first_paid.first_paid_at, 'after payout', 'from the start') as phase
    from detectors.stakes as stakes
    left join first_paid using (account_id)
)

select
    phased.account_id,
    accounts.trader_id,
    phased.phase,
    count(*) as ideas,
    count(*) filter (where phased.is_planned) as planned,
    count(distinct cast(phased.opened_at as date)) as days,
    median(ln(phased.stake)) filter (where phased.is_planned) as log_planned,
    median(ln(phased.stake)) as log_stake,
    stddev_samp(ln(phased.stake)) filter (where phased.is_planned) as spread,
    any_value(phased.allowance) as allowance,
    max(phased.stake) as stake_max,
    min(phased.opened_at) as first_at,
    max(phased.opened_at) as last_at
from phased
inner join detectors.allowances as accounts using (account_id)
group by phased.account_id, accounts.trader_id, phased.phase
