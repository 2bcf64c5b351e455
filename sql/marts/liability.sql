-- What the firm could owe its funded traders, by how sure it is. Grain: desk_id, currency, kind.
-- All are the traders' parts. requested: of what is asked for and not yet paid. accrued: of the profit of live funded accounts
-- that is still to be shared. eligible: of what is accrued where age, cycle and minimum let them ask for it now and no request
-- waits. expected: what is likely to be paid within the horizon.
with owed as (
    select
        queue.desk_id, queue.currency, 'requested' as kind, queue.account_id,
        traders_part(queue.amount, splits.begins, splits.percents) as amount
    from marts.payout_queue as queue
    left join facts.splits_now as splits using (account_id)
    where queue.waits
    union all
    select desk_id, currency, 'eligible', account_id, if(is_eligible, profit * split, 0)
    from facts.funded_now
    union all
    select desk_id, currency, 'accrued', account_id, profit * split
    from facts.funded_now
    union all
    select funded.desk_id, funded.currency, 'expected', funded.account_id, forecast.expected_usd / funded.rate_to_usd
    from facts.funded_now as funded
    inner join decided.liability_accounts as forecast using (account_id)
)

select
    owed.desk_id,
    owed.currency,
    owed.kind,
    count(distinct owed.account_id) filter (where owed.amount > 0) as accounts,
    count(distinct owed.account_id) filter (where owed.amount is null) as unknown_accounts,
    sum(owed.amount) as amount,
    sum(owed.amount) * any_value(rates.rate_to_usd) as amount_usd
from owed
left join marts.usd_rates as rates on owed.currency = rates.currency
group by owed.desk_id, owed.currency, owed.kind
