-- Open positions of live funded accounts, signed, in lots and US dollars. Grain: account_id, instrument.
-- Instruments whose contract size nobody told have lots and no value; a pair without a rate for its price is valued by its
-- base currency.
select
    trades.account_id,
    trades.instrument,
    any_value(instruments.quote) as quote,
    sum(if(trades.side = 'buy', trades.lots, -trades.lots)) as net_lots,
    sum(
        if(trades.side = 'buy', 1, -1) * trades.lots * instruments.units
        * coalesce(trades.open_price * rates.rate_to_usd, bases.rate_to_usd)
    ) as net_usd
from facts.open_trades as trades
inner join facts.funded_now as funded using (account_id)
left join terms.instruments as instruments on trades.symbol = instruments.symbol
left join marts.usd_rates as rates on instruments.quote = rates.currency
left join marts.usd_rates as bases on instruments.asset_class = 'fx' and instruments.instrument[1:3] = bases.currency
group by trades.account_id, trades.instrument
