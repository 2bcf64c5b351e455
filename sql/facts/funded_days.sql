-- Funded accounts at the end of each firm day that they outlived and of which something is told: what stood in them. Grain:
-- account_id, day. Amounts as shares of the initial balance.
select
    accounts.account_id,
    accounts.desk_id,
    days.firm_day,
    timezone('UTC', cast(days.firm_day as timestamp)) + interval 1 day as stands_at,
    cast(accounts.initial_balance as double) as initial,
    (days.close_balance - cast(accounts.initial_balance as double)) / cast(accounts.initial_balance as double)
        as profit_share,
    (days.close_equity - days.close_balance) / cast(accounts.initial_balance as double) as open_share
from decided.account_days as days
inner join facts.accounts as accounts using (account_id)
inner join decided.account_status as status on days.account_id = status.account_id
where
    accounts.stage in ('funded', 'instant')
    and accounts.initial_balance > 0
    and (
        status.status in ('active', 'paused')
        or status.status_at > timezone('UTC', cast(days.firm_day as timestamp)) + interval 1 day
    )
