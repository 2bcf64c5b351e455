-- Trade deals with the thing they belong to: their position, without ids their symbol. A position is netted where a deal
-- turns it round or does not say whether it opens or closes; a deal that turns it is two rows, one that closes and one
-- that opens. What moves no volume, as a stop or a cost told afterwards, is `only` the position's.
-- Grain: account_id, deal_id, part.
with deals as (
    select
        account_id,
        deal_id,
        try_cast(deal_id as bigint) as deal_number,
        coalesce(position_id, 'net ' || symbol) as position,
        position_id is null or entry = 'inout' or (entry is null and side is not null and volume > 0) as netted,
        entry,
        side,
        symbol,
        coalesce(volume, 0) as lots,
        case side when 'buy' then coalesce(volume, 0) when 'sell' then -coalesce(volume, 0) else 0 end as signed_lots,
        price,
        executed_at,
        cast(profit as double) as profit,
        cast(coalesce(commission, 0) as double) as commission,
        cast(coalesce(swap, 0) as double) as swap,
        cast(coalesce(fee, 0) as double) as fee,
        stop_loss,
        take_profit,
        reason,
        magic,
        comment
    from staging.deals
    where kind = 'trade' and symbol is not null
),

-- positions that are netted are followed in order; all others need no order
netted_positions as (
    select distinct account_id, position
    from deals
    where netted
),

followed as (
    select
        deals.*,
        round(sum(signed_lots) over running, 8) as held_after,
        round(sum(signed_lots) over running - signed_lots, 8) as held_before
    from deals
    inner join netted_positions using (account_id, position)
    window running as (
        partition by account_id, position
        order by executed_at, deal_number nulls last, deal_id
        rows between unbounded preceding and current row
    )
),

episodes as (
    select
        *,
        count(*) filter (where (held_before = 0 and held_after <> 0) or held_before * held_after < 0) over (
            partition by account_id, position
            order by executed_at, deal_number nulls last, deal_id
            rows between unbounded preceding and current row
        ) as episode
    from followed
)

select
    account_id, position as trade_id, position,
    case when entry = 'in' then 'in' when entry is null then 'only' else 'out' end as role,
    deal_id, symbol, side, lots, price, executed_at, profit, commission, swap, fee,
    stop_loss, take_profit, reason, magic, comment
from deals
anti join netted_positions using (account_id, position)

union all

-- what opens or adds: the part beyond zero of a turn carries no money, that belongs to what it closed
select
    account_id, position || ' ' || episode, position, 'in',
    deal_id, symbol, side, case when held_before * held_after < 0 then abs(held_after) else lots end, price, executed_at,
    case when held_before * held_after < 0 then 0 else profit end,
    case when held_before * held_after < 0 then 0 else commission end,
    case when held_before * held_after < 0 then 0 else swap end,
    case when held_before * held_after < 0 then 0 else fee end,
    stop_loss, take_profit, reason, magic, comment
from episodes
where abs(held_after) > abs(held_before) or held_before * held_after < 0

union all

-- what reduces or closes
select
    account_id,
    position || ' ' || (episode - case when held_before * held_after < 0 then 1 else 0 end),
    position, 'out',
    deal_id, symbol, side, least(lots, abs(held_before)), price, executed_at, profit, commission, swap, fee,
    stop_loss, take_profit, reason, magic, comment
from episodes
where held_before <> 0 and (abs(held_after) < abs(held_before) or held_before * held_after < 0)

union all

-- what moves no volume
select
    account_id, position || ' ' || greatest(episode, 1), position, 'only',
    deal_id, symbol, side, lots, price, executed_at, profit, commission, swap, fee,
    stop_loss, take_profit, reason, magic, comment
from episodes
where held_before = held_after
