-- Positions open at a cutoff at which nothing may be open; one closed at that very instant is not. Grain: account_id,
-- trade_id, cutoff.
with held as (
    select trades.*
    from facts.rule_trades as trades
    asof inner join terms.cutoffs as cutoffs
        on
            trades.product = cutoffs.product
            and trades.product_version = cutoffs.product_version
            and trades.stage = cutoffs.stage
            and cutoffs.rule = 'overnight'
            and trades.opened_at <= cutoffs.cutoff_at
    where cutoffs.cutoff_at <= trades.held_until and (trades.closed_at is null or trades.closed_at > cutoffs.cutoff_at)
)

select
    held.account_id,
    cutoffs.cutoff_at as happened_at,
    'breached' as outcome,
    cast(held.lots as double) as observed,
    cast(0 as double) as allowed,
    held.trade_id,
    json_object('instrument', held.instrument) as detail
from held
inner join terms.cutoffs as cutoffs
    on
        held.product = cutoffs.product
        and held.product_version = cutoffs.product_version
        and held.stage = cutoffs.stage
        and cutoffs.rule = 'overnight'
        and cutoffs.cutoff_at between held.opened_at and held.held_until
where held.closed_at is null or held.closed_at > cutoffs.cutoff_at
