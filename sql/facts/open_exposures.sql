-- Open positions of live funded accounts, signed, in lots and US dollars. Grain: account_id, instrument.
-- Instruments whose contract size nobody told have lots and no value.
select
    trades.account_id,
    trades.instrument,
    any_value(instruments.quote) as quote,
    sum(if(trades.side = 'buy', trades.lots, -trades.lots)) as net_lots,
    sum(if(trades.side = 'buy', 1, -1) * trades.lots * instruments.units * trades.open_price * rates.rate_to_usd) as net_usd
from facts.trades as trades
inner join facts.funded_now as funded using (account_id)
left join terms.instruments as instruments on trades.symbol = instruments.symbol
left join marts.usd_rates as rates on instruments.quote = rates.currency
where trades.closed_at is null
group by trades.account_id, trades.instrument
