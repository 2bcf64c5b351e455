-- What positions that stand on others had opened by each instant at which they opened something: lots and average price so
-- far, and the price paid then. Those opened with one deal tell it themselves. Average prices are rounded, so that equal
-- prices are equal. Grain: account, place, opened_at.
with opened as (
    select account, place, executed_at, lots, price
    from facts.rule_deals
    semi join (select account, place from facts.rule_trades where by_deals and (in_stack or in_addition)) as followed
        using (account, place)
    where role = 'in'

    union all

    select account, place, opened_at, lots, open_price
    from facts.rule_trades
    where not by_deals and (in_stack or in_addition)
),

at_once as (
    select account, place, executed_at, sum(lots) as lots, sum(price * lots) as worth
    from opened
    group by all
)

select
    account,
    place,
    executed_at as opened_at,
    round(worth / nullif(lots, 0), 10) as price,
    sum(lots) over so_far as lots,
    round(sum(worth) over so_far / nullif(sum(lots) over so_far, 0), 10) as average_price
from at_once
window so_far as (partition by account, place order by executed_at)
