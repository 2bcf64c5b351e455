-- Funded accounts with whose opening an owner's funded balances, or their number, rose above the cap. Grain: account_id,
-- part.
-- Balances in other currencies are converted at the day's rates; one without a rate is not counted.
with funded as (
    select
        accounts.account_id,
        accounts.product,
        accounts.product_version,
        accounts.stage,
        accounts.currency,
        accounts.initial_balance,
        accounts.opened_at,
        coalesce(owners.owner_id, accounts.trader_id) as owner_id,
        least(accounts.closed_at, ends.ended_at) as ended_at,
        cast(accounts.opened_at as date) as day
    from facts.accounts as accounts
    left join decided.owners as owners using (trader_id)
    left join decided.ends as ends using (account_id)
    where accounts.stage in ('funded', 'instant')
),

rated as (
    select funded.*, case funded.currency when 'USD' then 1 else rates.rate_to_usd end as rate_to_usd
    from funded
    asof left join staging.rates as rates on funded.currency = rates.currency and funded.day >= rates.day
),

held as (
    select
        own.account_id,
        own.owner_id,
        own.opened_at,
        terms.amount,
        terms.accounts as accounts_max,
        sum(
            case
                when other.currency = own.currency then other.initial_balance
                else round(other.initial_balance * other.rate_to_usd / own.rate_to_usd, 2)
            end
        ) as together,
        count(*) as accounts
    from rated as own
    inner join terms.allocation_cap as terms using (product, product_version, stage)
    inner join rated as other
        on
            own.owner_id = other.owner_id
            and (other.opened_at, other.account_id) <= (own.opened_at, own.account_id)
            and (other.ended_at is null or other.ended_at > own.opened_at)
    group by own.account_id, own.owner_id, own.opened_at, terms.amount, terms.accounts
)

select
    account_id,
    opened_at as happened_at,
    'breached' as outcome,
    cast(together as double) as observed,
    amount as allowed,
    cast(null as varchar) as trade_id,
    json_object('part', 'amount', 'owner_id', owner_id, 'accounts', accounts) as detail
from held
where together > amount

union all

select
    account_id,
    opened_at,
    'breached',
    cast(accounts as double),
    cast(accounts_max as double),
    null,
    json_object('part', 'accounts', 'owner_id', owner_id, 'accounts', accounts)
from held
where accounts > accounts_max
