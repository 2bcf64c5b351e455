-- Positions opened against an opposite one in the same instrument and open beside it long enough. Grain: account_id,
-- trade_id (the later of the two). Of several opposite positions the one that stays open longest is named. Instruments
-- that the terms let count as one are one `line`, and so are two that move against each other.
with accounts as (
    select accounts.account, accounts.product, accounts.product_version, accounts.stage, terms.min_overlap_seconds
    from facts.rule_accounts as accounts
    inner join terms.hedging as terms using (product, product_version, stage)
),

trades as (
    select
        trades.account,
        trades.market,
        trades.place,
        trades.account_id,
        trades.trade_id,
        trades.instrument,
        trades.side,
        trades.opened_at,
        trades.held_until,
        coalesce(trades.closed_at, 'infinity') as closed_at,
        accounts.product,
        accounts.product_version,
        accounts.stage,
        accounts.min_overlap_seconds
    from facts.rule_trades as trades
    inner join accounts using (account)
    where trades.beside_opposite
),

-- a trade stands on one of two sides of each line that it is in: by its direction, or in a pair by its instrument
lined as (
    select
        trades.*,
        coalesce(-1 - lines.line, trades.market) as line,
        '' as way,
        trades.side = 'sell' as against
    from trades
    left join facts.rule_lines as lines
        on
            (trades.product, trades.product_version, trades.stage, trades.market)
            = (lines.product, lines.product_version, lines.stage, lines.market)
            and lines.against is null

    union all

    select
        trades.*,
        -1 - lines.line as line,
        trades.side as way,
        lines.against
    from trades
    inner join facts.rule_lines as lines using (product, product_version, stage, market)
    where lines.against is not null
),

followed as (
    select
        *,
        if(
            against,
            max(closed_at) filter (where not against) over earlier,
            max(closed_at) filter (where against) over earlier
        ) as opposite_until
    from lined
    window earlier as (partition by account, line, way order by place rows between unbounded preceding and 1 preceding)
),

overlapping as (
    select *, least(held_until, opposite_until) as together_until
    from followed
    where
        opposite_until > opened_at
        and least(held_until, opposite_until) >= opened_at + to_seconds(min_overlap_seconds)
    -- of several lines the one with the longest
    qualify opposite_until = max(opposite_until) over (partition by account, place)
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
        and overlapping.way = opposite.way
        and overlapping.opposite_until = opposite.closed_at
        and overlapping.against <> opposite.against
        and opposite.place < overlapping.place
group by
    overlapping.account_id,
    overlapping.trade_id,
    overlapping.instrument,
    overlapping.opened_at,
    overlapping.together_until,
    overlapping.min_overlap_seconds
