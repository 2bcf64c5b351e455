-- Entries whose lots are too far from the account's average, once there are enough of them. Grain: account_id, entry.
-- Trades of one instrument and direction opened soon after each other are one entry of their summed lots. Judged over
-- the whole stage as it stands, at the last entry.
with followed as (
    select
        trades.*,
        terms.low,
        terms.high,
        terms.min_trades,
        trades.opened_at > lag(trades.opened_at) over same_way + to_seconds(terms.merge_seconds) as apart
    from facts.rule_trades as trades
    inner join terms.lot_consistency as terms using (product, product_version, stage)
    window same_way as (
        partition by trades.account_id, trades.instrument, trades.side order by trades.opened_at, trades.trade_id
    )
),

numbered as (
    select
        *,
        count(*) filter (where coalesce(apart, true)) over (
            partition by account_id, instrument, side order by opened_at, trade_id
        ) as entry
    from followed
),

entries as (
    select
        account_id,
        instrument,
        side,
        low,
        high,
        min_trades,
        min(opened_at) as opened_at,
        min(trade_id) as trade_id,
        sum(lots) as lots
    from numbered
    group by account_id, instrument, side, entry, low, high, min_trades
),

compared as (
    select
        *,
        count(*) over (partition by account_id) as entries,
        sum(lots) over (partition by account_id) as total,
        max(opened_at) over (partition by account_id) as last_at
    from entries
)

-- lots against a multiple of the average, both sides times the number of entries so that nothing is divided
select
    account_id,
    last_at as happened_at,
    'breached' as outcome,
    cast(lots as double) as observed,
    case
        when lots * entries > total * cast(high as decimal(9, 4)) then cast(total as double) / entries * high
        else cast(total as double) / entries * low
    end as allowed,
    trade_id,
    json_object(
        'instrument', instrument, 'opened_at', strftime(opened_at, '%Y-%m-%d %H:%M:%S UTC'), 'average', cast(total as double) / entries, 'entries', entries,
        'large', lots * entries > total * cast(high as decimal(9, 4))
    ) as detail
from compared
where
    entries >= min_trades
    and (
        lots * entries > total * cast(high as decimal(9, 4))
        or lots * entries < total * cast(low as decimal(9, 4))
    )
