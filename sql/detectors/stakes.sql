-- What each idea put at risk: the loss at its stop; without a stop the largest of what it lost, of a part of what it won,
-- and of what its size usually wins or loses. Pieces of one idea are together.
-- Grain: account_id, instrument, side, idea. Stakes are shares of the initial balance.
with entered as (
    select
        positions.*,
        positions.opened_at - lag(positions.opened_at) over entries > to_seconds(getvariable('all_in_merge_s')) as begins
    from detectors.positions as positions
    window entries as (
        partition by positions.account_id, positions.instrument, positions.side
        order by positions.opened_at, positions.trade_id
    )
),

numbered as (
    select
        *,
        count(*) filter (where coalesce(begins, true)) over (
            partition by account_id, instrument, side order by opened_at, trade_id
            rows between unbounded preceding and current row
        ) as idea
    from entered
),

ideas as (
    select
        account_id,
        instrument,
        side,
        idea,
        min(opened_at) as opened_at,
        max(closed_at) as closed_at,
        sum(stop_risk) as planned,
        greatest(
            -sum(net_profit), getvariable('all_in_of_gain') * sum(net_profit), coalesce(sum(usual_result), 0)
        ) as shown
    from numbered
    group by account_id, instrument, side, idea
)

select
    ideas.account_id,
    ideas.instrument,
    ideas.side,
    ideas.idea,
    ideas.opened_at,
    ideas.closed_at,
    ideas.planned is not null as is_planned,
    coalesce(ideas.planned, ideas.shown) / accounts.initial_balance as stake,
    coalesce(accounts.daily_allowance, accounts.total_allowance) / accounts.initial_balance as allowance
from ideas
inner join detectors.allowances as accounts using (account_id)
where coalesce(ideas.planned, ideas.shown) > 0
