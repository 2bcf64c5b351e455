-- Instants at which the open volume rises above what the stage allows, over the account or in one instrument.
-- Volume is counted once per instant, after everything of it; both directions count, micros as the part of one that they
-- are. With tiers the balance at the last daily reset says how much; where that allows less than is held, the first
-- addition of the day is too much. Grain: account_id, instrument, instant.
with accounts as (
    select
        accounts.account,
        accounts.account_id,
        accounts.product,
        accounts.product_version,
        accounts.stage,
        accounts.initial_balance,
        terms.per,
        terms.micro_ratio,
        terms.tiers is not null as tiered,
        cast(terms.lots as decimal(18, 8)) as allowed
    from facts.rule_accounts as accounts
    inner join terms.max_exposure as terms using (product, product_version, stage)
    semi join (select account from decided.suspect_accounts where rule = 'max_exposure') as suspects using (account)
),

micros as (
    select accounts.account, markets.market + 1 as market, max(accounts.micro_ratio) as ratio
    from accounts
    inner join terms.listed_names as listed using (product, product_version, stage)
    inner join facts.rule_markets as markets on listed.name in (markets.instrument, upper(markets.symbol))
    where listed.rule = 'max_exposure'
    group by all
),

changes as (
    select
        deals.account,
        case accounts.per when 'symbol' then deals.market else 0 end as market,
        deals.executed_at,
        sum(
            case deals.role when 'in' then deals.lots else -deals.lots end
            / cast(coalesce(micros.ratio, 1) as decimal(9, 4))
        ) as change
    from facts.rule_deals as deals
    inner join accounts using (account)
    left join micros on deals.account = micros.account and deals.market = micros.market
    group by all
),

held as (
    select *, round(sum(change) over (partition by account, market order by executed_at), 8) as lots_open
    from changes
),

-- what every balance operation, deal and fee of tiered accounts added to their balance, as of which instant
money as (
    select
        accounts.account,
        deals.executed_at,
        deals.kind = 'balance' as moved,
        sum(
            deals.profit + coalesce(deals.commission, 0) + coalesce(deals.swap, 0) + coalesce(deals.fee, 0)
        ) as earned
    from staging.deals as deals
    inner join accounts using (account_id)
    where accounts.tiered and deals.kind <> 'credit'
    group by all
),

deposits as (
    select accounts.account, min(deals.executed_at) as deposited_at
    from staging.deals as deals
    inner join accounts using (account_id)
    where accounts.tiered and deals.kind = 'balance' and deals.profit = accounts.initial_balance
    group by all
),

on_days as (
    select held.*, resets.opened_at as day_opened_at
    from held
    inner join accounts using (account)
    asof left join terms.resets as resets
        on
            accounts.product = resets.product
            and accounts.product_version = resets.product_version
            and held.executed_at >= resets.opened_at
),

-- the balance as of the reset: deals before it and money moved by then, the opening deposit being the initial balance
balances as (
    select
        on_days.account,
        on_days.day_opened_at,
        any_value(accounts.initial_balance)
        + coalesce(
            sum(money.earned) filter (
                where money.executed_at < on_days.day_opened_at
                or (money.moved and money.executed_at = on_days.day_opened_at)
            ), 0
        )
        - coalesce(
            any_value(accounts.initial_balance) filter (where deposits.deposited_at <= on_days.day_opened_at), 0
        ) as balance
    from (select distinct account, day_opened_at from on_days) as on_days
    inner join accounts using (account)
    left join money using (account)
    left join deposits using (account)
    where accounts.tiered
    group by all
),

allowances as (
    select balances.account, balances.day_opened_at, arg_max(tiers.lots, tiers.balance) as allowed
    from balances
    inner join accounts using (account)
    inner join terms.exposure_tiers as tiers using (product, product_version, stage)
    where tiers.balance <= balances.balance
    group by all
),

risen as (
    select
        on_days.account,
        on_days.market,
        on_days.executed_at,
        on_days.lots_open,
        on_days.change,
        accounts.account_id,
        accounts.tiered,
        row_number() over (
            partition by on_days.account, on_days.market, on_days.day_opened_at, on_days.change > 0
            order by on_days.executed_at
        ) = 1 as first_of_day,
        coalesce(allowances.allowed, accounts.allowed) as allowed
    from on_days
    inner join accounts using (account)
    left join allowances using (account, day_opened_at)
)

select
    risen.account_id,
    risen.executed_at as happened_at,
    'breached' as outcome,
    cast(risen.lots_open as double) as observed,
    cast(risen.allowed as double) as allowed,
    max(trades.trade_id) as trade_id,
    json_object('instrument', case when risen.market > 0 then any_value(trades.instrument) end) as detail
from risen
inner join facts.rule_deals as deals
    on
        risen.account = deals.account
        and risen.executed_at = deals.executed_at
        and deals.role = 'in'
        and risen.market in (0, deals.market)
inner join facts.rule_trades as trades on deals.account = trades.account and deals.place = trades.place
where
    risen.change > 0
    and risen.lots_open > risen.allowed
    and (round(risen.lots_open - risen.change, 8) <= risen.allowed or (risen.tiered and risen.first_of_day))
group by risen.account_id, risen.market, risen.executed_at, risen.lots_open, risen.allowed
