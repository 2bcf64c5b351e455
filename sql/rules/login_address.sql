-- Addresses beyond those that a stage allows a trader to sign in from, and addresses that too many owners sign in from.
-- A log-in that names an account concerns that account, any other all of the trader's; listed addresses do not count.
-- Grain: account_id, ip, part.
with known as (
    select logins.*, coalesce(owners.owner_id, logins.trader_id) as owner_id
    from staging.logins as logins
    left join decided.owners as owners using (trader_id)
),

concerned as (
    select accounts.account, known.ip, known.occurred_at
    from known
    inner join facts.rule_accounts as accounts on known.account_id = accounts.account_id
    union all
    select accounts.account, known.ip, known.occurred_at
    from known
    inner join facts.rule_accounts as accounts on known.trader_id = accounts.trader_id
    where known.account_id is null
),

mine as (
    select
        accounts.account_id,
        accounts.until,
        terms.product,
        terms.product_version,
        terms.stage,
        terms.max_addresses,
        terms.max_owners,
        concerned.ip,
        min(concerned.occurred_at) as first_at
    from concerned
    inner join facts.rule_accounts as accounts using (account)
    inner join terms.login_address as terms using (product, product_version, stage)
    where concerned.occurred_at between accounts.opened_at and accounts.until
    group by all
),

counted as (
    select mine.*, row_number() over (partition by account_id order by first_at, ip) as addresses
    from mine
    anti join (from terms.listed_names where rule = 'login_address') as listed
        on
            mine.product = listed.product
            and mine.product_version = listed.product_version
            and mine.stage = listed.stage
            and upper(mine.ip) = listed.name
),

-- when each further owner was first seen at an address
arrivals as (
    select
        ip,
        arrived_at,
        row_number() over (partition by ip order by arrived_at, owner_id) as owners
    from (select ip, owner_id, min(occurred_at) as arrived_at from known group by ip, owner_id)
),

shared as (
    select
        counted.account_id,
        counted.ip,
        counted.first_at,
        counted.max_owners,
        min(arrivals.arrived_at) as crowded_at,
        max(arrivals.owners) as owners
    from counted
    inner join arrivals using (ip)
    where arrivals.owners > counted.max_owners and arrivals.arrived_at <= counted.until
    group by all
)

select
    account_id,
    first_at as happened_at,
    'breached' as outcome,
    cast(addresses as double) as observed,
    cast(max_addresses as double) as allowed,
    cast(null as varchar) as trade_id,
    json_object('part', 'addresses', 'ip', ip) as detail
from counted
where addresses > max_addresses

union all

select
    account_id,
    greatest(first_at, crowded_at),
    'breached',
    cast(owners as double),
    cast(max_owners as double),
    null,
    json_object('part', 'owners', 'ip', ip)
from shared
