-- Accounts under judgement with the keys of their terms. Grain: account_id.
-- `until` is the last instant that counts: the account's end, or the run's instant while it goes on. `account` is a number
-- for this run, because rules over millions of trades follow numbers several times faster than names.
select
    cast(row_number() over (order by accounts.account_id) as integer) as account,
    accounts.account_id,
    accounts.trader_id,
    accounts.product,
    accounts.product_version,
    accounts.stage,
    accounts.currency,
    accounts.initial_balance,
    accounts.opened_at,
    judged.until,
    judged.ended,
    judged.passed
from decided.judged as judged
inner join facts.accounts as accounts using (account_id)
