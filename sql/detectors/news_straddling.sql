-- Around how many news events each account came in on both sides, and how soon. Grain: account_id.
with by_event as (
    select
        account_id,
        event_id,
        instrument,
        abs(epoch(max(opened_at) filter (where side = 'buy') - min(opened_at) filter (where side = 'sell'))) as apart_s,
        min(abs(offset_s)) <= getvariable('news_straddling_instant_s') as at_once,
        min(offset_s) between -getvariable('news_straddling_instant_s') and getvariable('news_straddling_soon_s') as soon,
        sum(net_profit) filter (where offset_s between 0 and getvariable('news_straddling_instant_s')) > 0 as rode,
        count(*) as positions,
        sum(net_profit) as net_profit,
        min(opened_at) as first_at,
        max(opened_at) as last_at
    from detectors.news_entries
    group by account_id, event_id, instrument
),

-- an instrument that the calendar does not name moves with the news too: what is done then is no habit
times as (
    select distinct occurs_at
    from staging.news
    where impact = 'high'
),

quiet as (
    select positions.account_id, positions.trade_id, positions.instrument, positions.side, positions.opened_at
    from detectors.positions as positions
    semi join detectors.news_entries as traded using (account_id)
    asof left join times
        on times.occurs_at <= positions.opened_at + to_seconds(getvariable('news_straddling_before_s'))
    where
        times.occurs_at is null
        or positions.opened_at > times.occurs_at + to_seconds(getvariable('news_straddling_after_s'))
),

-- releases come at the full five minutes, where robots come in by the clock too
habits as (
    select
        account_id,
        count(*) as quiet_positions,
        count(*) filter (
            where epoch(opened_at) % getvariable('news_straddling_clock_s') <= getvariable('news_straddling_instant_s')
        ) as by_the_clock,
        count(*) filter (
            where epoch(opened_at) % getvariable('news_straddling_clock_s') <= getvariable('news_straddling_soon_s')
        ) as soon_by_the_clock,
        count(*) filter (where earlier_side <> side and opened_at - earlier_at
            <= to_seconds(getvariable('news_straddling_apart_s'))) as turns,
        count(*) filter (where earlier_side <> side and opened_at - earlier_at
            <= to_seconds(getvariable('news_straddling_bracket_s'))) as turns_at_once
    from (
        select
            *,
            lag(side) over entries as earlier_side,
            lag(opened_at) over entries as earlier_at
        from quiet
        window entries as (partition by account_id, instrument order by opened_at, trade_id)
    )
    group by account_id
),

totals as (
    select account_id, count(*) as positions, sum(greatest(net_profit, 0)) as gross_profit
    from detectors.positions
    group by account_id
)

select
    by_event.account_id,
    count(distinct by_event.event_id) as events,
    count(distinct by_event.event_id) filter (where by_event.apart_s <= getvariable('news_straddling_apart_s')) as both_sides,
    count(distinct by_event.event_id) filter (where by_event.apart_s <= getvariable('news_straddling_bracket_s')) as brackets,
    count(distinct by_event.event_id) filter (where by_event.at_once) as at_once,
    count(distinct by_event.event_id) filter (where by_event.soon) as soon,
    count(distinct by_event.event_id) filter (where by_event.rode) as rode,
    sum(by_event.positions) as news_positions,
    any_value(totals.positions) as positions,
    coalesce(any_value(habits.turns), 0) as turns,
    coalesce(any_value(habits.turns_at_once), 0) as turns_at_once,
    coalesce(any_value(habits.quiet_positions), 0) as quiet_positions,
    coalesce(any_value(habits.by_the_clock), 0) as by_the_clock,
    coalesce(any_value(habits.soon_by_the_clock), 0) as soon_by_the_clock,
    sum(by_event.net_profit) as net_profit,
    min(by_event.first_at) as first_at,
    max(by_event.last_at) as last_at
from by_event
inner join totals using (account_id)
left join habits using (account_id)
group by by_event.account_id
