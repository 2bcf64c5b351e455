-- What there was of each account to look at: its positions, and whether its trader ever signed in. Grain: account_id.
with signed_in as (
    select distinct trader_id
    from staging.logins
)

select
    accounts.account_id,
    coalesce(traded.positions, 0) as positions,
    signed_in.trader_id is not null as has_sign_ins
from facts.accounts as accounts
left join detectors.traded as traded using (account_id)
left join signed_in on accounts.trader_id = signed_in.trader_id
