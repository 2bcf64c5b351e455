-- Trade ideas that lost more than the stage allows, at the close with which they did. Grain: account_id, idea.
-- An idea is what is open together in one instrument and direction; reopening soon after a loss continues it. A position
-- that is closed in parts has lost what it had lost by then, its costs so far with the first part. Sums are compared in
-- whole minor units.
with accounts as (
    select accounts.account, sizes.size, sizes.beyond, terms.merge_seconds
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
        accounts.beyond,
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

parts as (
    select
        account,
        place,
        net,
        min(executed_at) filter (where role = 'out') over (partition by account, place) as first_out_at,
        executed_at
    from facts.rule_deals
    semi join numbered using (account, place)
    where net is not null
),

made as (
    select account, place, greatest(executed_at, first_out_at) as made_at, net
    from parts
    where first_out_at is not null

    union all

    select account, place, closed_at, net_profit
    from facts.rule_trades
    semi join numbered using (account, place)
    where closed_at is not null and not by_deals
),

losses as (
    select
        trades.account_id,
        trades.trade_id,
        trades.instrument,
        trades.side,
        numbered.idea,
        numbered.size,
        numbered.beyond,
        made.made_at,
        -sum(made.net) over (
            partition by numbered.account, numbered.market, numbered.side, numbered.idea order by made.made_at
        ) as lost
    from numbered
    inner join made using (account, place)
    inner join facts.rule_trades as trades using (account, place)
)

select
    account_id,
    min(made_at) as happened_at,
    'breached' as outcome,
    cast(arg_min(lost, made_at) as double) as observed,
    cast(size as double) as allowed,
    arg_min(trade_id, (made_at, trade_id)) as trade_id,
    json_object('instrument', instrument, 'side', side) as detail
from losses
where lost >= beyond
group by account_id, instrument, side, idea, size
