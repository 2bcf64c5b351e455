-- Positions opened against an opposite one in the same instrument and open beside it long enough. Grain: account_id,
-- trade_id (the later of the two). Of several opposite positions the one that stays open longest is named.
with followed as (
    select
        trades.*,
        terms.min_overlap_seconds,
        case trades.side
            when 'buy' then max(trades.held_until) filter (where trades.side = 'sell') over earlier
            else max(trades.held_until) filter (where trades.side = 'buy') over earlier
        end as opposite_until
    from facts.rule_trades as trades
    inner join terms.hedging as terms using (product, product_version, stage)
    window earlier as (
        partition by trades.account_id, trades.instrument
        order by trades.opened_at, trades.trade_id
        rows between unbounded preceding and 1 preceding
    )
),

overlapping as (
    select *, least(held_until, opposite_until) as together_until
    from followed
    where
        opposite_until > opened_at
        and least(held_until, opposite_until) >= opened_at + to_seconds(min_overlap_seconds)
)

select
    overlapping.account_id,
    overlapping.opened_at + to_seconds(overlapping.min_overlap_seconds) as happened_at,
    'breached' as outcome,
    (epoch_us(overlapping.together_until) - epoch_us(overlapping.opened_at)) / 1e6 as observed,
    cast(overlapping.min_overlap_seconds as double) as allowed,
    overlapping.trade_id,
    json_object('instrument', overlapping.instrument, 'against', min(opposite.trade_id)) as detail
from overlapping
inner join facts.rule_trades as opposite
    on
        overlapping.account_id = opposite.account_id
        and overlapping.instrument = opposite.instrument
        and overlapping.opposite_until = opposite.held_until
        and overlapping.side <> opposite.side
        and opposite.opened_at <= overlapping.opened_at
group by
    overlapping.account_id,
    overlapping.trade_id,
    overlapping.instrument,
    overlapping.opened_at,
    overlapping.together_until,
    overlapping.min_overlap_seconds
