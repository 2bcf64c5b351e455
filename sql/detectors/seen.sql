-- What there was of each account to look at: its positions, whether its trader ever signed in, whether quotes are lacking that
-- would tell of its quick trades, and how many traders run the one robot that does all its trading. Grain: account_id.
with signed_in as (
    select distinct trader_id
    from staging.logins
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
    coalesce(robots.traders, 0) as robot_traders
from facts.accounts as accounts
left join detectors.traded as traded using (account_id)
left join signed_in on accounts.trader_id = signed_in.trader_id
left join detectors.paces as paces on accounts.account_id = paces.account_id
left join by_one_robot on accounts.account_id = by_one_robot.account_id
left join robots on by_one_robot.robot = robots.robot
