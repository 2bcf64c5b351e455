-- Every account with its buyer, its purchase and the money that hangs on it. Grain: account_id.
-- What moves with every trade is in marts.risk_queue and account_status.
with requested as (
    select
        account_id,
        sum(amount) filter (where waits) as waiting,
        sum(transfer_amount) filter (where state = 'settled') as paid,
        count(*) filter (where waits) as requests_waiting
    from marts.payout_queue
    group by account_id
),

every as (
    select * exclude (has_terms) from facts.accounts
    union all by name
    -- the purchase has not arrived
    select * exclude (_load_id, _line, _version)
    from staging.accounts anti join facts.accounts using (account_id)
)

select
    accounts.account_id,
    accounts.challenge_id,
    accounts.trader_id,
    traders.full_name as trader_name,
    traders.country,
    traders.kyc_status,
    traders.registered_at,
    accounts.desk_id,
    desks.time_zone,
    accounts.product,
    accounts.product_version,
    accounts.stage,
    accounts.platform,
    accounts.login,
    accounts.server,
    accounts.currency,
    cast(accounts.initial_balance as double) as initial_balance,
    accounts.opened_at,
    accounts.closed_at,
    accounts.purchased_at,
    cast(accounts.fee as double) as fee,
    accounts.fee_currency,
    accounts.partner_id,
    accounts.reset_of,
    status.status,
    coalesce(requested.waiting, 0) as waiting,
    coalesce(requested.paid, 0) as paid,
    coalesce(requested.requests_waiting, 0) as requests_waiting
from every as accounts
left join staging.traders as traders on accounts.trader_id = traders.trader_id
left join staging.desks as desks on accounts.desk_id = desks.desk_id
left join decided.account_status as status on accounts.account_id = status.account_id
left join requested on accounts.account_id = requested.account_id
