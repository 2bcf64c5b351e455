-- US dollars for one unit of each currency, the newest rate known as of the run. Grain: currency.
with told as (
    select currency, arg_max(rate_to_usd, day) as rate_to_usd, max(day) as rate_day
    from staging.rates
    where day <= cast(getvariable('as_of') as date)
    group by currency
)

select currency, rate_to_usd, rate_day from told
union all
select 'USD', 1.0, cast(getvariable('as_of') as date)
where not exists (select 1 from told where currency = 'USD')
