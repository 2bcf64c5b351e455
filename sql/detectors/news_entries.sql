-- Positions opened around high-impact news that moves their instrument, with the offset from the event.
-- Of an instrument that nobody knows it is not known what moves it: any release may. Grain: account_id, trade_id (the nearest
-- event).
with events as (
    select event_id, occurs_at, currency
    from staging.news
    where impact = 'high'
),

moved as (
    select events.event_id, events.occurs_at, currencies.symbol
    from events
    inner join terms.instrument_currencies as currencies using (currency)

    union all

    select events.event_id, events.occurs_at, unknown.symbol
    from events
    cross join (
        select distinct symbol
        from detectors.positions
        anti join terms.instrument_currencies using (symbol)
    ) as unknown
),

near as (
    select
        positions.account_id,
        positions.trade_id,
        positions.instrument,
        positions.side,
        positions.opened_at,
        positions.net_profit,
        moved.event_id,
        epoch(positions.opened_at - moved.occurs_at) as offset_s
    from detectors.positions as positions
    inner join moved
        on
            positions.symbol = moved.symbol
            and positions.opened_at >= moved.occurs_at - to_seconds(getvariable('news_straddling_before_s'))
            and positions.opened_at <= moved.occurs_at + to_seconds(getvariable('news_straddling_after_s'))
)

select *
from near
qualify row_number() over (partition by account_id, trade_id order by abs(offset_s), event_id) = 1
