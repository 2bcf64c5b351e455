-- How sizes follow losses and wins, in the account's own order and instrument by instrument.
-- Grain: account_id, sequence. A position opened while the one before is still open and worse priced follows a loss.
-- Raised is what is larger by a step than the last, or, once that is closed, climbs to it from where the losses, or the
-- wins, began: one lot, two, three, four. Layers that grow a little are a grid. Back from a small position to what the account
-- usually begins with is no raise. What is just as large counts: 1e-9 is for the rounding of quotients.
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
            row_number() over () as chain,
            if(count(*) >= getvariable('martingale_usual_positions'), quantile_disc(lots, 0.25), null) as usual_lots
        from detectors.positions
        group by account_id, instrument
    )
),

positions as (
    select
        chains.account,
        chains.chain,
        positions.trade_id,
        positions.side = 'buy' as is_long,
        positions.lots,
        positions.size,
        positions.lots / chains.usual_lots as own_size,
        chains.all_known,
        positions.opened_at,
        positions.closed_at,
        positions.open_price,
        positions.net_profit
    from detectors.positions as positions
    inner join chains using (account_id, instrument)
),

by_account as (
    select
        account,
        chain,
        row_number() over entries as place,
        is_long, lots, opened_at, closed_at, open_price, net_profit,
        coalesce(own_size <= 1, false) as is_usual,
        ln(nullif(if(all_known, own_size, size), 0)) as account_height,
        lag(chain) over entries is null as opens_account,
        if(
            chain = lag(chain) over entries,
            lots / lag(lots) over entries,
            coalesce(own_size / lag(own_size) over entries, size / lag(size) over entries)
        ) as account_step,
        coalesce(lag(closed_at) over entries <= opened_at, false) as account_in_turn,
        case
            when lag(closed_at) over entries <= opened_at and lag(net_profit) over entries <> 0
                then lag(net_profit) over entries < 0
            when chain = lag(chain) over entries and is_long = lag(is_long) over entries
                then (open_price - lag(open_price) over entries) * if(is_long, 1, -1) < 0
        end as after_account_loss
    from positions
    window entries as (partition by account order by opened_at, trade_id)
),

by_instrument as (
    select
        account, chain, place, opened_at, lots, is_usual,
        account_height, opens_account, account_step, account_in_turn, after_account_loss,
        lag(chain) over entries is null as opens_chain,
        lots / lag(lots) over entries as step,
        coalesce(lag(closed_at) over entries <= opened_at, false) as in_turn,
        case
            when lag(closed_at) over entries <= opened_at and lag(net_profit) over entries <> 0
                then lag(net_profit) over entries < 0
            when is_long = lag(is_long) over entries
                then (open_price - lag(open_price) over entries) * if(is_long, 1, -1) < 0
        end as after_loss
    from by_account
    window entries as (partition by chain order by place)
),

-- runs of losses, or of wins; how far sizes have climbed since the first. Before its first position nothing was lost
climbed as (
    select
        account, 'account' as sequence, account as of_chain, place, opened_at, is_usual,
        account_height as height,
        account_step as step,
        account_in_turn as in_turn,
        after_account_loss as after_loss,
        after_account_loss is distinct from lag(after_account_loss) over entries as is_turn,
        after_account_loss is distinct from lead(after_account_loss) over entries as is_end,
        sum(ln(account_step)) over (entries rows between unbounded preceding and current row) as climb,
        count(*) filter (where after_account_loss) over entries as lost,
        count(*) filter (where after_account_loss and not account_in_turn) over entries as laid
    from by_instrument
    where after_account_loss is not null and account_step is not null or opens_account
    window entries as (partition by account order by place)

    union all

    select
        account, 'instrument', chain, place, opened_at, is_usual, ln(lots), step, in_turn, after_loss,
        after_loss is distinct from lag(after_loss) over entries,
        after_loss is distinct from lead(after_loss) over entries,
        sum(ln(step)) over (entries rows between unbounded preceding and current row),
        count(*) filter (where after_loss) over entries,
        count(*) filter (where after_loss and not in_turn) over entries
    from by_instrument
    where after_loss is not null and step is not null or opens_chain
    window entries as (partition by chain order by place)
),

