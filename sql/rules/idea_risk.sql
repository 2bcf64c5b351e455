-- Trade ideas that lost more than the stage allows, at the close with which they did. Grain: account_id, idea.
-- An idea is what is open together in one instrument and direction; reopening soon after a loss continues it.
with followed as (
    select
        trades.*,
        sizes.size,
        terms.merge_seconds,
        -- when the latest of the positions before was closed, and in the last bit whether at a loss
        max(epoch_us(trades.held_until) * 2 + case when trades.net_profit < 0 then 1 else 0 end) over (
            partition by trades.account_id, trades.instrument, trades.side
            order by trades.opened_at, trades.trade_id
            rows between unbounded preceding and 1 preceding
        ) as before
    from facts.rule_trades as trades
    inner join terms.idea_risk as terms using (product, product_version, stage)
    inner join terms.sizes as sizes
        on
            sizes.rule = 'idea_risk'
            and trades.product = sizes.product
            and trades.product_version = sizes.product_version
            and trades.stage = sizes.stage
            and trades.currency = sizes.currency
            and trades.initial_balance = sizes.initial_balance
),

numbered as (
    select
        *,
        count(*) filter (
            where coalesce(
                epoch_us(opened_at) > before // 2 + case before % 2 when 1 then merge_seconds * 1000000 else 0 end,
                true
            )
        ) over (partition by account_id, instrument, side order by opened_at, trade_id) as idea
    from followed
),

losing_ideas as (
    select account_id, instrument, side, idea
    from numbered
    group by account_id, instrument, side, idea, size
    having sum(least(net_profit, 0)) < -size
),

losses as (
    select
        numbered.*,
        -sum(numbered.net_profit) over (
            partition by numbered.account_id, numbered.instrument, numbered.side, numbered.idea
            order by numbered.closed_at
        ) as lost
    from numbered
    semi join losing_ideas using (account_id, instrument, side, idea)
    where numbered.closed_at is not null
)

select
    account_id,
    min(closed_at) as happened_at,
    'breached' as outcome,
    cast(arg_min(lost, closed_at) as double) as observed,
    cast(size as double) as allowed,
    arg_min(trade_id, (closed_at, trade_id)) as trade_id,
    json_object('instrument', instrument, 'side', side) as detail
from losses
where lost > size
group by account_id, instrument, side, idea, size
