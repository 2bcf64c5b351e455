-- Open positions of live accounts net by instrument, in lots and, where the contract size and a rate are known, in US dollars
-- at the opening price; weighted by what the trader gets of a gain. Grain: account_id, instrument.
select
    trades.account_id,
    status.trader_id,
    accounts.desk_id,
    accounts.stage in ('funded', 'instant') as funded,
    trades.instrument,
    count(*) as positions,
    coalesce(sum(trades.lots) filter (where trades.side = 'buy'), 0) as long_lots,
    coalesce(sum(trades.lots) filter (where trades.side = 'sell'), 0) as short_lots,
    sum(if(trades.side = 'buy', trades.lots, -trades.lots)) as net_lots,
    sum(
        if(trades.side = 'buy', 1, -1) * trades.lots * instruments.units
        * coalesce(trades.open_price * rates.rate_to_usd, bases.rate_to_usd)
    ) as net_usd,
    sum(
        if(trades.side = 'buy', 1, -1) * trades.lots * instruments.units
        * coalesce(trades.open_price * rates.rate_to_usd, bases.rate_to_usd)
    )
    * any_value(next_share(profits.profit, splits.begins, splits.percents)) as weighted_usd
from facts.open_trades as trades
inner join facts.accounts as accounts using (account_id)
inner join decided.account_status as status on trades.account_id = status.account_id
inner join facts.profits_now as profits on trades.account_id = profits.account_id
left join terms.instruments as instruments on trades.symbol = instruments.symbol
left join marts.usd_rates as rates on instruments.quote = rates.currency
left join marts.usd_rates as bases on instruments.asset_class = 'fx' and instruments.instrument[1:3] = bases.currency
left join facts.splits_now as splits on trades.account_id = splits.account_id
where status.status in ('active', 'paused')
group by trades.account_id, status.trader_id, accounts.desk_id, accounts.stage, trades.instrument
