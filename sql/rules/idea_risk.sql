-- Trade ideas that lost more than the stage allows, at the close with which they did. Grain: account_id, idea.
-- An idea is what is open together in one instrument and direction; reopening soon after a loss continues it.
with accounts as (
    select accounts.account, sizes.size, terms.merge_seconds
    from facts.rule_accounts as accounts
    inner join terms.idea_risk as terms using (product, product_version, stage)
    inner join terms.sizes as sizes using (product, product_version, stage, currency, initial_balance)
    where sizes.rule = 'idea_risk'
),

followed as (
    select
        account,
        market,
        side,
        place,
        opened_at,
        -- when the latest of the positions before was closed, and in the last bit whether at a loss
        max(epoch_us(held_until) * 2 + case when net_profit < 0 then 1 else 0 end) over (
            partition by account, market, side order by place rows between unbounded preceding and 1 preceding
        ) as before
    from facts.rule_trades
    semi join accounts using (account)
    where in_losing_idea
),

numbered as (
    select
        followed.account,
        followed.market,
        followed.side,
        followed.place,
        accounts.size,
        count(*) filter (
            where coalesce(
                epoch_us(followed.opened_at)
                > followed.before // 2 + case followed.before % 2 when 1 then accounts.merge_seconds * 1000000 else 0 end,
                true
            )
        ) over (partition by followed.account, followed.market, followed.side order by followed.place) as idea
    from followed
    inner join accounts using (account)
),

losses as (
    select
        trades.*,
        numbered.idea,
        numbered.size,
        -sum(trades.net_profit) over (
            partition by numbered.account, numbered.market, numbered.side, numbered.idea order by trades.closed_at
        ) as lost
    from numbered
    inner join facts.rule_trades as trades using (account, place)
    where trades.closed_at is not null
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
