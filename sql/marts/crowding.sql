-- Funded accounts that took one side of an instrument in the last minutes before the run. Grain: instrument, side.
select
    trades.instrument,
    trades.side,
    count(distinct trades.account_id) as accounts,
    count(distinct coalesce(owners.owner_id, funded.trader_id)) as owners,
    sum(trades.lots) as lots,
    min(trades.opened_at) as first_at
from facts.trades as trades
inner join facts.funded_now as funded using (account_id)
left join decided.owners as owners on funded.trader_id = owners.trader_id
cross join marts.limits as limits
where trades.opened_at > getvariable('as_of') - to_minutes(cast(limits.crowding_minutes as integer))
group by trades.instrument, trades.side
