-- Trades whose lots were raised after a row of losses in the instrument. Grain: account_id, trade_id.
-- The row is the unbroken losses before the opening, as far as they lie within the time; lots are held against the first.
with closed as (
    select
        trades.account_id,
        trades.instrument,
        trades.trade_id,
        trades.lots,
        trades.closed_at,
        trades.net_profit < 0 as lost,
        row_number() over by_close as place,
        lag(trades.closed_at) over by_close as closed_before,
        lead(trades.closed_at) over by_close as closed_after,
        count(*) filter (where trades.net_profit >= 0) over by_close as row_of_losses
    from facts.rule_trades as trades
    semi join terms.martingale using (product, product_version, stage)
    where trades.closed_at is not null
    window by_close as (partition by trades.account_id, trades.instrument order by trades.closed_at, trades.trade_id)
),

-- of several closes at one instant the last one says where the row stands
standing as (
    select account_id, instrument, closed_at, place, row_of_losses
    from closed
    where lost and closed_after is distinct from closed_at
),

latest_closes as (
    select account_id, instrument, closed_at as latest_at
    from closed
    where closed_after is distinct from closed_at
),

opened as (
    select trades.*, terms.multiple, terms.losses, terms.within_seconds, latest.latest_at
    from facts.rule_trades as trades
    inner join terms.martingale as terms using (product, product_version, stage)
    asof inner join latest_closes as latest
        on
            trades.account_id = latest.account_id
            and trades.instrument = latest.instrument
            and trades.opened_at >= latest.latest_at
),

after_losses as (
    select opened.*, standing.place as last_place, standing.row_of_losses
    from opened
    inner join standing
        on
            opened.account_id = standing.account_id
            and opened.instrument = standing.instrument
            and opened.latest_at = standing.closed_at
),

losses as (
    select *
    from closed
    where lost and closed_before is distinct from closed_at
),

against_first as (
    select after_losses.*, first_loss.lots as first_lots, first_loss.place as first_place, first_loss.trade_id as first_id
    from after_losses
    asof inner join losses as first_loss
        on
            after_losses.account_id = first_loss.account_id
            and after_losses.instrument = first_loss.instrument
            and after_losses.row_of_losses = first_loss.row_of_losses
            and after_losses.opened_at - to_seconds(after_losses.within_seconds) <= first_loss.closed_at
)

select
    account_id,
    opened_at as happened_at,
    'breached' as outcome,
    cast(lots as double) as observed,
    cast(first_lots as double) * multiple as allowed,
    trade_id,
    json_object(
        'instrument', instrument, 'losses', last_place - first_place + 1, 'first_trade_id', first_id, 'first_lots', first_lots
    ) as detail
from against_first
where last_place - first_place + 1 >= losses and lots >= first_lots * cast(multiple as decimal(9, 4))
