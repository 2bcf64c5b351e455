-- How sizes follow losses and wins, in the account's own order and instrument by instrument.
-- Grain: account_id, sequence. A position opened while the one before is still open and worse priced follows a loss.
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
        account_id, 'account' as sequence, instrument, side, lots, size, own_size, opened_at, closed_at, open_price, net_profit,
        lag(struct_pack(instrument, side, lots, size, own_size, closed_at, open_price, net_profit)) over (
            partition by account_id order by opened_at, trade_id
        ) as earlier
    from positions

    union all

    select
        account_id, 'instrument', instrument, side, lots, size, own_size, opened_at, closed_at, open_price, net_profit,
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
        struct_pack(instrument, lots) as sized,
        case
            when instrument = earlier.instrument then lots / earlier.lots
            else coalesce(own_size / earlier.own_size, size / earlier.size)
        end as step,
        case
            when earlier.closed_at <= opened_at and earlier.net_profit <> 0 then earlier.net_profit < 0
            when instrument = earlier.instrument and side = earlier.side
                then (open_price - earlier.open_price) * if(side = 'buy', 1, -1) < 0
        end as after_loss
    from ordered
    where earlier is not null
)

select
    account_id,
    sequence,
    count(*) filter (where after_loss) as losses,
    count(*) filter (where after_loss and step >= getvariable('martingale_step_min')) as raised_after_loss,
    count(*) filter (where not after_loss) as wins,
    count(*) filter (where not after_loss and step >= getvariable('martingale_step_min')) as raised_after_win,
    median(step) filter (where after_loss) as step_after_loss,
    stddev_samp(ln(step)) filter (where after_loss and step >= getvariable('martingale_step_min')) as step_spread,
    count(distinct sized) filter (where after_loss and step >= getvariable('martingale_step_min')) as raised_sizes,
    min(opened_at) filter (where after_loss and step >= getvariable('martingale_step_min')) as first_at,
    max(opened_at) filter (where after_loss and step >= getvariable('martingale_step_min')) as last_at
from followed
where after_loss is not null and step is not null
group by account_id, sequence
