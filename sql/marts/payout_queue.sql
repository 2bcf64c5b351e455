-- Requests for payout with who asks, where the account stands and how far the money got. Grain: payout_id.
-- `state` is that of the newest transfer; a request without one, or whose transfer came back, waits, unless the desk has
-- rejected or cancelled it (`over`, since `over_at`).
with transfers as (
    select
        payout_id,
        arg_max(status, settled_at) as transfer_status,
        arg_max(cast(amount as double), settled_at) as transfer_amount,
        arg_max(currency, settled_at) as transfer_currency,
        arg_max(reference, settled_at) as transfer_reference,
        max(settled_at) as transfer_at,
        count(*) as transfers
    from staging.settlements
    where payout_id is not null
    group by payout_id
),

-- a feed may end before the desk decided: the run's instant is the latest that the figures know of
refused as (
    select payout_id, least(updated_at, getvariable('as_of')) as refused_at
    from decided.payout_states
    where state in ('rejected', 'upheld', 'cancelled')
),

requests as (
    select
        payouts.payout_id,
        payouts.account_id,
        accounts.trader_id,
        traders.full_name as trader_name,
        traders.kyc_status,
        accounts.desk_id,
        challenges.product,
        accounts.stage,
        accounts.currency,
        cast(payouts.amount as double) as amount,
        cast(payouts.amount as double) * rates.rate_to_usd as amount_usd,
        payouts.method,
        payouts.destination,
        payouts.requested_at,
        status.status as account_status,
        status.balance,
        status.initial_balance,
        profits.profit as profit_left,
        case
            when transfers.transfer_status in ('sent', 'settled') then transfers.transfer_status
            when refused.payout_id is not null then 'over'
            else coalesce(transfers.transfer_status, 'waiting')
        end as state,
        if(coalesce(transfers.transfer_status, '') in ('sent', 'settled'), null, refused.refused_at) as over_at,
        transfers.transfer_amount,
        transfers.transfer_currency,
        transfers.transfer_reference,
        transfers.transfer_at,
        coalesce(transfers.transfers, 0) as transfers
    from staging.payouts as payouts
    left join staging.accounts as accounts using (account_id)
    left join staging.challenges as challenges using (challenge_id)
    left join staging.traders as traders on accounts.trader_id = traders.trader_id
    left join marts.usd_rates as rates on accounts.currency = rates.currency
    left join decided.account_status as status on payouts.account_id = status.account_id
    left join facts.profits_now as profits on payouts.account_id = profits.account_id
    left join transfers on payouts.payout_id = transfers.payout_id
    left join refused on payouts.payout_id = refused.payout_id
),

counted as (
    select
        *,
        state in ('waiting', 'returned', 'failed') as waits,
        count(*) filter (where state = 'settled') over earlier as paid_before,
        count(*) over (partition by destination) as requests_to_destination
    from requests
    window earlier as (
        partition by account_id
        order by requested_at, payout_id
        rows between unbounded preceding and 1 preceding
    )
)

select
    counted.*,
    counted.waits
    and date_diff('minute', utc(counted.requested_at), utc(getvariable('as_of'))) / 60.0 > limits.payout_hours as overdue,
    limits.payout_hours
from counted
cross join marts.limits as limits
