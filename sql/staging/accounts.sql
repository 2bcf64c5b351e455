-- Trading accounts: one per stage of a challenge. Newest version of each record as of the run. Grain: account_id.
with corrected as (
    select account_id, max(_version) as newest
    from lake.accounts
    where _version > 1
    group by account_id
)

select
    told.account_id,
    told.challenge_id,
    told.trader_id,
    told.desk_id,
    told.stage,
    told.platform,
    told.login,
    told.server,
    told.currency,
    told.initial_balance,
    told.opened_at,
    told.closed_at,
    told._load_id,
    told._line,
    told._version
from lake.accounts as told
left join corrected using (account_id)
where
    told.opened_at <= getvariable('as_of')
    and (corrected.newest is null or told._version = corrected.newest)
