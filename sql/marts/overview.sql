-- The figures of the front page by desk (and `all`), over the 24 hours up to the run's instant, with those of the 24 hours
-- before and of fourteen such days. Stocks are counted at the end of each day. Grain: desk_id, figure.
-- Money is in the desk's currency, for `all` in the one that every desk has, else in US dollars.
with days as (
    select unnest(range(0, 14)) as age
),

instants as (
    select age, getvariable('as_of') - to_days(cast(age as integer)) as instant from days
),

flows as (
    select desk_id, 'breaches' as figure, status_at as happened_at, 1.0 as counted, null as amount_usd
    from decided.account_status where status = 'breached'
    union all
    select desk_id, 'passes', status_at, 1.0, null from decided.account_status where status = 'passed'
    union all
    select challenges.desk_id, 'sales', money.happened_at, null, money.fee * rates.rate_to_usd
    from marts.challenge_money as money
    inner join staging.challenges as challenges using (challenge_id)
    left join marts.usd_rates as rates on money.currency = rates.currency
    where money.kind = 'purchase'
    union all
    select challenges.desk_id, 'returned', money.happened_at, null, -money.fee * rates.rate_to_usd
    from marts.challenge_money as money
    inner join staging.challenges as challenges using (challenge_id)
    left join marts.usd_rates as rates on money.currency = rates.currency
    where money.kind in ('refund', 'chargeback')
    union all
    select desk_id, 'purchases', purchased_at, 1.0, null from staging.challenges
    union all
    select desk_id, 'requests', requested_at, 1.0, null from marts.payout_queue
    union all
    select queue.desk_id, 'paid', queue.transfer_at, null, queue.transfer_amount * rates.rate_to_usd
    from marts.payout_queue as queue
    left join marts.usd_rates as rates on queue.transfer_currency = rates.currency
    where queue.state = 'settled'
),

stocks as (
    select desk_id, 'live' as figure, opened_at as since, ended_at as until, 1.0 as counted, null as amount_usd
    from (
        select
            accounts.desk_id,
            accounts.opened_at,
            case when status.status not in ('active', 'paused') then status.status_at end as ended_at
        from decided.account_status as status
        inner join staging.accounts as accounts using (account_id)
    )
    union all
    select
        accounts.desk_id, 'funded', accounts.opened_at,
        case when status.status not in ('active', 'paused') then status.status_at end, 1.0, null
    from decided.account_status as status
    inner join staging.accounts as accounts using (account_id)
    where status.stage in ('funded', 'instant')
    union all
    select desk_id, 'waiting', requested_at, case when not waits then transfer_at end, 1.0, null from marts.payout_queue
    union all
    select desk_id, 'requested', requested_at, case when not waits then transfer_at end, null, amount_usd
    from marts.payout_queue
),

flow_days as (
    select desk_id, figure, date_diff('second', happened_at, getvariable('as_of')) // 86400 as age,
        sum(counted) as counted, sum(amount_usd) as amount_usd
    from flows
    where happened_at <= getvariable('as_of') and happened_at > getvariable('as_of') - interval 14 days
    group by all
),

stock_days as (
    select stocks.desk_id, stocks.figure, instants.age, sum(stocks.counted) as counted, sum(stocks.amount_usd) as amount_usd
    from stocks
    inner join instants
        on stocks.since <= instants.instant and (stocks.until is null or stocks.until > instants.instant)
    group by all
),

by_desk as (
    select * from flow_days
    union all
    select * from stock_days
    union all
    select desk_id, 'near', 0, cast(count(*) as double), null from marts.risk_queue where state = 'near' group by desk_id
),

with_all as (
    select desk_id, figure, age, counted, amount_usd from by_desk
    union all
    select 'all', figure, age, sum(counted), sum(amount_usd) from by_desk group by figure, age
),

currencies as (
    select desks.desk_id, desks.currency, rates.rate_to_usd
    from staging.desks as desks
    left join marts.usd_rates as rates using (currency)
    union all
    select 'all', currency, rate_to_usd
    from marts.usd_rates
    where currency = (select case count(distinct currency) when 1 then min(currency) else 'USD' end from staging.desks)
),

named (figure, audience, place, label, unit, definition, page) as (
    values
    ('near', 'risk', 1, 'Near a floor', 'count', 'Live accounts that have used most of their tighter loss allowance, or are paused.', 'risk_queue'),
    ('breaches', 'risk', 2, 'Breached', 'count', 'Accounts that fell below a floor in these 24 hours.', 'risk_queue'),
    ('passes', 'risk', 3, 'Passed a stage', 'count', 'Accounts that met target and conditions of their stage in these 24 hours.', 'risk_queue'),
    ('live', 'risk', 4, 'Live accounts', 'count', 'Accounts that are open and neither breached, passed, expired nor closed.', 'risk_queue'),
    ('waiting', 'payouts', 5, 'Requests waiting', 'count', 'Payout requests without a transfer, or whose transfer came back.', 'payout_queue'),
    ('requested', 'payouts', 6, 'Requested and unpaid', 'money', 'Sum of the waiting requests.', 'payout_queue'),
    ('requests', 'payouts', 7, 'New requests', 'count', 'Payout requests received in these 24 hours.', 'payout_queue'),
    ('paid', 'payouts', 8, 'Paid out', 'money', 'Transfers settled in these 24 hours.', 'payout_queue'),
    ('sales', 'management', 9, 'Sales', 'money', 'Fees received for challenges in these 24 hours, before refunds and chargebacks.', 'cohorts'),
    ('returned', 'management', 10, 'Refunds and chargebacks', 'money', 'Fees that went back in these 24 hours.', 'cohorts'),
    ('purchases', 'management', 11, 'Challenges sold', 'count', 'Challenges bought in these 24 hours.', 'cohorts'),
    ('funded', 'management', 12, 'Funded accounts', 'count', 'Live accounts in a funded or instant stage.', 'exposure')
),

grid as (
    select currencies.desk_id, currencies.currency, currencies.rate_to_usd, named.*, days.age
    from currencies
    cross join named
    cross join days
),

valued as (
    select
        grid.*,
        case
            when grid.unit = 'count' then coalesce(with_all.counted, 0)
            else coalesce(with_all.amount_usd, 0) / grid.rate_to_usd
        end as value
    from grid
    left join with_all using (desk_id, figure, age)
    where grid.figure <> 'near' or grid.age = 0
)

select
    desk_id,
    audience,
    cast(any_value(place) as integer) as place,
    figure,
    any_value(label) as label,
    any_value(definition) as definition,
    any_value(unit) as unit,
    any_value(currency) as currency,
    max(value) filter (where age = 0) as value,
    max(value) filter (where age = 1) as before,
    cast(to_json(list(value order by age desc)) as varchar) as trend,
    any_value(page) as page
from valued
group by desk_id, audience, figure
