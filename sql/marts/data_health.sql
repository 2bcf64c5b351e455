-- What the lake holds of each dataset and how fresh it is against the run's instant. Grain: dataset.
with held as (
    select 'desks' as dataset, count(*) as records, cast(null as timestamptz) as newest_at from staging.desks
    union all select 'traders', count(*), max(registered_at) from staging.traders
    union all select 'challenges', count(*), max(purchased_at) from staging.challenges
    union all select 'accounts', count(*), max(opened_at) from staging.accounts
    union all
    select kinds.dataset, cast(coalesce(sum(told.records), 0) as bigint), max(told.newest_at)
    from (values ('deals'), ('equity')) as kinds (dataset)
    left join facts.account_records as told using (dataset)
    group by kinds.dataset
    union all select 'logins', cast(coalesce(sum(records), 0) as bigint), max(newest_at) from facts.sign_ins
    union all select 'payments', count(*), max(occurred_at) from staging.payments
    union all select 'payouts', count(*), max(requested_at) from staging.payouts
    union all select 'settlements', count(*), max(settled_at) from staging.settlements
    union all select 'partners', count(*), max(joined_at) from staging.partners
    union all select 'clicks', count(*), max(occurred_at) from staging.clicks
    union all select 'news', count(*), max(occurs_at) filter (where occurs_at <= getvariable('as_of')) from staging.news
    union all select 'rates', count(*), cast(max(day) as timestamptz) from staging.rates
    union all select 'quotes', count(*), max(quoted_at) from staging.quotes
),

waiting as (
    select dataset, sum(records) as orphans
    from marts.orphans
    group by dataset
)

select
    held.dataset,
    held.records,
    held.newest_at,
    date_diff('minute', utc(held.newest_at), utc(getvariable('as_of'))) / 60.0 as age_hours,
    cast(coalesce(waiting.orphans, 0) as bigint) as orphans
from held
left join waiting using (dataset)
