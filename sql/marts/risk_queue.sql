-- Judged accounts, of which some need a look. Grain: account_id.
-- Balance, equity, floors, the share of the allowance used by which the queue is in order, and what else moves with every
-- trade stand in account_status and are not written twice.
-- `state`: breached, near (its tighter allowance used up to the line of marts.limits, or paused), fine, unknown, ended.
select
    status.account_id,
    status.trader_id,
    accounts.trader_name,
    coalesce(owners.owner_id, status.trader_id) as owner_id,
    coalesce(owners.members, 1) as owner_members,
    status.desk_id,
    status.product,
    status.product_version,
    status.stage,
    status.platform,
    status.currency,
    status.status,
    case
        when status.status = 'breached' then 'breached'
        when status.status in ('passed', 'closed', 'expired') then 'ended'
        when status.status = 'paused' or status.near_share >= limits.near_share then 'near'
        when status.near_share is null then 'unknown'
        else 'fine'
    end as state,
    status.status_at,
    coalesce(stakes.stake, 0) as stake,
    coalesce(stakes.stake, 0) * rates.rate_to_usd as stake_usd
from decided.account_status as status
cross join marts.limits as limits
left join marts.accounts as accounts using (account_id)
left join marts.usd_rates as rates on accounts.currency = rates.currency
left join facts.stakes as stakes on status.account_id = stakes.account_id
left join decided.owners as owners on status.trader_id = owners.trader_id
