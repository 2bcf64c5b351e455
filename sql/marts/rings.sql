-- Groups of accounts that trade as one, with the money that hangs on them. Grain: ring_id.
-- passed_beside_breached counts mirror pairs of which one account passed, or holds profit, and the other breached.
with members as (
    select
        rings.ring_id, rings.kind, rings.strength, accounts.*, coalesce(stakes.stake, 0) as stake, owners.owner_id
    from decided.copy_rings as rings
    inner join marts.accounts as accounts using (account_id)
    left join facts.stakes as stakes using (account_id)
    left join decided.owners as owners on accounts.trader_id = owners.trader_id
),

inside as (
    select
        one.ring_id,
        count(*) filter (where pairs.passed_account_id is not null) as passed_beside_breached,
        count(*) filter (where pairs.own_copy = 'violation') as own_copy_violations,
        count(*) filter (where pairs.relation = 'mirror') as mirrors
    from marts.pairs as pairs
    inner join members as one on pairs.account_a = one.account_id
    inner join members as other on pairs.account_b = other.account_id and one.ring_id = other.ring_id
    where pairs.is_flag
    group by one.ring_id
),

introduced as (
    select ring_id, partner_id, count(*) as accounts
    from members
    where partner_id is not null
    group by ring_id, partner_id
),

foremost as (
    select ring_id, max(accounts) as partner_accounts, arg_max(partner_id, (accounts, partner_id)) as partner_id
    from introduced
    group by ring_id
)

select
    members.ring_id,
    any_value(members.kind) as kind,
    max(members.strength) as strength,
    count(distinct members.account_id) as accounts,
    count(distinct members.trader_id) as traders,
    count(distinct coalesce(members.owner_id, members.trader_id)) as owners,
    count(distinct coalesce(members.owner_id, members.trader_id)) = 1 as one_owner,
    count(distinct members.partner_id) as partners,
    any_value(foremost.partner_id) as partner_id,
    coalesce(any_value(foremost.partner_accounts), 0) as partner_accounts,
    string_agg(distinct members.desk_id, ', ' order by members.desk_id) as desks,
    sum(members.fee * fees.rate_to_usd) as fees_usd,
    sum(members.waiting * rates.rate_to_usd) as waiting_usd,
    sum(greatest(members.stake - members.waiting, 0) * rates.rate_to_usd) as withdrawable_usd,
    sum(members.stake * rates.rate_to_usd) as stake_usd,
    count(*) filter (where members.status = 'breached') as breached,
    count(*) filter (where members.status = 'passed') as passed,
    count(*) filter (where members.status in ('active', 'paused')) as live,
    coalesce(any_value(inside.mirrors), 0) as mirrors,
    coalesce(any_value(inside.passed_beside_breached), 0) as passed_beside_breached,
    coalesce(any_value(inside.own_copy_violations), 0) as own_copy_violations
from members
left join inside using (ring_id)
left join foremost using (ring_id)
left join marts.usd_rates as rates on members.currency = rates.currency
left join marts.usd_rates as fees on members.fee_currency = fees.currency
group by members.ring_id
