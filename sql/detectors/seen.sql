-- What there was of each account to look at: its positions, whether its trader ever signed in or paid, whether its equity was
-- observed, whether quotes are lacking that would tell of its quick trades, how many traders run the one robot that does all its
-- trading, and whether the feed has a calendar and stops at all. Grain: account_id.
with signed_in as (
    select distinct trader_id
    from staging.logins
),

paid as (
    select distinct trader_id
    from staging.payments
),

by_one_robot as (
    select manners.account_id, accounts.trader_id, manners.robot
    from detectors.manners as manners
    inner join facts.accounts as accounts using (account_id)
    where manners.robots = 1 and manners.by_robot = manners.positions
),

robots as (
    select robot, count(distinct trader_id) as traders
    from by_one_robot
    group by robot
)

select
    accounts.account_id,
    coalesce(traded.positions, 0) as positions,
    signed_in.trader_id is not null as has_sign_ins,
    coalesce(
        paces.hold_s <= getvariable('latency_arbitrage_markout_hold_s_max') and paces.markouts = 0, false
    ) as lacks_quotes,
    coalesce(robots.traders, 0) as robot_traders,
    paid.trader_id is not null as has_payments,
    status.equity_source is distinct from 'balance' as has_equity,
    exists (select 1 from staging.news) as has_news,
    exists (select 1 from staging.deals where stop_loss is not null) as has_stops
from facts.accounts as accounts
left join detectors.traded as traded using (account_id)
left join signed_in on accounts.trader_id = signed_in.trader_id
left join paid on accounts.trader_id = paid.trader_id
left join decided.account_status as status on accounts.account_id = status.account_id
left join detectors.paces as paces on accounts.account_id = paces.account_id
left join by_one_robot on accounts.account_id = by_one_robot.account_id
left join robots on by_one_robot.robot = robots.robot
