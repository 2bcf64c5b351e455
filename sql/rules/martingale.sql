-- Trades whose lots were raised after a row of losses in the instrument. Grain: account_id, trade_id.
-- The row is the unbroken losses before the opening, as far as they lie within the time; lots are held against the
-- first of them. A trade closed at the instant of its opening comes before those that were opened after it, not before
-- itself: `turn` is its place among the openings there, what was open before has the turn 0.
with accounts as (
    select
        accounts.account,
        cast(terms.multiple as decimal(9, 4)) as multiple,
        terms.losses,
        terms.within_seconds
    from facts.rule_accounts as accounts
    inner join terms.martingale as terms using (product, product_version, stage)
    semi join (select account from decided.suspect_accounts where rule = 'martingale') as suspects using (account)
),

trades as (
    select
        trades.account,
        trades.market,
        trades.place,
        trades.trade_id,
        trades.lots,
        trades.closed_at,
        case when trades.opened_at = trades.closed_at then trades.place else 0 end as turn,
        trades.net_profit
    from facts.rule_trades as trades
    semi join accounts using (account)
    where trades.closed_at is not null
),

closed as (
    select
        account,
        market,
        place,
        lots,
        closed_at,
        turn,
        net_profit < 0 as lost,
        row_number() over by_close as number,
        coalesce(lag(closed_at) over by_close = closed_at and lag(net_profit) over by_close < 0, false) as beside_a_loss,
        lead((closed_at, turn)) over by_close as closed_after,
        count(*) filter (where net_profit >= 0) over by_close as row_of_losses
    from trades
    window by_close as (partition by account, market order by closed_at, turn, trade_id)
),

-- where the row stands after everything closed at an instant: only an unbroken one matters
standing as (
    select account, market, closed_at, turn, number, row_of_losses, lost
    from closed
    where closed_after is distinct from (closed_at, turn)
),

opened as (
    select
        trades.account,
        trades.market,
        trades.place,
        trades.opened_at,
        trades.lots,
        accounts.multiple,
        accounts.losses,
        trades.opened_at - to_seconds(accounts.within_seconds) as since_at
    from facts.rule_trades as trades
    inner join accounts using (account)
),

after_losses as (
    select opened.*, standing.number as last_number, standing.row_of_losses
    from opened
    asof inner join standing
        on
            opened.account = standing.account
            and opened.market = standing.market
            and (opened.opened_at, opened.place) > (standing.closed_at, standing.turn)
    where standing.lost
),

-- of several losses at one instant the first stands for them
first_losses as (
    select account, market, row_of_losses, closed_at, number, place, lots
    from closed
    where lost and not beside_a_loss
),

raised as (
    select
        after_losses.*,
        first_loss.lots as first_lots,
        first_loss.place as first_place,
        after_losses.last_number - first_loss.number + 1 as losses_before
    from after_losses
    asof inner join first_losses as first_loss
        on
            after_losses.account = first_loss.account
            and after_losses.market = first_loss.market
            and after_losses.row_of_losses = first_loss.row_of_losses
            and after_losses.since_at <= first_loss.closed_at
    where
        after_losses.last_number - first_loss.number + 1 >= after_losses.losses
        and after_losses.lots >= first_loss.lots * after_losses.multiple
)

select
    trades.account_id,
    raised.opened_at as happened_at,
    'breached' as outcome,
    cast(raised.lots as double) as observed,
    cast(raised.first_lots * raised.multiple as double) as allowed,
    trades.trade_id,
    json_object(
        'instrument', trades.instrument,
        'losses', raised.losses_before,
        'first_trade_id', first_trade.trade_id,
        'first_lots', raised.first_lots
    ) as detail
from raised
inner join facts.rule_trades as trades using (account, place)
inner join facts.rule_trades as first_trade
    on raised.account = first_trade.account and raised.first_place = first_trade.place
