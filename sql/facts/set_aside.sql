-- What changes of the money in accounts that is no profit to be shared any more: what was put in, what is promised to payouts
-- and what is void. Grain: none; amounts add up.
-- `since`: with what moved the balance, from the end of the firm day whose balance shows it; else at once.
with changes as (
    select account_id, executed_at as happened_at, cast(net as double) as amount, true as booked
    from facts.payout_deals
    where deposit
    union all
    select account_id, happened_at, amount, booked from decided.spoken_for
),

-- few of all days, which would be put in order otherwise
days as (
    select account_id, firm_day, opened_at
    from decided.account_days
    semi join changes using (account_id)
)

select
    changes.account_id,
    -- an operation at the instant of the reset is of the day before
    if(
        changes.booked and days.firm_day is not null,
        timezone('UTC', cast(days.firm_day as timestamp)) + interval 1 day,
        changes.happened_at
    ) as since,
    changes.amount
from changes
asof left join days
    on changes.account_id = days.account_id and changes.happened_at > days.opened_at
