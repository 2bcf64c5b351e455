-- The figures of the front page by desk (and `all`), over the 24 hours up to the run's instant, with those of the 24 hours
-- before and of fourteen such days. Stocks are counted at the end of each day, ratios over the 30 days up to it. What each
-- figure is stands in the metric dictionary. Grain: desk_id, figure.
-- Money is in the desk's currency, for `all` in the one that every desk has, else in US dollars.
with days as (
    select unnest(range(0, 14)) as age
    union all
    -- a month before, for the report of one
    select date_diff('day', utc(getvariable('as_of')) - interval 1 month, utc(getvariable('as_of')))
),

instants as (
    select age, getvariable('as_of') - to_days(cast(age as integer)) as instant from days
),

-- ratios look 30 days back from the eldest of the days
moved as (
    select
        money.desk_id,
        money.kind,
        money.happened_at,
        money.fee * rates.rate_to_usd as fee_usd,
        money.payout * rates.rate_to_usd as payout_usd
    from marts.challenge_money as money
    left join marts.usd_rates as rates on money.currency = rates.currency
    where money.happened_at > getvariable('as_of') - interval 62 days
),

flows as (
    select desk_id, 'breaches' as figure, status_at as happened_at, 1.0 as counted, null as amount_usd
    from decided.account_status where status = 'breached'
    union all
    select desk_id, 'passes', status_at, 1.0, null from decided.account_status where status = 'passed'
    union all
    select desk_id, 'sales', happened_at, null, fee_usd from moved where kind = 'purchase'
    union all
    select desk_id, 'net_fees', happened_at, null, fee_usd from moved where fee_usd is not null
    union all
    select desk_id, 'paid_to_traders', happened_at, null, payout_usd from moved where payout_usd is not null
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

flagged as (
    select signals.subject_kind, signals.subject_id, signals.first_at
    from decided.signals as signals
    cross join marts.limits as limits
    where signals.strength >= limits.flag_strength and signals.detector <> 'inactivity' and signals.first_at is not null
),

flags as (
    select subject_id as account_id, first_at from flagged where subject_kind = 'account'
    union all
    select status.account_id, flagged.first_at
    from flagged
    inner join decided.account_status as status on flagged.subject_id = status.trader_id
    where flagged.subject_kind = 'trader'
),

lived as (
    select
        accounts.account_id,
        accounts.desk_id,
        accounts.opened_at,
        status.stage,
        case when status.status not in ('active', 'paused') then status.status_at end as ended_at
    from decided.account_status as status
    inner join staging.accounts as accounts using (account_id)
),

stocks as (
    select desk_id, 'live' as figure, opened_at as since, ended_at as until, 1.0 as counted, null as amount_usd
    from lived
    union all
    select desk_id, 'funded', opened_at, ended_at, 1.0, null from lived where stage in ('funded', 'instant')
    union all
    select desk_id, 'waiting', requested_at, case when not waits then coalesce(over_at, transfer_at) end, 1.0, null
    from marts.payout_queue
    union all
    select desk_id, 'requested', requested_at, case when not waits then coalesce(over_at, transfer_at) end, null, amount_usd
    from marts.payout_queue
    union all
    select
        lived.desk_id, 'open_risk', greatest(lived.opened_at, min(flags.first_at)), any_value(lived.ended_at), 1.0, null
    from flags
    inner join lived using (account_id)
    group by lived.account_id, lived.desk_id, lived.opened_at
),

-- each profit stands until the next that is told, each split until the next
day_ends as (
    select
        account_id,
        desk_id,
        profit,
        days_ago(stands_at) as since_age,
        coalesce(days_ago(lead(stands_at) over (partition by account_id order by stands_at)), 0) as later_age
    from facts.funded_days
),

shared as (
    select account_id, begins, percents, since, lead(since) over (partition by account_id order by since) as until
    from facts.splits
),

-- what stood in funded accounts at the end of the last day before each instant, for those that lived then
profit_days as (
    select
        instants.age,
        day_ends.desk_id,
        traders_part(day_ends.profit, shared.begins, shared.percents) * rates.rate_to_usd as amount_usd
    from day_ends
    inner join decided.account_status as status using (account_id)
    inner join instants
        on instants.age > greatest(day_ends.later_age, 0)
        and instants.age <= day_ends.since_age
        and (status.status in ('active', 'paused') or status.status_at > instants.instant)
    left join shared
        on day_ends.account_id = shared.account_id
        and instants.instant >= shared.since
        and (shared.until is null or instants.instant < shared.until)
    left join marts.usd_rates as rates on status.currency = rates.currency
    where
        status.stage in ('funded', 'instant')
        and (
            day_ends.later_age < 13
            or (select max(age) from instants) between day_ends.later_age + 1 and day_ends.since_age
        )
),

accrued_days as (
    select desk_id, 'accrued' as figure, 0 as age, null as counted, sum(profit * split * rate_to_usd) as amount_usd
    from facts.funded_now
    group by desk_id
    union all
    select desk_id, 'accrued', age, null, sum(amount_usd) from profit_days group by desk_id, age
),

-- summed by days of 24 hours back from the run first, so that what is put together day by day is little
flow_ages as (
    select desk_id, figure, days_ago(happened_at) as age, sum(counted) as counted, sum(amount_usd) as amount_usd
    from flows
    where happened_at <= getvariable('as_of') and happened_at > getvariable('as_of') - interval 62 days
    group by all
),

ratio_days as (
    select flow_ages.desk_id, flow_ages.figure, days.age, sum(flow_ages.amount_usd) as amount_usd
    from flow_ages
    inner join days on flow_ages.age >= days.age and flow_ages.age < days.age + 30
    where flow_ages.figure in ('net_fees', 'paid_to_traders')
    group by flow_ages.desk_id, flow_ages.figure, days.age
),

flow_days as (
    select desk_id, figure, age, counted, amount_usd from flow_ages where age < 14
),

-- what is older than a month, the eldest of the days, is alike
stock_ages as (
    select
        desk_id,
        figure,
        least(days_ago(since), 31) as since_age,
        greatest(days_ago(until), -1) as until_age,
        sum(counted) as counted,
        sum(amount_usd) as amount_usd
    from stocks
    where since <= getvariable('as_of')
    group by all
),

stock_days as (
    select stocks.desk_id, stocks.figure, days.age, sum(stocks.counted) as counted, sum(stocks.amount_usd) as amount_usd
    from stock_ages as stocks
    inner join days
        on stocks.since_age >= days.age and (stocks.until_age is null or stocks.until_age < days.age)
    group by all
),

by_desk as (
    select * from flow_days
    union all
    select * from stock_days
    union all
    select desk_id, figure, age, counted, amount_usd from accrued_days
    union all
    select desk_id, figure || ' in 30 days', age, null, amount_usd from ratio_days
    union all
    select desk_id, 'near', 0, cast(count(*) as double), null from marts.risk_queue where state = 'near' group by desk_id
),

summed as (
    select desk_id, figure, age, counted, amount_usd from by_desk
    union all
    select 'all', figure, age, sum(counted), sum(amount_usd) from by_desk group by figure, age
),

with_all as (
    select * from summed
    union all
    select
        fees.desk_id, 'payout_ratio', fees.age,
        case when fees.amount_usd > 0 then coalesce(paid.amount_usd, 0) / fees.amount_usd end, null
    from summed as fees
    left join summed as paid
        on fees.desk_id = paid.desk_id and fees.age = paid.age and paid.figure = 'paid_to_traders in 30 days'
    where fees.figure = 'net_fees in 30 days'
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

named (figure, audience, at_a_glance, place, label, unit, page) as (
    values
    ('near', 'risk', true, 1, 'Near a floor', 'count', 'risk_queue'),
    ('breaches', 'risk', true, 2, 'Breached', 'count', 'risk_queue'),
    ('passes', 'risk', false, 3, 'Passed a stage', 'count', 'risk_queue'),
    ('live', 'risk', false, 4, 'Live accounts', 'count', 'risk_queue'),
    ('waiting', 'payouts', true, 5, 'Waiting', 'count', 'payout_queue'),
    ('requested', 'payouts', true, 6, 'Requested, before the split', 'money', 'payout_queue'),
    ('requests', 'payouts', false, 7, 'New requests', 'count', 'payout_queue'),
    ('paid', 'payouts', false, 8, 'Paid out', 'money', 'payout_queue'),
    ('sales', 'management', true, 9, 'Sales', 'money', 'cohorts'),
    ('net_fees', 'management', false, 10, 'Net fees', 'money', 'cohorts'),
    ('purchases', 'management', false, 11, 'Challenges sold', 'count', 'cohorts'),
    ('funded', 'management', true, 12, 'Funded', 'count', 'exposure'),
    ('paid_to_traders', 'management', false, 13, 'Paid to traders', 'money', 'cohorts'),
    ('payout_ratio', 'management', false, 14, 'Payout ratio, 30 days', 'share', 'cohorts'),
    ('accrued', 'management', false, 15, 'Accrued liability', 'money', 'exposure'),
    ('open_risk', 'management', false, 16, 'Flagged live accounts', 'count', 'risk_queue')
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
            when grid.unit = 'share' then with_all.counted
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
    any_value(unit) as unit,
    any_value(currency) as currency,
    max(value) filter (where age = 0) as value,
    max(value) filter (where age = 1) as before,
    cast(to_json(list(value order by age desc) filter (where age < 14)) as varchar) as trend,
    max(value) filter (where age >= 14) as month_before,
    any_value(page) as page,
    any_value(at_a_glance) as at_a_glance
from valued
group by desk_id, audience, figure
