-- Had the firm copied, a horizon ago, the tenth of funded accounts with the most profit then (in dollars): what the copies earned since,
-- what the copied accounts were paid, and what their trades cost in commission and swap. Grain: one row.
with then_live as (
    select account_id, initial, profit_share, stands_at
    from facts.funded_days
    where stands_at <= getvariable('as_of') - to_days(cast(getvariable('liability_horizon_days') as integer))
    qualify row_number() over (partition by account_id order by firm_day desc) = 1
),

ranked as (
    select
        then_live.*,
        rates.rate_to_usd,
        ntile(10) over (
            order by then_live.profit_share * then_live.initial * rates.rate_to_usd desc nulls last, then_live.account_id
        ) as tenth
    from then_live
    inner join facts.accounts as accounts using (account_id)
    left join marts.usd_rates as rates on accounts.currency = rates.currency
    where then_live.stands_at > getvariable('as_of') - to_days(cast(2 * getvariable('liability_horizon_days') as integer))
),

traded as (
    select
        ranked.account_id,
        sum(trades.profit * ranked.rate_to_usd) as gross_usd,
        -sum((trades.commission + trades.swap + trades.fee) * ranked.rate_to_usd) as cost_usd
    from ranked
    inner join facts.trades as trades
        on ranked.account_id = trades.account_id and trades.opened_at > ranked.stands_at and trades.closed_at is not null
    where ranked.tenth = 1
    group by ranked.account_id
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
    sum(traded.gross_usd) as hedge_gross_usd,
    sum(traded.cost_usd) as hedge_cost_usd,
    sum(traded.gross_usd) - sum(traded.cost_usd) as hedge_net_usd,
    (select paid_usd from paid) as paid_usd
from traded
