-- The accounts behind the liability, the traders' parts in US dollars. Grain: account_id.
-- Live funded accounts with their forecast, and ended ones that asked for money and wait: nothing more accrues on these and
-- nothing is forecast, what they asked for stays until it is paid or refused.
select
    forecast.account_id,
    funded.trader_id,
    forecast.desk_id,
    funded.product,
    funded.currency,
    true as lives,
    funded.profit * funded.rate_to_usd as profit_usd,
    funded.waiting_part * funded.rate_to_usd as requested_usd,
    forecast.eligible_usd,
    forecast.accrued_usd,
    forecast.chance,
    forecast.amount_usd,
    forecast.expected_usd
from decided.liability_accounts as forecast
inner join facts.funded_now as funded using (account_id)
union all by name
select
    queue.account_id,
    queue.trader_id,
    queue.desk_id,
    queue.product,
    queue.currency,
    false as lives,
    if(
        count(*) = count(splits.percents),
        sum(traders_part(queue.amount, splits.begins, splits.percents)) * any_value(rates.rate_to_usd),
        null
    ) as requested_usd,
    0 as eligible_usd,
    0 as accrued_usd
from marts.payout_queue as queue
left join facts.splits_now as splits on queue.account_id = splits.account_id
left join marts.usd_rates as rates on queue.currency = rates.currency
where queue.waits and queue.account_id not in (select account_id from facts.funded_now)
group by queue.account_id, queue.trader_id, queue.desk_id, queue.product, queue.currency
