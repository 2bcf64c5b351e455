-- Positions open at a cutoff at which nothing may be open but what is exempt; one closed at that very instant is not.
-- Grain: account_id, trade_id, cutoff.
select
    trades.account_id,
    cutoffs.cutoff_at as happened_at,
    'breached' as outcome,
    cast(trades.lots as double) as observed,
    cast(0 as double) as allowed,
    trades.trade_id,
    json_object('instrument', trades.instrument) as detail
from facts.rule_trades as trades
inner join terms.cutoffs as cutoffs
    on
        trades.product = cutoffs.product
        and trades.product_version = cutoffs.product_version
        and trades.stage = cutoffs.stage
        and cutoffs.rule = 'weekend'
        and cutoffs.cutoff_at >= trades.opened_at
        and cutoffs.cutoff_at <= trades.held_until
anti join (from facts.rule_named where rule = 'weekend') as exempt
    on
        (trades.product, trades.product_version, trades.stage, trades.symbol)
        = (exempt.product, exempt.product_version, exempt.stage, exempt.symbol)
where trades.over_cutoff and (trades.closed_at is null or trades.closed_at > cutoffs.cutoff_at)
