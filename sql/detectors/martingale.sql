-- How sizes follow losses and wins, in the account's own order and instrument by instrument.
-- Grain: account_id, sequence. A position opened while the one before is still open and worse priced follows a loss.
-- Raised is what is larger by a step than the last, or, once that is closed, climbs to it from where the losses, or the
-- wins, began: one lot, two, three, four. Layers that grow a little are a grid.
with positions as (
    select
        *,
        -- beside what the account begins with in the instrument, where it is known: a raised size is no usual one
        if(
            count(*) over own >= getvariable('martingale_usual_positions'),
            lots / quantile_disc(lots, 0.25) over own,
            null
        ) as own_size
    from detectors.positions
    window own as (partition by account_id, instrument)
),

ordered as (
    select
        account_id, trade_id, 'account' as sequence, instrument, side, lots, size, own_size, opened_at, closed_at, open_price, net_profit,
        lag(struct_pack(instrument, side, lots, size, own_size, closed_at, open_price, net_profit)) over (
            partition by account_id order by opened_at, trade_id
        ) as earlier
    from positions

    union all

    select
        account_id, trade_id, 'instrument', instrument, side, lots, size, own_size, opened_at, closed_at, open_price, net_profit,
        lag(struct_pack(instrument, side, lots, size, own_size, closed_at, open_price, net_profit)) over (
            partition by account_id, instrument order by opened_at, trade_id
        )
    from positions
),

followed as (
    select
        account_id,
        sequence,
        opened_at,
        row_number() over (partition by account_id, sequence order by opened_at, trade_id) as place,
        struct_pack(instrument, lots) as sized,
        case
            when instrument = earlier.instrument then lots / earlier.lots
            else coalesce(own_size / earlier.own_size, size / earlier.size)
        end as step,
        coalesce(earlier.closed_at <= opened_at, false) as in_turn,
        case
            when earlier.closed_at <= opened_at and earlier.net_profit <> 0 then earlier.net_profit < 0
            when instrument = earlier.instrument and side = earlier.side
                then (open_price - earlier.open_price) * if(side = 'buy', 1, -1) < 0
        end as after_loss
    from ordered
    where earlier is not null
),

turns as (
    select
        *,
        after_loss is distinct from lag(after_loss) over (
            partition by account_id, sequence order by place
        ) as is_turn
    from followed
    where after_loss is not null and step is not null
),

runs as (
    select *, count(*) filter (where is_turn) over (partition by account_id, sequence order by place) as run
    from turns
),

climbing as (
    select
        *,
        step >= getvariable('martingale_step_min')
        or (
            in_turn
            and step >= getvariable('martingale_climb_min')
            and exp(sum(ln(step)) over (partition by account_id, sequence, run order by place))
            >= getvariable('martingale_step_min')
        ) as is_raised
    from runs
)

select
    account_id,
    sequence,
    count(*) filter (where after_loss) as losses,
    count(*) filter (where after_loss and is_raised) as raised_after_loss,
    count(*) filter (where not after_loss) as wins,
    count(*) filter (where not after_loss and is_raised) as raised_after_win,
    median(step) filter (where after_loss) as step_after_loss,
    stddev_samp(ln(step)) filter (where after_loss and is_raised) as step_spread,
    count(distinct sized) filter (where after_loss and is_raised) as raised_sizes,
    min(opened_at) filter (where after_loss and is_raised) as first_at,
    max(opened_at) filter (where after_loss and is_raised) as last_at
from climbing
group by account_id, sequence
