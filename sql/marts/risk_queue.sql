-- Judged accounts in the order in which they need a look. Grain: account_id.
-- `place` sorts as text, and says nothing of other accounts so that one that moves does not move the rest.
-- Balance, equity, floors and what else moves with every trade stand in account_status and are not written twice.
-- `state`: breached, near (its tighter allowance used up to the line of marts.limits, or paused), fine, unknown, ended.
with verdict as (
    select account_id, arg_max(sentence, happened_at) as sentence, arg_max(rule, happened_at) as rule
    from facts.verdicts
    where outcome in ('breached', 'warned')
    group by account_id
),

standing as (
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
        least(status.daily_headroom, status.max_headroom) as headroom,
        100 * least(status.daily_headroom, status.max_headroom) / nullif(status.initial_balance, 0) as headroom_pct,
        case when status.daily_headroom <= status.max_headroom or status.max_headroom is null then 'daily' else 'max' end
            as nearest_floor,
        status.near_share,
        accounts.stake,
        accounts.stake * rates.rate_to_usd as stake_usd,
        verdict.rule as last_rule,
        verdict.sentence as last_sentence
    from decided.account_status as status
    cross join marts.limits as limits
    left join marts.accounts as accounts using (account_id)
    left join marts.usd_rates as rates on accounts.currency = rates.currency
    left join decided.owners as owners on status.trader_id = owners.trader_id
    left join verdict on status.account_id = verdict.account_id
)

select
    *,
    case state when 'near' then '0' when 'unknown' then '1' when 'fine' then '2' when 'breached' then '3' else '4' end
    -- numbers of as many digits each, which sort as text
    || coalesce(cast(cast(10000 * (20000 - greatest(least(near_share, 9999), -9999)) as bigint) as varchar), '9')
    || cast(20000000000000000 - epoch_us(status_at) as varchar)
    || account_id as place
from standing
