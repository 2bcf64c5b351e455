-- US dollars for one unit of a currency, newest rate known. Grain: currency. A currency without a rate is not here.
select currency, arg_max(rate_to_usd, day) as rate_to_usd
from staging.rates
group by currency

union all

select 'USD', 1.0
where not exists (select 1 from staging.rates where currency = 'USD')
