-- How sizes follow losses and wins, in the account's own order and instrument by instrument.
-- Grain: account_id, sequence. A position opened while the one before is still open and worse priced follows a loss.
-- Raised is what is larger by a step than the last, or, once that is closed, climbs to it from where the losses, or the
-- wins, began: one lot, two, three, four. Layers that grow a little are a grid.
with beginnings as (
    -- beside what the account begins with in the instrument, where it is known: a raised size is no usual one
    select account_id, instrument, quantile_disc(lots, 0.25) as usual_lots
    from detectors.positions
    group by account_id, instrument
    having count(*) >= getvariable('martingale_usual_positions')
),

positions as (
    select
        positions.account_id,
        positions.trade_id,
        positions.instrument,
        positions.side = 'buy' as is_long,
        positions.lots,
        positions.size,
        positions.lots / beginnings.usual_lots as own_size,
        positions.opened_at,
        positions.closed_at,
        positions.open_price,
        positions.net_profit
    from detectors.positions as positions
    left join beginnings using (account_id, instrument)
),

ordered as (
    select
        account_id,
        'account' as sequence,
        null as of_instrument,
        row_number() over entries as place,
        instrument, is_long, lots, size, own_size, opened_at, open_price,
        lag(instrument) over entries as earlier_instrument,
        lag(is_long) over entries as earlier_is_long,
        lag(lots) over entries as earlier_lots,
        lag(size) over entries as earlier_size,
        lag(own_size) over entries as earlier_own_size,
        lag(closed_at) over entries as earlier_closed_at,
        lag(open_price) over entries as earlier_price,
        lag(net_profit) over entries as earlier_profit
    from positions
    window entries as (partition by account_id order by opened_at, trade_id)

    union all

    select
        account_id,
        'instrument',
        instrument,
        row_number() over entries,
        instrument, is_long, lots, size, own_size, opened_at, open_price,
        lag(instrument) over entries,
        lag(is_long) over entries,
        lag(lots) over entries,
        lag(size) over entries,
        lag(own_size) over entries,
        lag(closed_at) over entries,
        lag(open_price) over entries,
        lag(net_profit) over entries
    from positions
    window entries as (partition by account_id, instrument order by opened_at, trade_id)
),

followed as (
    select
        account_id,
        sequence,
        of_instrument,
        place,
        opened_at,
        instrument,
        lots,
        case
            when instrument = earlier_instrument then lots / earlier_lots
            else coalesce(own_size / earlier_own_size, size / earlier_size)
        end as step,
        coalesce(earlier_closed_at <= opened_at, false) as in_turn,
        case
            when earlier_closed_at <= opened_at and earlier_profit <> 0 then earlier_profit < 0
            when instrument = earlier_instrument and is_long = earlier_is_long
                then (open_price - earlier_price) * if(is_long, 1, -1) < 0
        end as after_loss
    from ordered
    where earlier_instrument is not null
),

-- runs of losses, or of wins; how far sizes have climbed since the account's first, and since the run's
climbed as (
    select
        *,
        after_loss is distinct from lag(after_loss) over entries as is_turn,
        sum(ln(step)) over (entries rows between unbounded preceding and current row) as climb
    from followed
    where after_loss is not null and step is not null
    window entries as (partition by account_id, sequence, of_instrument order by place)
),

raised as (
    select
        *,
        step >= getvariable('martingale_step_min')
        or (
            in_turn
            and step >= getvariable('martingale_climb_min')
            and exp(climb - last_value(if(is_turn, climb - ln(step), null) ignore nulls) over (
                partition by account_id, sequence, of_instrument order by place
                rows between unbounded preceding and current row
            )) >= getvariable('martingale_step_min')
        ) as is_raised
    from climbed
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
    count(distinct hash(instrument, lots)) filter (where after_loss and is_raised) as raised_sizes,
    min(opened_at) filter (where after_loss and is_raised) as first_at,
    max(opened_at) filter (where after_loss and is_raised) as last_at
from raised
group by account_id, sequence
