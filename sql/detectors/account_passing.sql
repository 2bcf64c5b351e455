-- Funded accounts beside the evaluation that led to them: places, devices and manner of trading on either side.
-- Grain: account_id of the funded account.
-- Of whom nothing is known on one side of the funding there is no row.
with signed_in as (
    select trader_id, min(occurred_at) as first_at, max(occurred_at) as last_at
    from staging.logins
    group by trader_id
),

funded as (
    select accounts.account_id, accounts.challenge_id, accounts.trader_id, accounts.opened_at
    from facts.accounts as accounts
    left join signed_in using (trader_id)
    where
        accounts.stage = 'funded'
        and (
            accounts.challenge_id in (select challenge_id from facts.accounts where stage <> 'funded')
            or signed_in.first_at < accounts.opened_at and signed_in.last_at >= accounts.opened_at
        )
),

members as (
    select funded.account_id as funded_id, accounts.account_id, accounts.stage = 'funded' as is_after
    from funded
    inner join facts.accounts as accounts using (challenge_id)
    where accounts.stage <> 'funded' or accounts.account_id = funded.account_id
),

-- sign-ins that name no account belong to the side of the funding on which they lie
sessions as (
    select members.funded_id, members.is_after, logins.device_id, logins.country
    from members
    inner join staging.logins as logins using (account_id)

    union all

    select funded.account_id, logins.occurred_at >= funded.opened_at, logins.device_id, logins.country
    from funded
    inner join staging.logins as logins on funded.trader_id = logins.trader_id and logins.account_id is null
),

-- devices and countries
things as (
    select
        funded_id,
        kind,
        value,
        count(*) filter (where not is_after) as sessions_before,
        count(*) filter (where is_after) as sessions_after
    from (
        select
            funded_id,
            is_after,
            unnest([{'kind': 'device', 'value': device_id}, {'kind': 'country', 'value': country}], recursive := true)
        from sessions
    )
    where value is not null
    group by funded_id, kind, value
),

shares as (
    select
        *,
        sessions_before / nullif(sum(sessions_before) over whole, 0) as share_before,
        sessions_after / nullif(sum(sessions_after) over whole, 0) as share_after
    from things
    window whole as (partition by funded_id, kind)
),

-- `overlap` is how much of what was done on each thing before is done there after: 1 for the same mix, 0 for nothing in common
changes as (
    select
        funded_id,
        kind,
        sum(sessions_before) as sessions_before,
        sum(sessions_after) as sessions_after,
        sum(sessions_before) filter (where sessions_after = 0) / nullif(sum(sessions_before), 0) as gone,
        sum(sessions_after) filter (where sessions_before = 0) / nullif(sum(sessions_after), 0) as new,
        sum(least(share_before, share_after)) as overlap,
        -- of two that were used as often always the same one
        arg_max(value, (sessions_before, value)) as most_before,
        arg_max(value, (sessions_after, value)) as most_after
    from shares
    group by funded_id, kind
),

device_users as (
    select device_id, count(distinct trader_id) as users
    from staging.logins
    where device_id is not null
    group by device_id
),

-- devices of the evaluation that were given up with the funding, and how many other traders gave the same one up with theirs
given_up as (
    select things.funded_id, funded.trader_id, things.value as device_id
    from things
    inner join funded on things.funded_id = funded.account_id
    inner join changes on things.funded_id = changes.funded_id and changes.kind = 'device'
    where
        things.kind = 'device' and things.sessions_before > 0 and things.sessions_after = 0
        and changes.sessions_after > 0
),

shared as (
    select given_up.funded_id, max(device_users.users) as users, max(leavers.traders - 1) as also_given_up
    from given_up
    inner join device_users using (device_id)
    inner join (
        select device_id, count(distinct trader_id) as traders
        from given_up
        group by device_id
    ) as leavers using (device_id)
    group by given_up.funded_id
)

select
    funded.account_id,
    funded.trader_id,
    changed.* exclude (kind, account_id),
    devices.sessions_before,
    devices.sessions_after,
    coalesce(devices.gone, 0) as devices_gone,
    coalesce(devices.new, 0) as devices_new,
    coalesce(1 - devices.overlap, 0) as devices_changed,
    devices.most_before as device_before,
    devices.most_after as device_after,
    coalesce(1 - countries.overlap, 0) as countries_changed,
    countries.most_before as country_before,
    countries.most_after as country_after,
    shared.users as device_users_before,
    shared.also_given_up
from funded
left join detectors.changes_of_manner as changed
    on funded.account_id = changed.account_id and changed.kind = 'funding'
left join changes as devices on funded.account_id = devices.funded_id and devices.kind = 'device'
left join changes as countries on funded.account_id = countries.funded_id and countries.kind = 'country'
left join shared on funded.account_id = shared.funded_id
