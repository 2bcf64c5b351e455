-- Accounts whose closed trades are too short as a whole: too many, too much of the profit, on average, or the winners
-- on average.
-- Judged over the whole stage as it stands, at the last close; the first part that fails is named. Grain: account_id.
with trades as (
    select
        trades.account_id,
        terms.max_share_trades,
        terms.max_share_profit,
        terms.min_average_seconds,
        terms.min_average_winner_seconds,
        terms.min_trades,
        terms.seconds,
        trades.closed_at,
        greatest(trades.net_profit, 0) as gain,
        epoch_us(trades.closed_at) - epoch_us(trades.opened_at) as held_us,
        trades.closed_at < trades.opened_at + to_seconds(terms.seconds) as short
    from facts.rule_trades as trades
    inner join terms.holding_share as terms using (product, product_version, stage)
    semi join (select account from decided.suspect_accounts where rule = 'holding_share') as suspects using (account)
    where trades.closed_at is not null
),

totals as (
    select
        account_id,
        seconds,
        max_share_trades,
        max_share_profit,
        min_average_seconds,
        min_average_winner_seconds,
        max(closed_at) as last_at,
        count(*) as trades,
        count(*) filter (where short) as short_trades,
        sum(gain) as gains,
        coalesce(sum(gain) filter (where short), 0) as short_gains,
        sum(held_us) as held_us,
        count(*) filter (where gain > 0) as winners,
        sum(held_us) filter (where gain > 0) as won_us,
        min_trades
    from trades
    group by all
),

judged as (
    select
        *,
        case
            when short_trades * 100 > cast(max_share_trades as decimal(9, 4)) * trades then 'trades'
            when short_gains * 100 > cast(max_share_profit as decimal(9, 4)) * gains then 'profit'
            when held_us < min_average_seconds * 1000000 * trades then 'average'
            when won_us < min_average_winner_seconds * 1000000 * winners then 'winners'
        end as part
    from totals
    where trades >= min_trades
)

select
    account_id,
    last_at as happened_at,
    'breached' as outcome,
    case part
        when 'trades' then 100.0 * short_trades / trades
        when 'profit' then 100.0 * cast(short_gains as double) / cast(gains as double)
        when 'average' then held_us / 1e6 / trades
        else won_us / 1e6 / winners
    end as observed,
    case part
        when 'trades' then max_share_trades
        when 'profit' then max_share_profit
        when 'average' then min_average_seconds
        else min_average_winner_seconds
    end as allowed,
    cast(null as varchar) as trade_id,
    json_object('part', part, 'trades', trades, 'short_trades', short_trades, 'seconds', seconds, 'winners', winners) as detail
from judged
where part is not null
