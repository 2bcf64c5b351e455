-- The accounts behind the liability, the traders' parts in US dollars. Grain: account_id.
select
    forecast.account_id,
    funded.trader_id,
    forecast.desk_id,
    funded.product,
    funded.currency,
    funded.profit * funded.rate_to_usd as profit_usd,
    funded.waiting_part * funded.rate_to_usd as requested_usd,
    forecast.eligible_usd,
    forecast.accrued_usd,
    forecast.chance,
    forecast.amount_usd,
    forecast.expected_usd
from decided.liability_accounts as forecast
inner join facts.funded_now as funded using (account_id)
