-- How sizes follow losses and wins, in the account's own order and instrument by instrument.
-- Grain: account_id, sequence. A position opened while the one before is still open and worse priced follows a loss.
-- Raised is what is larger by a step than the last, or, once that is closed, climbs to it from where the losses, or the
-- wins, began: one lot, two, three, four. Layers that grow a little are a grid. Back from a small position to what the account
-- usually begins with is no raise. What is just as large counts: 1e-9 is for the rounding of quotients.
with chains as (
    -- numbers are ordered faster than names. What the account begins with in the instrument, where it is known, stands
    -- beside: a raised size is no usual one
    select
        *,
        min(chain) over (partition by account_id) as account
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
        account, chain, place, opened_at, lots, is_usual, account_step, account_in_turn, after_account_loss,
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

-- runs of losses, or of wins; how far sizes have climbed since the first
climbed as (
    select
        account, 'account' as sequence, account as of_chain, place, opened_at, chain, lots, is_usual,
        account_step as step,
        account_in_turn as in_turn,
        after_account_loss as after_loss,
        after_account_loss is distinct from lag(after_account_loss) over entries as is_turn,
        after_account_loss is distinct from lead(after_account_loss) over entries as is_end,
        sum(ln(account_step)) over (entries rows between unbounded preceding and current row) as climb
    from by_instrument
    where after_account_loss is not null and account_step is not null
    window entries as (partition by account order by place)

    union all

    select
        account, 'instrument', chain, place, opened_at, chain, lots, is_usual, step, in_turn, after_loss,
        after_loss is distinct from lag(after_loss) over entries,
        after_loss is distinct from lead(after_loss) over entries,
        sum(ln(step)) over (entries rows between unbounded preceding and current row)
    from by_instrument
    where after_loss is not null and step is not null
    window entries as (partition by chain order by place)
),

marked as (
    select
        *,
        in_turn and not is_turn
        and step >= getvariable('martingale_climb_min') and step < getvariable('martingale_step_min') - 1e-9 as may_climb
    from climbed
),

-- only small steps within a run ask how far it has climbed since it began
raised as (
    select
        account, sequence, opened_at, chain, lots, step, after_loss,
        step >= getvariable('martingale_step_min') - 1e-9 and not is_usual as is_raised
    from marked
    where not may_climb

    union all

    select
        account, sequence, opened_at, chain, lots, step, after_loss,
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
)

select
    accounts.account_id,
    raised.sequence,
    count(*) filter (where raised.after_loss) as losses,
    count(*) filter (where raised.after_loss and raised.is_raised) as raised_after_loss,
    count(*) filter (where not raised.after_loss) as wins,
    count(*) filter (where not raised.after_loss and raised.is_raised) as raised_after_win,
    median(raised.step) filter (where raised.after_loss) as step_after_loss,
    stddev_samp(ln(raised.step)) filter (where raised.after_loss and raised.is_raised) as step_spread,
    count(distinct hash(raised.chain, raised.lots)) filter (where raised.after_loss and raised.is_raised) as raised_sizes,
    min(raised.opened_at) filter (where raised.after_loss and raised.is_raised) as first_at,
    max(raised.opened_at) filter (where raised.after_loss and raised.is_raised) as last_at
from raised
inner join (select chain, account_id from chains) as accounts on raised.account = accounts.chain
group by accounts.account_id, raised.sequence
