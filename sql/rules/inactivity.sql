-- Instants at which an account had gone too long without an opening deal, and those at which it was to be warned.
-- The days run from the account's opening and start again with every opening deal. Grain: account_id, outcome, instant.
with suspects as (
    select account
    from decided.suspect_accounts
    where rule = 'inactivity'
),

openings as (
    select account, executed_at as active_at
    from facts.rule_deals
    semi join suspects using (account)
    where role = 'in'
    union all
    select account, opened_at as active_at
    from facts.rule_accounts
    semi join suspects using (account)
),

gaps as (
    select
        account,
        active_at,
        lead(active_at) over (partition by account order by active_at) as next_at
    from openings
),

judged as (
    select gaps.*, accounts.account_id, terms.days, terms.warn_days, accounts.until
    from gaps
    inner join facts.rule_accounts as accounts using (account)
    inner join terms.inactivity as terms using (product, product_version, stage)
),

limits as (
    select *, 'breached' as outcome, days as limit_days from judged
    union all
    select *, 'warned' as outcome, warn_days as limit_days from judged where warn_days is not null
)

select
    account_id,
    active_at + to_days(cast(limit_days as integer)) as happened_at,
    outcome,
    cast(limit_days as double) as observed,
    cast(days as double) as allowed,
    cast(null as varchar) as trade_id,
    json_object('last_active_at', strftime(active_at, '%Y-%m-%d %H:%M:%S UTC')) as detail
from limits
where
    active_at + to_days(cast(limit_days as integer)) <= until
    and (next_at is null or next_at > active_at + to_days(cast(limit_days as integer)))
