-- Positions opened or enlarged beside one in the same instrument and direction that loses at the price then paid, up to
-- more lots than a multiple of the first's. The first is the oldest still open, with what it had opened by then.
-- Grain: account_id, trade_id.
with accounts as (
    select accounts.account, cast(terms.multiple as decimal(9, 4)) as multiple
    from facts.rule_accounts as accounts
    inner join terms.adding_to_losers as terms using (product, product_version, stage)
),

positions as (
    select trades.*, accounts.multiple
    from facts.rule_trades as trades
    inner join accounts using (account)
    where trades.in_addition
),

stacked as (
    select
        new.account_id,
        new.trade_id,
        new.instrument,
        new.side,
        new.multiple,
        new.account,
        openings.opened_at,
        openings.price,
        openings.lots,
        min(old.place) as first_place,
        arg_min(old.trade_id, old.place) as first_id
    from positions as new
    inner join facts.rule_openings as openings using (account, place)
    inner join positions as old
        on
            new.account = old.account
            and new.market = old.market
            and new.side = old.side
            and old.place < new.place
            and coalesce(old.closed_at, 'infinity') > openings.opened_at
    group by all
),

added as (
    select stacked.*, firsts.lots as first_lots
    from stacked
    asof inner join facts.rule_openings as firsts
        on
            stacked.account = firsts.account
            and stacked.first_place = firsts.place
            and stacked.opened_at >= firsts.opened_at
    where
        stacked.lots > firsts.lots * stacked.multiple
        and case stacked.side
            when 'buy' then stacked.price < firsts.average_price else stacked.price > firsts.average_price
        end
)

select
    account_id,
    min(opened_at) as happened_at,
    'breached' as outcome,
    cast(arg_min(lots, opened_at) as double) as observed,
    cast(arg_min(first_lots * multiple, opened_at) as double) as allowed,
    trade_id,
    json_object(
        'instrument', instrument,
        'side', side,
        'first_trade_id', arg_min(first_id, opened_at),
        'first_lots', arg_min(first_lots, opened_at)
    ) as detail
from added
group by account_id, trade_id, instrument, side
