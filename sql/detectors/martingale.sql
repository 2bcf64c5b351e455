-- How sizes follow losses and wins, in the account's own order and instrument by instrument: the entries that the pass of
-- `models.size_runs` follows. Grain: account_id, sequence; of the entries account_id, trade_id.
-- A position opened while the one before is still open and worse priced follows a loss.
-- Raised is what is larger by a step than the last, or, once that is closed, climbs to it from where the losses, or the
-- wins, began: one lot, two, three, four. Layers that grow a little are a grid. Back from a small position to what the account
-- usually begins with is no raise.
-- A ladder is what the depth of a run of losses explains of how sizes vary: sums of squares and products of the logarithm
-- of sizes and, in four ways, of that depth.
with chains as (
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
        from detectors.positions
        group by account_id, instrument
    )
)

select
    positions.account_id,
    chains.account,
    chains.chain,
    cast(positions.side = 'buy' as bigint) as is_long,
    cast(chains.all_known as bigint) as all_known,
    epoch_us(positions.opened_at) as opened_us,
    -- what is open is closed after all else
    coalesce(epoch_us(positions.closed_at), cast('9223372036854775807' as bigint)) as closed_us,
    cast(positions.lots as double) as lots,
    cast(positions.size as double) as size,
    positions.lots / chains.usual_lots as own_size,
    cast(positions.open_price as double) as open_price,
    cast(positions.net_profit as double) as net_profit
from detectors.positions as positions
inner join chains using (account_id, instrument)
order by chains.account, positions.opened_at, positions.trade_id
