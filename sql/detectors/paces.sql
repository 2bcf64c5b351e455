-- How fast each account trades: holding times, wins and edge of positions whose end the trader chose. Grain: account_id.
-- Wins are those of the price, before commission: a stale quote that pays for the commission only was still stale.
-- Left out: positions closed by the firm, stops and targets of usual distance that the market reached, news entries.
with chosen as (
    select positions.*, positions.hold_s <= getvariable('latency_arbitrage_markout_hold_s_max') as is_brief
    from detectors.positions as positions
    anti join detectors.news_entries as news using (account_id, trade_id)
    where positions.closed_at is not null and positions.close_reason is distinct from 'so' and not positions.ended_by_market
),

quick as (
    select account_id
    from chosen
    group by account_id
    having median(hold_s) <= getvariable('latency_arbitrage_markout_hold_s_max')
),

marked as (
    select
        chosen.account_id,
        chosen.trade_id,
        if(chosen.side = 'buy', 1, -1) * ((later.bid + later.ask) / 2 - chosen.open_price)
        / nullif(later.ask - later.bid, 0) as markout_spreads
    from chosen
    semi join quick using (account_id)
    asof inner join staging.quotes as later
        on
            chosen.symbol = later.symbol
            and chosen.opened_at + to_seconds(getvariable('latency_arbitrage_markout_s')) >= later.quoted_at
    where later.quoted_at >= chosen.opened_at
),

markouts as (
    select account_id, avg(markout_spreads) as markout_spreads, count(*) as markouts
    from marked
    group by account_id
),

-- of all that was closed, targets that the market reached too: what a trader lives on
gains as (
    select
        account_id,
        sum(greatest(gross_profit, 0)) filter (where hold_s < getvariable('tick_scalping_short_s'))
        / nullif(sum(greatest(gross_profit, 0)), 0) as short_share_of_gains,
        avg(cast(close_reason is not distinct from 'sl' as integer))
            filter (where hold_s < getvariable('tick_scalping_short_s')) as short_share_stopped
    from detectors.positions
    where closed_at is not null
    group by account_id
)

select
    chosen.account_id,
    count(*) as positions,
    count(distinct cast(chosen.opened_at as date)) as days,
    median(chosen.hold_s) as hold_s,
    quantile_cont(chosen.hold_s, 0.25) as hold_quarter_s,
    quantile_cont(chosen.hold_s, 0.75) as hold_three_quarters_s,
    count(*) filter (where chosen.hold_s < getvariable('tick_scalping_short_s')) as short_positions,
    count(*) filter (where chosen.gross_profit > 0) as wins,
    -- of the brief ones alone, which say whether stale quotes were taken whatever else is traded at other sizes
    count(*) filter (where is_brief) as brief_positions,
    count(*) filter (where is_brief and chosen.gross_profit > 0) as brief_wins,
    avg(chosen.gross_profit) filter (where is_brief)
    / nullif(stddev_samp(chosen.gross_profit) filter (where is_brief), 0) as brief_edge,
    sum(greatest(chosen.gross_profit, 0)) filter (where is_brief)
    / nullif(sum(greatest(chosen.gross_profit, 0)), 0) as brief_share_of_gains,
    any_value(gains.short_share_of_gains) as short_share_of_gains,
    any_value(gains.short_share_stopped) as short_share_stopped,
    min(chosen.opened_at) as first_at,
    max(chosen.closed_at) as last_at,
    any_value(markouts.markout_spreads) as markout_spreads,
    coalesce(any_value(markouts.markouts), 0) as markouts
from chosen
left join markouts using (account_id)
left join gains using (account_id)
group by chosen.account_id
