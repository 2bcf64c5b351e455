-- What an earlier run of the month learnt about instruments and nothing said since reaches back to.
-- Grain: instrument, currency. Empty in a run that starts afresh.
select
    cast(null as varchar) as instrument,
    cast(null as varchar) as currency,
    cast(null as double) as point_value,
    cast(null as double) as usual_move,
    cast(null as double) as usual_result_per_lot,
    cast(null as double) as usual_hold_s,
    cast(null as bigint) as settled
where false
