-- How much of its allowance each account usually stakes, before its first paid payout and after it. Grain: account_id, phase.
with phased as (
    select
        stakes.*,
        if(stakes.opened_at >= first_paid.first_paid_at, 'after payout', 'from the start') as phase
    from detectors.stakes as stakes
    left join detectors.first_payouts as first_paid using (account_id)
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
    median(ln(phased.size)) filter (where phased.size > 0) as log_size,
    stddev_samp(ln(phased.stake)) filter (where phased.is_planned) as spread,
    any_value(phased.allowance) as allowance,
    any_value(accounts.status) in ('breached', 'passed') as is_ended,
    max(phased.stake) as stake_max,
    min(phased.opened_at) as first_at,
    max(phased.opened_at) as last_at
from phased
inner join detectors.allowances as accounts using (account_id)
group by phased.account_id, accounts.trader_id, phased.phase
