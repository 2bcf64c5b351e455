-- Observations of balance and equity. Newest version of each record as of the run. Grain: account_id, observed_at.
with corrected as (
    select account_id, observed_at, max(_version) as newest
    from lake.equity
    where _version > 1
    group by account_id, observed_at
)

select
    told.account_id,
    told.observed_at,
    told.balance,
    told.equity,
    told._load_id,
    told._line,
    told._version
from lake.equity as told
left join corrected using (account_id, observed_at)
where
    told.observed_at <= getvariable('as_of')
    and (corrected.newest is null or told._version = corrected.newest)
