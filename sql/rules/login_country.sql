-- Log-ins from countries that the stage does not allow, that are not the trader's own, or that follow a log-in from
-- another country too soon. A log-in that names an account concerns that account, any other all of the trader's; one
-- whose country nobody knows is not judged. Grain: account_id, log-in, part.
with countries as (
    select
        trader_id,
        account_id,
        occurred_at,
        ip,
        upper(country) as country,
        lag(upper(country)) over by_time as country_before,
        lag(occurred_at) over by_time as before_at
    from staging.logins
    where country is not null
    window by_time as (partition by trader_id order by occurred_at, ip)
),

concerned as (
    select accounts.account, countries.* exclude (trader_id, account_id)
    from countries
    inner join facts.rule_accounts as accounts on countries.account_id = accounts.account_id
    union all
    select accounts.account, countries.* exclude (trader_id, account_id)
    from countries
    inner join facts.rule_accounts as accounts on countries.trader_id = accounts.trader_id
    where countries.account_id is null
),

mine as (
    select accounts.account_id, upper(traders.country) as home, terms.*, concerned.* exclude (account)
    from concerned
    inner join facts.rule_accounts as accounts using (account)
    inner join terms.login_country as terms using (product, product_version, stage)
    left join staging.traders as traders on accounts.trader_id = traders.trader_id
    where concerned.occurred_at >= accounts.opened_at
),

listed as (
    select
        product,
        product_version,
        stage,
        list(name) filter (where field = 'allowed') as allowed_names,
        list(name) filter (where field = 'prohibited') as prohibited_names
    from terms.listed_names
    where rule = 'login_country'
    group by all
),

parts as (
    select mine.*, 'listed' as part
    from mine
    inner join listed using (product, product_version, stage)
    where
        list_contains(listed.prohibited_names, mine.country)
        or not list_contains(listed.allowed_names, mine.country)
    union all
    select mine.*, 'home' as part
    from mine
    where mine.home_only and mine.country <> mine.home
    union all
    select mine.*, 'travel' as part
    from mine
    where mine.country <> mine.country_before and mine.occurred_at < mine.before_at + to_seconds(mine.travel_seconds)
)

select
    account_id,
    occurred_at as happened_at,
    'breached' as outcome,
    case part when 'travel' then (epoch_us(occurred_at) - epoch_us(before_at)) / 1e6 else 1 end as observed,
    cast(case part when 'travel' then travel_seconds else 0 end as double) as allowed,
    cast(null as varchar) as trade_id,
    json_object(
        'part', part, 'ip', ip, 'country', country, 'home', home, 'country_before', country_before
    ) as detail
from parts
