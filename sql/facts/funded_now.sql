-- Live funded accounts as of the run, with what could be drawn from them. Grain: account_id. Money in the account's currency.
-- `earned`: the profit still to be shared, below zero where there is a loss; `profit`: what it is above nothing.
-- `split`: the trader's part of the profit that stands, as a share of it; `next_split`: of what would be gained next.
-- Eligible: the profit may be asked for by age, cycle and minimum, and no request waits; days are of 24 hours and begin where
-- the review has them begin. What consistency or conduct would strip is the review's.
with asked as (
    select
        payouts.account_id,
        sum(cast(payouts.amount as double)) filter (where queue.waits) as waiting,
        sum(traders_part(cast(payouts.amount as double), splits.begins, splits.percents)) filter (where queue.waits)
            as waiting_part
    from staging.payouts as payouts
    left join marts.payout_queue as queue using (payout_id)
    left join facts.splits_now as splits on payouts.account_id = splits.account_id
    group by payouts.account_id
),

paid as (
    select account_id, count(*) as payouts, max(asked_at) as last_at
    from (
        select account_id, requested_at as asked_at from facts.payout_answers where honoured_at is not null
        union all
        select account_id, executed_at from facts.payout_operations where payout_id is null
    )
    group by account_id
),

first_trades as (
    select trades.account_id, min(trades.opened_at) as first_at
    from facts.trades as trades
    inner join facts.accounts as accounts using (account_id)
    inner join terms.payout as payout using (product, product_version, stage)
    where payout.cycle_start = 'first_trade'
    group by trades.account_id
),

traded as (
    select account_id, max(firm_day) as firm_day
    from decided.account_days
    where trades > 0 or closed_profit <> 0
    group by account_id
)

select
    status.account_id,
    status.trader_id,
    status.desk_id,
    status.product,
    status.currency,
    rates.rate_to_usd,
    status.initial_balance as initial,
    status.balance,
    status.equity,
    profits.profit as earned,
    share_of(profits.profit, splits.begins, splits.percents) as split,
    next_share(profits.profit, splits.begins, splits.percents) as next_split,
    splits.begins,
    splits.percents,
    date_diff('day', accounts.opened_at, getvariable('as_of')) as age_days,
    greatest(
        date_diff(
            'day',
            coalesce(timezone('UTC', cast(traded.firm_day as timestamp)) + interval 1 day, accounts.opened_at),
            getvariable('as_of')
        ),
        0
    ) as idle_days,
    greatest(profits.profit, 0) as profit,
    coalesce(asked.waiting, 0) as waiting,
    case when coalesce(asked.waiting, 0) = 0 then 0 else asked.waiting_part end as waiting_part,
    (select count(*) from facts.transfers as paid where paid.account_id = status.account_id and paid.status = 'settled')
        as paid_before,
    coalesce(asked.waiting, 0) = 0
    and case
        when paid.account_id is not null then getvariable('as_of') >= paid.last_at + to_days(coalesce(payout.cycle_days, 0))
        when coalesce(payout.first_after_days, 0) = 0 then true
        else
            getvariable('as_of') >= if(payout.cycle_start = 'first_trade', first_trades.first_at, accounts.opened_at)
            + to_days(payout.first_after_days)
    end
    and profits.profit >= greatest(coalesce(payout.minimum, 0), 0.01) as is_eligible
from decided.account_status as status
inner join staging.accounts as accounts using (account_id)
inner join facts.profits_now as profits using (account_id)
left join traded on status.account_id = traded.account_id
left join asked on status.account_id = asked.account_id
left join paid on status.account_id = paid.account_id
left join first_trades on status.account_id = first_trades.account_id
left join marts.usd_rates as rates on status.currency = rates.currency
left join facts.splits_now as splits on status.account_id = splits.account_id
left join terms.payout as payout
    on
        status.product = payout.product
        and status.product_version = payout.product_version
        and status.stage = payout.stage
where status.stage in ('funded', 'instant') and status.status in ('active', 'paused')
