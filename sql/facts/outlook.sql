-- What would end or pass each live account: how far equity may fall, how much of each allowance is used, and how many
-- trading days the target is away at the pace so far. Grain: account_id (active or paused).
-- An allowance is what the terms grant below the day's reference or below the highest balance; where a floor has stopped
-- rising the highest balance is not kept, and the share is known only when that floor is the tighter one.
-- The pace is the mean closed profit of trading days; its 95 % range is that of a mean of independent days, and it is a
-- projection: unknown below five days and without profit so far, open at the far end when the pace may as well be none.
with live as (
    select * from decided.account_status where status in ('active', 'paused')
),

lived as (
    select
        account_id,
        nullif(count(traded_profit), 0) as days,
        avg(traded_profit) as pace,
        stddev_samp(traded_profit) / sqrt(count(traded_profit)) as pace_error,
        sum(cast(money_moved as double)) as moved
    from (
        select *, case when trades > 0 or closed_profit <> 0 then cast(closed_profit as double) end as traded_profit
        from decided.account_days
    )
    group by account_id
),

sized as (
    select
        live.*,
        lived.days,
        lived.pace,
        lived.pace_error,
        daily.effect as daily_effect,
        total.effect as max_effect,
        coalesce(
            daily.amount,
            case daily.base
                when 'reference' then live.daily_floor * daily.percent / (100 - daily.percent)
                else daily.percent / 100 * live.initial_balance
            end
        ) as daily_allowance,
        case
            when total.mode = 'static' then live.initial_balance - live.max_floor
            when total.base = 'high_water' then live.max_floor * total.percent / (100 - total.percent)
            else coalesce(total.amount, total.percent / 100 * live.initial_balance)
        end as max_allowance,
        total.mode = 'static'
        or (total.payout_rebase = 'none' and total.lock_offset is null and not coalesce(total.lock_at_target, false))
            as max_known,
        coalesce(target.amount, target.percent / 100 * live.initial_balance) as target,
        coalesce(consistency.raise_target, false) as target_rises,
        cast(case target.basis when 'equity' then live.equity else live.balance end as double)
        - live.initial_balance - coalesce(lived.moved, 0) as profit
    from live
    left join terms.daily_loss as daily using (product, product_version, stage)
    left join terms.max_loss as total using (product, product_version, stage)
    left join terms.profit_target as target using (product, product_version, stage)
    left join terms.consistency as consistency using (product, product_version, stage)
    left join lived on live.account_id = lived.account_id
),

used as (
    select
        *,
        greatest(1 - daily_headroom / nullif(daily_allowance, 0), 0) as daily_share,
        greatest(1 - max_headroom / nullif(max_allowance, 0), 0) as max_share,
        case
            when target_progress >= 1 then null
            when not target_rises then target * (1 - target_progress)
            -- how far a target has risen is kept only in the share that is made of it
            when target_progress <> 0 then profit / target_progress - profit
        end as to_target
    from sized
)

select
    used.account_id,
    used.desk_id,
    used.currency,
    used.daily_headroom,
    used.max_headroom,
    used.daily_floor,
    used.max_floor,
    used.daily_effect,
    used.max_effect,
    case when used.daily_headroom is not null then used.daily_share end as daily_share,
    case
        when used.max_headroom is null then null
        when used.max_known then used.max_share
        when used.daily_headroom is null or used.near_share > used.daily_share + 1e-6 then used.near_share
    end as max_share,
    used.target,
    used.to_target,
    used.days,
    used.pace,
    case when used.days >= 5 and used.pace > 0 then used.to_target / used.pace end as days_to_target,
    case when used.days >= 5 and used.pace > 0
        then used.to_target / (used.pace + limits.quantile * used.pace_error)
    end as days_at_least,
    case when used.days >= 5 and used.pace > limits.quantile * used.pace_error
        then used.to_target / (used.pace - limits.quantile * used.pace_error)
    end as days_at_most
from used
cross join marts.limits as limits
