-- Accounts that are landed and not judged, and why. Grain: account_id.
select
    accounts.account_id,
    accounts.product,
    accounts.stage,
    case
        when not exists (select 1 from terms.versions as terms where terms.product = accounts.product)
            then 'the rulebook has no product ' || accounts.product
        when accounts.product_version is null
            then 'no version of ' || accounts.product || ' was in force and on sale at the purchase'
        else accounts.product || ' version ' || accounts.product_version || ' has no terms for ' || accounts.stage
    end as reason
from facts.accounts as accounts
where not accounts.has_terms
