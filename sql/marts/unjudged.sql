-- Accounts that landed and are not judged, and why. Grain: account_id.
select
    accounts.account_id,
    accounts.desk_id,
    accounts.stage,
    known.product,
    case
        when known.account_id is null then 'challenge ' || accounts.challenge_id || ' has not arrived'
        when known.product_version is null then 'no version of ' || known.product || ' was in force at purchase'
        else known.product || ' version ' || known.product_version || ' has no terms for ' || accounts.stage
    end as reason
from staging.accounts as accounts
left join facts.accounts as known using (account_id)
where known.has_terms is distinct from true
