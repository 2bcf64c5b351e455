-- Every request with all that its review needs about account, trader, window and what became of it. Grain: payout_id.
-- `firm_day` is the day of the request on the product's clock.
with named as (
    select payouts.destination, accounts.trader_id
    from staging.payouts as payouts
    inner join staging.accounts as accounts using (account_id)
    where payouts.destination is not null
),

destinations as (
    select named.destination, list(distinct coalesce(owners.owner_id, named.trader_id)) as owners
    from named
    left join decided.owners as owners using (trader_id)
    group by named.destination
),

-- Whoever bought with the instrument that a destination is.
buyers as (
    select
        payments.instrument as destination,
        list(distinct coalesce(owners.owner_id, payments.trader_id)) as owners
    from staging.payments as payments
    left join decided.owners as owners using (trader_id)
    where payments.kind = 'purchase' and payments.instrument is not null
    group by payments.instrument
),

partner_payees as (
    select payout_destination as destination, list(distinct partner_id) as partners
    from staging.partners
    where payout_destination is not null
    group by payout_destination
),

fees as (
    select
        challenge_id,
        sum(abs(amount)) filter (where kind = 'chargeback') as charged_back,
        sum(abs(amount)) filter (where kind = 'refund') as refunded,
        min(occurred_at) filter (where kind = 'refund' and amount <> 0) as refunded_at
    from staging.payments
    where challenge_id is not null
    group by challenge_id
),

observed as (
    select
        windows.payout_id,
        max(equity.observed_at) as observed_at,
        arg_max(equity.balance, equity.observed_at) as balance
    from facts.payout_windows as windows
    inner join staging.equity as equity
        on windows.account_id = equity.account_id and equity.observed_at <= windows.requested_at
    group by windows.payout_id
),

observed_sums as (
    select
        observed.payout_id,
        sum(deals.net) as moved,
        coalesce(sum(deals.net) filter (where deals.executed_at = observed.observed_at), 0) as moved_then
    from observed
    inner join facts.payout_windows as windows using (payout_id)
    inner join facts.payout_deals as deals
        on windows.account_id = deals.account_id and deals.executed_at <= observed.observed_at
    group by observed.payout_id
),

half_known as (
    select windows.payout_id, count(*) as trades
    from facts.payout_windows as windows
    inner join facts.trade_deals as deals using (account_id)
    anti join facts.trades as trades
        on deals.account_id = trades.account_id and deals.trade_id = trades.trade_id
    where deals.executed_at <= windows.requested_at
    group by windows.payout_id
),

used as (
    select
        payouts.payout_id,
        accounts.trader_id,
        payouts.requested_at,
        payouts.destination,
        owners.owner_id,
        lower(strip_accents(trim(traders.full_name))) as name
    from staging.payouts as payouts
    inner join staging.accounts as accounts using (account_id)
    left join decided.owners as owners on accounts.trader_id = owners.trader_id
    left join staging.traders as traders on accounts.trader_id = traders.trader_id
),

-- Other registrations of the owner that asked for money to the same destination, and those under another name.
namesakes as (
    select
        now.payout_id,
        list(distinct other.trader_id) as registrations,
        list(distinct other.trader_id) filter (where other.name <> now.name) as names
    from used as now
    inner join used as other on now.destination = other.destination and now.owner_id = other.owner_id
    where now.trader_id <> other.trader_id
    group by now.payout_id
),

payees as (
    select
        now.payout_id,
        arg_max(before.destination, (before.requested_at, before.payout_id)) as last_destination,
        count(*) filter (where before.destination = now.destination) as used_before,
        min(before.requested_at) filter (where before.destination = now.destination) as used_since,
        count(*) filter (where before.destination is distinct from now.destination) as other_destinations
    from used as now
    inner join used as before
        on now.trader_id = before.trader_id and before.requested_at < now.requested_at
    group by now.payout_id
)

select
    answers.*,
    -- where a desk's transfers are told at all, one that is not told has not gone
    coalesce(bool_or(answers.transfers > 0) over (partition by accounts.desk_id), false) as transfers_told,
    payouts.method,
    payouts.destination,
    accounts.trader_id,
    accounts.desk_id,
    accounts.stage,
    accounts.currency,
    accounts.initial_balance,
    accounts.opened_at,
    accounts.closed_at,
    bought.product,
    cast(bought.product_version as integer) as product_version,
    bought.has_terms,
    resets.firm_day,
    bought.fee,
    bought.fee_currency,
    rates.rate_to_usd,
    status.status,
    status.status_at,
    cast(status.balance as decimal(38, 8)) as balance_now,
    traders.full_name,
    traders.date_of_birth,
    traders.country,
    traders.kyc_status,
    traders.kyc_checked_at,
    coalesce(owners.owner_id, accounts.trader_id) as owner_id,
    destinations.owners as destination_owners,
    buyers.owners as destination_buyers,
    partner_payees.partners as destination_partners,
    namesakes.registrations as destination_registrations,
    namesakes.names as destination_names,
    fees.charged_back,
    fees.refunded,
    fees.refunded_at,
    windows.paid_before,
    windows.last_paid_at,
    windows.open_request,
    windows.open_request_at,
    windows.same_request,
    windows.same_request_at,
    windows.not_yet_taken,
    windows.moved,
    windows.deposited,
    windows.drawn,
    windows.corrected,
    windows.first_trade_at,
    observed.observed_at,
    observed.balance as observed_balance,
    observed_sums.moved as observed_moved,
    observed_sums.moved_then as observed_moved_then,
    coalesce(half_known.trades, 0) as half_known,
    payees.last_destination,
    coalesce(payees.used_before, 0) as used_before,
    payees.used_since,
    coalesce(payees.other_destinations, 0) as other_destinations
from facts.payout_answers as answers
inner join staging.payouts as payouts using (payout_id)
inner join facts.payout_windows as windows using (payout_id)
left join staging.accounts as accounts on answers.account_id = accounts.account_id
left join facts.accounts as bought on answers.account_id = bought.account_id
asof left join terms.payout_resets as resets
    on
        bought.product = resets.product
        and bought.product_version = resets.product_version
        and answers.requested_at >= resets.opened_at
left join facts.rates as rates on accounts.currency = rates.currency
left join decided.account_status as status on answers.account_id = status.account_id
left join staging.traders as traders on accounts.trader_id = traders.trader_id
left join decided.owners as owners on accounts.trader_id = owners.trader_id
left join destinations on payouts.destination = destinations.destination
left join buyers on payouts.destination = buyers.destination
left join partner_payees on payouts.destination = partner_payees.destination
left join namesakes on answers.payout_id = namesakes.payout_id
left join fees on bought.challenge_id = fees.challenge_id
left join observed on answers.payout_id = observed.payout_id
left join observed_sums on answers.payout_id = observed_sums.payout_id
left join half_known on answers.payout_id = half_known.payout_id
left join payees on answers.payout_id = payees.payout_id
