-- Currencies in which money is told that no rate turns into another on its day; what needs another currency is held or
-- left out until a rate lands. Grain: currency.
with told as (
    select 'desks' as dataset, currency, cast(getvariable('as_of') as date) as day from staging.desks
    union all
    select 'challenges', currency, cast(purchased_at as date) from staging.challenges where fee > 0
    union all
    select 'accounts', currency, cast(getvariable('as_of') as date) from staging.accounts
    union all
    select 'payments', currency, cast(occurred_at as date) from staging.payments
    union all
    select 'settlements', currency, cast(settled_at as date) from staging.settlements
),

rated as (
    select currency, min(day) as since from staging.rates group by currency
),

counted as (
    select told.dataset, told.currency, rated.since, count(*) as records
    from told
    left join rated using (currency)
    where told.currency <> 'USD' and (rated.since is null or told.day < rated.since)
    group by all
)

select
    currency,
    any_value(since) as rated_since,
    cast(sum(records) as bigint) as records,
    string_agg(format('{:,} {}', records, dataset), ', ' order by dataset) as told
from counted
group by currency
