-- How the profit of each account whose terms say it is shared, from each instant on at which that changed. Grain:
-- account_id, since. The trader's percentages hold part by part from a profit on, the first from nothing.
select account_id, since, begins, percents
from decided.split_spells
union all
select accounts.account_id, accounts.opened_at, [0.0], [split.percent]
from facts.accounts as accounts
inner join terms.split as split
    on
        accounts.product = split.product
        and accounts.product_version = split.product_version
        and accounts.stage = split.stage
anti join facts.changing_splits as changing on accounts.account_id = changing.account_id
