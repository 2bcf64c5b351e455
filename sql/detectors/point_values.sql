-- What one lot of an instrument gains per unit of price, by how much its positions usually differ from their entry and how
-- long they are usually held,
-- learnt from what closed, so that no contract sizes are needed. Grain: instrument, currency.
-- From what closed before this month where that is enough, so that a new day changes no account but those it tells of.
with closed as (
    select
        trades.instrument,
        accounts.currency,
        trades.lots,
        abs(trades.profit) as result,
        abs(trades.close_price - trades.open_price) as move,
        epoch(trades.closed_at - trades.opened_at) as hold_s,
        trades.closed_at < date_trunc('month', getvariable('as_of')) as is_settled
    from facts.trades as trades
    inner join facts.accounts as accounts using (account_id)
    where trades.profit <> 0 and trades.close_price <> trades.open_price and trades.lots > 0 and trades.closed_at is not null
),

unknown as (
    select *
    from closed
    anti join detectors.known_values using (instrument, currency)
),

counts as (
    select instrument, currency, count(*) filter (where is_settled) as settled
    from unknown
    group by instrument, currency
),

learnt as (
    select
        unknown.instrument,
        unknown.currency,
        median(unknown.result / (unknown.move * unknown.lots)) as point_value,
        median(unknown.move) as usual_move,
        median(unknown.result / unknown.lots) as usual_result_per_lot,
        median(greatest(unknown.hold_s, 1)) as usual_hold_s,
        any_value(counts.settled) as settled
    from unknown
    inner join counts using (instrument, currency)
    where unknown.is_settled or counts.settled < getvariable('detectors_settled_enough')
    group by unknown.instrument, unknown.currency
)

-- three digits say all that is known, and one late trade more says nothing else
select
    instrument,
    currency,
    round(point_value, cast(2 - floor(log10(point_value)) as integer)) as point_value,
    round(usual_move, cast(2 - floor(log10(usual_move)) as integer)) as usual_move,
    round(usual_result_per_lot, cast(2 - floor(log10(usual_result_per_lot)) as integer)) as usual_result_per_lot,
    round(usual_hold_s, cast(2 - floor(log10(usual_hold_s)) as integer)) as usual_hold_s,
    settled
from learnt

union all

select * from detectors.known_values
