-- Positions added to one in the same instrument and direction that loses at the price of the new one, with more lots than
-- a multiple of the first's. The first is the oldest still open. Grain: account_id, trade_id.
with accounts as (
    select accounts.account, cast(terms.multiple as decimal(9, 4)) as multiple
    from facts.rule_accounts as accounts
    inner join terms.adding_to_losers as terms using (product, product_version, stage)
),

stacked as (
    select
        new.account_id,
        new.trade_id,
        new.instrument,
        new.side,
        new.opened_at,
        new.open_price,
        new.lots,
        accounts.multiple,
        arg_min(old.open_price, old.place) as first_price,
        arg_min(old.lots, old.place) as first_lots,
        arg_min(old.trade_id, old.place) as first_id
    from facts.rule_trades as new
    inner join accounts using (account)
    inner join facts.rule_trades as old
        on
            new.account = old.account
            and new.market = old.market
            and new.side = old.side
            and old.place < new.place
            and coalesce(old.closed_at, 'infinity') > new.opened_at
    where new.in_addition and old.in_addition
    group by all
)

select
    account_id,
    opened_at as happened_at,
    'breached' as outcome,
    cast(lots as double) as observed,
    cast(first_lots * multiple as double) as allowed,
    trade_id,
    json_object(
        'instrument', instrument, 'side', side, 'first_trade_id', first_id, 'first_lots', first_lots
    ) as detail
from stacked
where
    lots > first_lots * multiple
    and case side when 'buy' then open_price < first_price else open_price > first_price end
