-- What one whole point of price is worth to a position, in the account's currency. Grain: account, place.
-- From the contract size and the day's exchange rates; where either is unknown from the position's own result. A currency pair
-- of which the account's own currency is the base needs no rate: its lots are that currency already, as platforms reckon margin.
-- Only for stages whose rules need it; a position whose value cannot be known is not here.
with stages as (
    select product, product_version, stage from terms.margin
    union
    select product, product_version, stage from terms.stop_loss_required where max_risk_percent is not null
),

trades as (
    select
        trades.account,
        trades.place,
        trades.lots,
        trades.profit,
        trades.open_price,
        trades.close_price,
        trades.currency,
        cast(trades.opened_at as date) as day,
        instruments.units,
        coalesce(instruments.quote, '') as quote,
        instruments.asset_class = 'fx' and instruments.instrument[1:3] = trades.currency as based
    from facts.rule_trades as trades
    semi join stages using (product, product_version, stage)
    left join terms.instruments as instruments using (symbol)
),

converted as (
    select
        trades.*,
        case
            when trades.quote = trades.currency then 1
            when trades.based then 1 / nullif(trades.open_price, 0)
            when trades.quote = 'USD' then 1 / nullif(own.rate_to_usd, 0)
            when trades.currency = 'USD' then quoted.rate_to_usd
            else quoted.rate_to_usd / nullif(own.rate_to_usd, 0)
        end as rate
    from trades
    asof left join staging.rates as quoted on trades.quote = quoted.currency and trades.day >= quoted.day
    asof left join staging.rates as own on trades.currency = own.currency and trades.day >= own.day
)

select
    account,
    place,
    coalesce(
        cast(lots as double) * units * rate,
        abs(profit / nullif(close_price - open_price, 0))
    ) as point_value
from converted
where coalesce(units * rate, profit / nullif(close_price - open_price, 0)) is not null
