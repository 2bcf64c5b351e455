-- What each account may lose, must gain, must win on a day that counts and how long it may rest under the terms it bought, in its
-- own currency. Grain: account_id. A term that the product does not hold is empty. `initial_balance` is what sizes are shares of:
-- an account that begins at zero, as some futures firms' funded ones do, counts as 25 times what it may lose, which is usual there
-- (2,000 of 50,000).
select
    accounts.account_id,
    accounts.trader_id,
    accounts.challenge_id,
    accounts.stage,
    accounts.currency,
    accounts.product,
    accounts.opened_at,
    accounts.closed_at,
    accounts.purchased_at,
    coalesce(nullif(cast(accounts.initial_balance as double), 0), nullif(25 * total.amount, 0), 50000) as initial_balance,
    case when daily.effect = 'terminate'
        then coalesce(daily.amount, nullif(daily.percent / 100 * cast(accounts.initial_balance as double), 0))
    end as daily_allowance,
    coalesce(total.amount, nullif(total.percent / 100 * cast(accounts.initial_balance as double), 0)) as total_allowance,
    coalesce(target.amount, nullif(target.percent / 100 * cast(accounts.initial_balance as double), 0)) as target,
    coalesce(
        profitable.amount, profitable.percent / 100 * cast(accounts.initial_balance as double)
    ) as profitable_day,
    inactivity.days as inactivity_days,
    holding.seconds as holding_s,
    status.status,
    status.status_at
from facts.accounts as accounts
left join terms.daily_loss as daily using (product, product_version, stage)
left join terms.max_loss as total using (product, product_version, stage)
left join terms.profit_target as target using (product, product_version, stage)
left join terms.min_profitable_days as profitable using (product, product_version, stage)
left join terms.inactivity as inactivity using (product, product_version, stage)
left join terms.holding_time as holding using (product, product_version, stage)
left join decided.account_status as status using (account_id)
