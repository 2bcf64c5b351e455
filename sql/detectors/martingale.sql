-- How sizes follow losses and wins, in the account's own order and instrument by instrument: the entries that the pass of
-- `models.size_runs` follows. Grain: account_id, sequence; of the entries account_id, trade_id, opened_at.
-- A position opened while the one before is still open and worse priced follows a loss. What a netted position was built up
-- by are entries of their own, pieces of one order together.
-- Raised is what is larger by a step than the last, or, once that is closed, climbs to it from where the losses, or the
-- wins, began: one lot, two, three, four. Layers that grow a little are not raised, but can make a ladder. Back from a small
-- position to what the account usually begins with is no raise.
-- A ladder is what the depth of a run of losses explains of how sizes vary: sums of squares and products of the logarithm
-- of sizes and, in four ways, of that depth.
with opened as (
    select
        deals.*,
        coalesce(
            deals.executed_at - lag(deals.executed_at) over within_trade > to_seconds(getvariable('grid_piece_s')), true
        ) as begins
    from detectors.trade_deals as deals
    where deals.role = 'in'
    window within_trade as (
        partition by deals.account_id, deals.trade_id order by deals.executed_at, deals.deal_id
    )
),

built as (
    select
        account_id,
        trade_id,
        min(executed_at) as opened_at,
        sum(lots) as lots,
        sum(price * lots) / nullif(sum(lots) filter (where price is not null), 0) as open_price
    from (
        select
            *,
            count(*) filter (where begins) over (
                partition by account_id, trade_id order by executed_at, deal_id
                rows between unbounded preceding and current row
            ) as entry
        from opened
    )
    group by account_id, trade_id, entry
),

entries as (
    select
        positions.account_id,
        positions.trade_id,
        positions.instrument,
        positions.side,
        positions.closed_at,
        positions.net_profit,
        coalesce(built.opened_at, positions.opened_at) as opened_at,
        -- an entry whose price is not told has none, not that of the whole position
        cast(if(built.opened_at is null, positions.open_price, built.open_price) as double) as open_price,
        cast(coalesce(built.lots, positions.lots) as double) as lots,
        cast(positions.size as double) * coalesce(built.lots / nullif(positions.lots, 0), 1) as size
    from detectors.positions as positions
    left join built using (account_id, trade_id)
),

chains as (
    -- numbers are ordered faster than names. What the account begins with in the instrument, where it is known, stands
    -- beside: a raised size is no usual one
    select
        *,
        min(chain) over (partition by account_id) as account,
        bool_and(usual_lots is not null) over (partition by account_id) as all_known
    from (
        select
            account_id,
            instrument,
            row_number() over () - 1 as chain,
            if(count(*) >= getvariable('martingale_usual_positions'), quantile_disc(lots, 0.25), null) as usual_lots
        from entries
        group by account_id, instrument
    )
)

select
    entries.account_id,
    chains.account,
    chains.chain,
    cast(entries.side = 'buy' as bigint) as is_long,
    cast(chains.all_known as bigint) as all_known,
    epoch_us(entries.opened_at) as opened_us,
    -- what is open is closed after all else
    coalesce(epoch_us(entries.closed_at), cast('9223372036854775807' as bigint)) as closed_us,
    entries.lots,
    entries.size,
    entries.lots / chains.usual_lots as own_size,
    entries.open_price,
    cast(entries.net_profit as double) as net_profit
from entries
inner join chains using (account_id, instrument)
order by chains.account, entries.opened_at, entries.trade_id
