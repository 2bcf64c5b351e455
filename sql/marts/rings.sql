-- Groups of accounts that trade as one, with the money that hangs on them. Grain: ring_id.
select
    rings.ring_id,
    any_value(rings.kind) as kind,
    max(rings.strength) as strength,
    count(distinct rings.account_id) as accounts,
    count(distinct accounts.trader_id) as traders,
    count(distinct coalesce(owners.owner_id, accounts.trader_id)) as owners,
    count(distinct accounts.partner_id) as partners,
    string_agg(distinct accounts.desk_id, ', ' order by accounts.desk_id) as desks,
    sum(accounts.fee * fees.rate_to_usd) as fees_usd,
    sum(accounts.waiting * accounts.rate_to_usd) as waiting_usd,
    sum(accounts.stake * accounts.rate_to_usd) as stake_usd,
    count(*) filter (where accounts.status = 'breached') as breached,
    count(*) filter (where accounts.status in ('active', 'paused')) as live
from decided.copy_rings as rings
inner join marts.accounts as accounts using (account_id)
left join decided.owners as owners on accounts.trader_id = owners.trader_id
left join marts.usd_rates as fees on accounts.fee_currency = fees.currency
group by rings.ring_id