marked as (
    select
        *,
        coalesce(
            in_turn and not is_turn
            and step >= getvariable('martingale_climb_min') and step < getvariable('martingale_step_min') - 1e-9, false
        ) as may_climb,
        -- losses in a row until then, and layers that were laid while the one before was losing
        lost - coalesce(max(lost) filter (where after_loss is not true) over so_far, 0) as depth,
        laid - coalesce(max(laid) filter (where after_loss is not true or in_turn) over so_far, 0) as layer
    from climbed
    window so_far as (partition by sequence, of_chain order by place rows between unbounded preceding and current row)
),

rungs as (
    select
        account, sequence, of_chain, height,
        least(depth, getvariable('martingale_rungs_max')) as rung,
        greatest(least(depth, getvariable('martingale_rungs_max')) - 1, 0) as later,
        ln(1 + least(depth, getvariable('martingale_rungs_max'))) as lots_more,
        least(layer, getvariable('martingale_rungs_max')) as layer
    from marked
    where height is not null
),

-- each instrument has a usual size of its own
ladders as (
    select
        account,
        sequence,
        sum(told - 1) as heights,
        sum(height_squared - height * height / told) as heights_varied,
        sum(rung_squared - rung * rung / told) as rung_varied,
        sum(rung_height - rung * height / told) as rung_with_height,
        sum(later_squared - later * later / told) as later_varied,
        sum(later_height - later * height / told) as later_with_height,
        sum(lots_more_squared - lots_more * lots_more / told) as lots_more_varied,
        sum(lots_more_height - lots_more * height / told) as lots_more_with_height,
        sum(layer_squared - layer * layer / told) as layer_varied,
        sum(layer_height - layer * height / told) as layer_with_height
    from (
        select
            account,
            sequence,
            count(*) as told,
            sum(height) as height,
            sum(height * height) as height_squared,
            sum(rung) as rung,
            sum(rung * rung) as rung_squared,
            sum(rung * height) as rung_height,
            sum(later) as later,
            sum(later * later) as later_squared,
            sum(later * height) as later_height,
            sum(lots_more) as lots_more,
            sum(lots_more * lots_more) as lots_more_squared,
            sum(lots_more * height) as lots_more_height,
            sum(layer) as layer,
            sum(layer * layer) as layer_squared,
            sum(layer * height) as layer_height
        from rungs
        group by account, sequence, of_chain
    )
    group by account, sequence
),

raised as (
    select
        account, sequence, opened_at, step, after_loss,
        step >= getvariable('martingale_step_min') - 1e-9 and not is_usual as is_raised
    from marked
    where not may_climb

    union all

    select
        account, sequence, opened_at, step, after_loss,
        climb - began >= ln(getvariable('martingale_step_min')) - 1e-9 and not is_usual
    from (
        select
            *,
            last_value(if(is_turn, climb - ln(step), null) ignore nulls) over (
                partition by sequence, of_chain order by place rows between unbounded preceding and current row
            ) as began
        from marked
        where may_climb or (is_turn and not is_end)
    )
    where may_climb
),

counted as (
    select
        account,
        sequence,
        count(*) filter (where after_loss) as losses,
        count(*) filter (where after_loss and is_raised) as raised_after_loss,
        count(*) filter (where not after_loss) as wins,
        count(*) filter (where not after_loss and is_raised) as raised_after_win,
        median(step) filter (where after_loss) as step_after_loss,
        min(opened_at) filter (where after_loss and is_raised) as first_at,
        max(opened_at) filter (where after_loss and is_raised) as last_at
    from raised
    where after_loss is not null
    group by account, sequence
)

select
    chains.account_id,
    counted.* exclude (account),
    ladders.* exclude (account, sequence)
from counted
inner join chains on counted.account = chains.chain
left join ladders on counted.account = ladders.account and counted.sequence = ladders.sequence
