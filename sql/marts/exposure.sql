-- Open positions net by instrument, firm money apart from evaluations. Grain: desk_id, funded, instrument.
select
    accounts.desk_id,
    accounts.stage in ('funded', 'instant') as funded,
    trades.instrument,
    count(distinct trades.account_id) as accounts,
    count(*) as positions,
    sum(trades.lots) filter (where trades.side = 'buy') as long_lots,
    sum(trades.lots) filter (where trades.side = 'sell') as short_lots,
    sum(case trades.side when 'buy' then trades.lots else -trades.lots end) as net_lots
from facts.trades as trades
inner join facts.accounts as accounts using (account_id)
inner join decided.account_status as status on trades.account_id = status.account_id
where trades.closed_at is null and status.status in ('active', 'paused')
group by all
