-- Positions opened against an opposite one in the same instrument and open beside it long enough. Grain: account_id,
-- trade_id (the later of the two). Of several opposite positions the one that stays open longest is named. Instruments
-- that the terms let count as one are one `line`.
with accounts as (
    select accounts.account, accounts.product, accounts.product_version, accounts.stage, terms.min_overlap_seconds
    from facts.rule_accounts as accounts
    inner join terms.hedging as terms using (product, product_version, stage)
),

lined as (
    select
        trades.account,
        trades.place,
        trades.account_id,
        trades.trade_id,
        trades.instrument,
        trades.side,
        trades.opened_at,
        trades.held_until,
        coalesce(-1 - lines.line, trades.market) as line,
        accounts.min_overlap_seconds
    from facts.rule_trades as trades
    inner join accounts using (account)
    left join facts.rule_lines as lines
        on
            (accounts.product, accounts.product_version, accounts.stage, trades.market)
            = (lines.product, lines.product_version, lines.stage, lines.market)
    where trades.beside_opposite
),

followed as (
    select
        *,
        case side
            when 'buy' then max(held_until) filter (where side = 'sell') over earlier
            else max(held_until) filter (where side = 'buy') over earlier
        end as opposite_until
    from lined
    window earlier as (partition by account, line order by place rows between unbounded preceding and 1 preceding)
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
    json_object(
        'instrument', overlapping.instrument, 'against', min(opposite.trade_id),
        'against_instrument', nullif(arg_min(opposite.instrument, opposite.trade_id), overlapping.instrument)
    ) as detail
from overlapping
inner join lined as opposite
    on
        overlapping.account = opposite.account
        and overlapping.line = opposite.line
        and overlapping.opposite_until = opposite.held_until
        and overlapping.side <> opposite.side
        and opposite.place < overlapping.place
group by
    overlapping.account_id,
    overlapping.trade_id,
    overlapping.instrument,
    overlapping.opened_at,
    overlapping.together_until,
    overlapping.min_overlap_seconds
