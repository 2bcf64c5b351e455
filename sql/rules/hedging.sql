-- Positions opened against an opposite one in the same instrument and open beside it long enough. Grain: account_id,
-- trade_id (the later of the two). Of several opposite positions the one that stays open longest is named.
with accounts as (
    select accounts.account, terms.min_overlap_seconds
    from facts.rule_accounts as accounts
    inner join terms.hedging as terms using (product, product_version, stage)
),

followed as (
    select
        account,
        place,
        opened_at,
        held_until,
        case side
            when 'buy' then max(held_until) filter (where side = 'sell') over earlier
            else max(held_until) filter (where side = 'buy') over earlier
        end as opposite_until
    from facts.rule_trades
    semi join accounts using (account)
    where beside_opposite
    window earlier as (partition by account, market order by place rows between unbounded preceding and 1 preceding)
),

overlapping as (
    select
        trades.*,
        followed.opposite_until,
        accounts.min_overlap_seconds,
        least(followed.held_until, followed.opposite_until) as together_until
    from followed
    inner join accounts using (account)
    inner join facts.rule_trades as trades using (account, place)
    where
        followed.opposite_until > followed.opened_at
        and least(followed.held_until, followed.opposite_until)
        >= followed.opened_at + to_seconds(accounts.min_overlap_seconds)
)

select
    overlapping.account_id,
    overlapping.opened_at + to_seconds(overlapping.min_overlap_seconds) as happened_at,
    'breached' as outcome,
    (epoch_us(overlapping.together_until) - epoch_us(overlapping.opened_at)) / 1e6 as observed,
    cast(overlapping.min_overlap_seconds as double) as allowed,
    overlapping.trade_id,
    json_object('instrument', overlapping.instrument, 'against', min(opposite.trade_id)) as detail
from overlapping
inner join facts.rule_trades as opposite
    on
        overlapping.account = opposite.account
        and overlapping.market = opposite.market
        and overlapping.opposite_until = opposite.held_until
        and overlapping.side <> opposite.side
        and opposite.place < overlapping.place
group by
    overlapping.account_id,
    overlapping.trade_id,
    overlapping.instrument,
    overlapping.opened_at,
    overlapping.together_until,
    overlapping.min_overlap_seconds
