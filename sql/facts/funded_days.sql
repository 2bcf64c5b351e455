-- Funded accounts at the end of each firm day that they outlived and of which something is told: what stood in them above their
-- initial balance. Grain: account_id, day.
select
    accounts.account_id,
    accounts.desk_id,
    timezone('UTC', cast(days.firm_day as timestamp)) + interval 1 day as stands_at,
    days.close_balance - cast(accounts.initial_balance as double) as profit
from decided.account_days as days
inner join facts.accounts as accounts using (account_id)
inner join decided.account_status as status on days.account_id = status.account_id
where
    accounts.stage in ('funded', 'instant')
    and (
        status.status in ('active', 'paused')
        or status.status_at > timezone('UTC', cast(days.firm_day as timestamp)) + interval 1 day
    )
