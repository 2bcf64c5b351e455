-- What the firm could owe its funded traders, by how sure it is. Grain: desk_id, currency, kind.
-- requested: asked for and not yet paid. eligible: what traders are due of requests that pass every eligibility check.
-- accrued: the trader's share of the profit that live funded accounts show now.
with owed as (
    select desk_id, currency, 'requested' as kind, account_id, amount
    from marts.payout_queue
    where waits
    union all
    select queue.desk_id, queue.currency, 'eligible', queue.account_id, reviews.trader_share
    from marts.payout_queue as queue
    inner join decided.payout_reviews as reviews using (payout_id)
    where queue.waits and reviews.eligible
    union all
    select
        status.desk_id, status.currency, 'accrued', status.account_id,
        greatest(status.balance - status.initial_balance, 0) * split.percent / 100
    from decided.account_status as status
    left join terms.split as split
        on
            status.product = split.product
            and status.product_version = split.product_version
            and status.stage = split.stage
    where status.stage in ('funded', 'instant') and status.status in ('active', 'paused')
)

select
    owed.desk_id,
    owed.currency,
    owed.kind,
    count(distinct owed.account_id) filter (where owed.amount > 0) as accounts,
    count(distinct owed.account_id) filter (where owed.amount is null) as unknown_accounts,
    coalesce(sum(owed.amount), 0) as amount,
    coalesce(sum(owed.amount), 0) * any_value(rates.rate_to_usd) as amount_usd
from owed
left join marts.usd_rates as rates on owed.currency = rates.currency
group by owed.desk_id, owed.currency, owed.kind
