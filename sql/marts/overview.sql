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

named (figure, audience, at_a_glance, place, label, unit, page, definition) as (
    values
    (
        'near', 'risk', true, 1, 'Near a floor', 'count', 'risk_queue',
        'Live accounts that have used most of their tighter loss allowance, or are paused.'
    ),
    ('breaches', 'risk', true, 2, 'Breached', 'count', 'risk_queue', 'Accounts that fell below a floor.'),
    (
        'passes', 'risk', false, 3, 'Passed a stage', 'count', 'risk_queue',
        'Accounts that met the target and every condition of their stage.'
    ),
    (
        'live', 'risk', false, 4, 'Live accounts', 'count', 'risk_queue',
        'Accounts that are open and neither breached, passed, expired nor closed.'
    ),
    (
        'waiting', 'payouts', true, 5, 'Waiting', 'count', 'payout_queue',
        'Payout requests without a transfer, or whose transfer came back.'
    ),
    ('requested', 'payouts', true, 6, 'Requested', 'money', 'payout_queue', 'Sum of the payout requests that wait.'),
    ('requests', 'payouts', false, 7, 'New requests', 'count', 'payout_queue', 'Payout requests received.'),
    ('paid', 'payouts', false, 8, 'Paid out', 'money', 'payout_queue', 'Transfers settled.'),
    (
        'sales', 'management', true, 9, 'Sales', 'money', 'cohorts',
        'Fees received for challenges, before refunds and chargebacks.'
    ),
    ('returned', 'management', false, 10, 'Fees returned', 'money', 'cohorts', 'Refunds and chargebacks.'),
    ('purchases', 'management', false, 11, 'Challenges sold', 'count', 'cohorts', 'Challenges bought.'),
    (
        'funded', 'management', true, 12, 'Funded', 'count', 'exposure', 'Live accounts in a funded or instant stage.'
    )
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
    any_value(page) as page,
    any_value(at_a_glance) as at_a_glance
from valued
group by desk_id, audience, figure
