-- What each idea put at risk: the loss at its stop; without a stop the largest of what it lost, of a part of what it won,
-- and of what its size usually wins or loses within the time for which the account usually holds (a result grows with the
-- root of it), though not more than a gambler stakes on purpose; as far as it was entered
-- at once: what a netted position was built up by later was not staked on the entry, nor counted as its profit. Pieces of one
-- idea are together, whatever instruments they are in.
-- Grain: account_id, opened_at, instrument, side. Stakes and sizes are shares of the initial balance.
with built as (
    select
        trades.account_id,
        trades.trade_id,
        sum(deals.lots) filter (where deals.executed_at <= trades.opened_at + to_seconds(getvariable('all_in_merge_s')))
        / nullif(sum(deals.lots), 0) as entered_share
    from detectors.trades as trades
    inner join detectors.trade_deals as deals using (account_id, trade_id)
    where trades.opening_deals > 1 and deals.role = 'in'
    group by trades.account_id, trades.trade_id
),

entered as (
    select
        positions.account_id,
        positions.trade_id,
        positions.instrument,
        positions.side,
        positions.opened_at,
        positions.closed_at,
        positions.stop_risk,
        positions.net_profit * coalesce(built.entered_share, 1) as net_profit,
        positions.usual_result * coalesce(built.entered_share, 1)
        * sqrt(least(coalesce(exp(manners.log_hold / manners.held) / nullif(positions.usual_hold_s, 0), 1), 1)) as usual,
        coalesce(
            least(
                positions.opened_at - lag(positions.opened_at) over opened,
                lead(positions.opened_at) over opened - positions.opened_at
            ) > to_seconds(getvariable('all_in_merge_s')), true
        ) as is_far
    from detectors.positions as positions
    left join detectors.manners as manners using (account_id)
    left join built using (account_id, trade_id)
    window opened as (partition by positions.account_id order by positions.opened_at)
),

-- most entries are far from all others, and need no grouping
near as (
    select
        *,
        opened_at - lag(opened_at) over (partition by account_id, instrument, side order by opened_at, trade_id)
        > to_seconds(getvariable('all_in_merge_s')) as begins
    from entered
    where not is_far
),

numbered as (
    select
        *,
        count(*) filter (where coalesce(begins, true)) over (
            partition by account_id, instrument, side order by opened_at, trade_id
            rows between unbounded preceding and current row
        ) as idea
    from near
),

alone as (
    select
        account_id,
        instrument,
        side,
        idea,
        min(opened_at) as opened_at,
        max(closed_at) as closed_at,
        sum(stop_risk) as planned,
        sum(net_profit) as net_profit,
        sum(usual) as usual
    from numbered
    group by account_id, instrument, side, idea
),

-- one view in several instruments: entered together and held together
met as (
    select
        *,
        count(*) filter (where is_apart) over (
            views rows between unbounded preceding and current row
        ) as view,
        is_apart and coalesce(lead(is_apart) over views, true) as is_alone
    from (
        select
            *,
            coalesce(
                opened_at - lag(opened_at) over views > to_seconds(getvariable('all_in_merge_s'))
                or coalesce(lag(closed_at) over views <= opened_at, false), true
            ) as is_apart
        from alone
        window views as (partition by account_id order by opened_at, instrument, side, idea)
    )
    window views as (partition by account_id order by opened_at, instrument, side, idea)
),

-- who lies on both sides of an instrument has no one view: those ideas stay apart
sided as (
    select *, count(*) over views > count(distinct instrument) over views as is_both_ways
    from met
    where not is_alone
    window views as (partition by account_id, view)
),

joined as (
    select
        account_id,
        string_agg(distinct instrument, ' + ' order by instrument) as instrument,
        string_agg(distinct side, ' + ' order by side) as side,
        min(opened_at) as opened_at,
        max(closed_at) as closed_at,
        sum(planned) as planned,
        sum(usual) as usual,
        sum(net_profit) as net_profit
    from sided
    group by account_id, view, if(is_both_ways, [instrument, side, cast(idea as varchar)], null)

    union all

    select account_id, instrument, side, opened_at, closed_at, planned, usual, net_profit
    from met
    where is_alone

    union all

    select account_id, instrument, side, opened_at, closed_at, stop_risk, usual, net_profit
    from entered
    where is_far
),

ideas as (
    select *, greatest(-net_profit, getvariable('all_in_of_gain') * net_profit) as shown
    from joined
),

allowed as (
    select account_id, initial_balance, coalesce(daily_allowance, total_allowance) as allowance
    from detectors.allowances
),

staked as (
    select
        ideas.*,
        coalesce(
            planned,
            if(usual is null, shown, greatest(shown, least(usual, getvariable('all_in_gambler_share') * allowance)))
        ) as stake,
        initial_balance,
        allowance
    from ideas
    inner join allowed using (account_id)
)

select
    account_id,
    instrument,
    side,
    opened_at,
    closed_at,
    planned is not null as is_planned,
    stake / initial_balance as stake,
    usual / initial_balance as size,
    allowance / initial_balance as allowance,
    net_profit
from staked
where stake > 0
