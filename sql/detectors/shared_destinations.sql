-- Payout destinations of several people who are strangers to each other: other names and birth dates, and nothing of a
-- household (surname, address, or in one country an instrument, device or address of the network). Grain: trader_id.
with asked as (
    select
        payouts.destination,
        accounts.trader_id,
        min(payouts.requested_at) as first_at,
        max(payouts.requested_at) as last_at
    from staging.payouts as payouts
    inner join facts.accounts as accounts using (account_id)
    where payouts.destination is not null
    group by payouts.destination, accounts.trader_id
),

shared as (
    select *, count(*) over (partition by destination) as users
    from asked
    qualify count(*) over (partition by destination) > 1
),

people as (
    select
        trader_id,
        lower(full_name) as full_name,
        string_split(lower(trim(full_name)), ' ') as names,
        date_of_birth,
        country,
        lower(address) as address
    from staging.traders
    where trader_id in (select trader_id from shared)
),

-- what a household shares: paying, machines, the line into the house
held as (
    select distinct trader_id, instrument as thing
    from staging.challenges
    where instrument is not null and trader_id in (select trader_id from shared)
    union
    select distinct trader_id, unnest([ip, device_id])
    from staging.logins
    where trader_id in (select trader_id from shared)
),

pairs as (
    select
        one.trader_id,
        other.trader_id as other_trader_id,
        one.destination,
        one.users,
        one.first_at,
        one.last_at
    from shared as one
    inner join shared as other on one.destination = other.destination and one.trader_id <> other.trader_id
    where one.users <= getvariable('kyc_mismatch_custodial_from')
),

at_home as (
    select distinct
        pairs.trader_id,
        pairs.other_trader_id
    from pairs
    inner join held as one on pairs.trader_id = one.trader_id
    inner join held as other on pairs.other_trader_id = other.trader_id and one.thing = other.thing
)

select
    pairs.trader_id,
    arg_max(pairs.destination, pairs.users) as destination,
    count(distinct pairs.other_trader_id) as strangers,
    max(pairs.users) as destination_users,
    min(pairs.first_at) as first_at,
    max(pairs.last_at) as last_at
from pairs
inner join people as one on pairs.trader_id = one.trader_id
inner join people as other on pairs.other_trader_id = other.trader_id
left join at_home on pairs.trader_id = at_home.trader_id and pairs.other_trader_id = at_home.other_trader_id
where
    one.full_name <> other.full_name
    and (one.date_of_birth <> other.date_of_birth or one.date_of_birth is null or other.date_of_birth is null)
    and coalesce(one.address <> other.address, true)
    and not (len(one.names) > 1 and len(other.names) > 1 and list_has_any(one.names[2:], other.names[2:]))
    and not (at_home.trader_id is not null and coalesce(one.country = other.country, true))
group by pairs.trader_id
