-- Had the firm copied, a horizon ago, the tenth of the funded accounts then alive with the most profit (in dollars): what the
-- copies earned since, what the copied accounts were paid, and what their trades cost in commission and swap. Idle accounts
-- count with what stood in them last. Grain: one row.
with lived as (
    select
        accounts.account_id,
        accounts.currency,
        getvariable('as_of') - to_days(cast(getvariable('liability_horizon_days') as integer)) as stands_at
    from decided.account_status as status
    inner join facts.accounts as accounts using (account_id)
    where
        accounts.stage in ('funded', 'instant')
        and accounts.opened_at <= stands_at
        and (status.status in ('active', 'paused') or status.status_at > stands_at)
),

stood as (
    select account_id, arg_max_null(profit, stands_at) as profit
    from facts.funded_days
    where stands_at <= getvariable('as_of') - to_days(cast(getvariable('liability_horizon_days') as integer))
    group by account_id
),

ranked as (
    select
        lived.*,
        rates.rate_to_usd,
        ntile(10) over (
            order by coalesce(stood.profit, 0) * rates.rate_to_usd desc nulls last, lived.account_id
        ) as tenth
    from lived
    left join stood using (account_id)
    left join marts.usd_rates as rates on lived.currency = rates.currency
),

traded as (
    select
        sum(trades.profit * ranked.rate_to_usd) as gross_usd,
        -sum((trades.commission + trades.swap + trades.fee) * ranked.rate_to_usd) as cost_usd
    from ranked
    inner join facts.trades as trades
        on ranked.account_id = trades.account_id and trades.opened_at > ranked.stands_at and trades.closed_at is not null
    where ranked.tenth = 1
),

paid as (
    select sum(cast(transfers.amount as double) * rates.rate_to_usd) as paid_usd
    from facts.transfers as transfers
    inner join ranked using (account_id)
    left join marts.usd_rates as rates on transfers.currency = rates.currency
    where ranked.tenth = 1 and transfers.status = 'settled' and transfers.settled_at > ranked.stands_at
)

select
    (select count(*) from ranked where tenth = 1) as accounts,
    coalesce(gross_usd, 0) as hedge_gross_usd,
    coalesce(cost_usd, 0) as hedge_cost_usd,
    coalesce(gross_usd, 0) - coalesce(cost_usd, 0) as hedge_net_usd,
    coalesce((select paid_usd from paid), 0) as paid_usd
from traded
