-- What stood before each request of an account: payouts already honoured, the instant from which profit counts, and
-- what is not yet answered. Grain: payout_id. Requests of one instant follow each other by id. `not_yet_taken` names
-- the honoured requests whose money was still in the account; `deposited` is money put in that is no profit, `drawn` what
-- earlier payouts took out, `corrected` what each correction since the last honoured request took off.
with earlier as (
    select
        now.payout_id,
        count(*) filter (where before.honoured_at is not null) as honoured,
        max(before.requested_at) filter (where before.honoured_at is not null) as last_honoured_at,
        list(before.payout_id order by before.payout_id) filter (
            where before.honoured_at is not null
            and (before.operated_at is null or before.operated_at > now.requested_at)
        ) as not_yet_taken,
        max(before.requested_at) filter (
            where before.answered_at is null or before.answered_at > now.requested_at
        ) as open_request_at,
        arg_max(before.payout_id, (before.requested_at, before.payout_id)) filter (
            where before.answered_at is null or before.answered_at > now.requested_at
        ) as open_request,
        arg_max(before.payout_id, (before.requested_at, before.payout_id)) filter (
            where before.amount = now.amount
        ) as same_request,
        max(before.requested_at) filter (where before.amount = now.amount) as same_request_at
    from facts.payout_answers as now
    inner join facts.payout_answers as before
        on
            now.account_id = before.account_id
            and (before.requested_at, before.payout_id) < (now.requested_at, now.payout_id)
    group by now.payout_id
),

unasked as (
    select
        now.payout_id,
        count(*) as operations,
        max(operations.executed_at) as last_at
    from facts.payout_answers as now
    inner join facts.payout_operations as operations
        on now.account_id = operations.account_id and operations.executed_at < now.requested_at
    where operations.payout_id is null
    group by now.payout_id
),

balances as (
    select
        now.payout_id,
        coalesce(sum(deals.net), 0) as moved,
        coalesce(sum(deals.net) filter (where deals.deposit), 0) as deposited,
        coalesce(-sum(deals.net) filter (where deals.payout), 0) as drawn,
        min(deals.executed_at) filter (where deals.kind = 'trade') as first_trade_at,
        max(deals.executed_at) as last_deal_at
    from facts.payout_answers as now
    inner join facts.payout_deals as deals
        on now.account_id = deals.account_id and deals.executed_at <= now.requested_at
    left join facts.payout_operations as own
        on deals.account_id = own.account_id and deals.deal_id = own.deal_id
    where own.payout_id is distinct from now.payout_id or own.deal_id is null
    group by now.payout_id
),

corrections as (
    select now.payout_id, list(-deals.net order by deals.executed_at, deals.deal_id) as corrected
    from facts.payout_answers as now
    inner join earlier using (payout_id)
    inner join facts.payout_deals as deals
        on
            now.account_id = deals.account_id
            and deals.executed_at > earlier.last_honoured_at
            and deals.executed_at <= now.requested_at
    where deals.taken_off
    group by now.payout_id
)

select
    now.payout_id,
    now.account_id,
    now.requested_at,
    coalesce(earlier.honoured, 0) + coalesce(unasked.operations, 0) as paid_before,
    greatest(earlier.last_honoured_at, unasked.last_at) as last_paid_at,
    earlier.not_yet_taken,
    earlier.open_request,
    earlier.open_request_at,
    earlier.same_request,
    earlier.same_request_at,
    coalesce(balances.moved, 0) as moved,
    coalesce(balances.deposited, 0) as deposited,
    coalesce(balances.drawn, 0) as drawn,
    corrections.corrected,
    balances.first_trade_at,
    balances.last_deal_at
from facts.payout_answers as now
left join earlier using (payout_id)
left join unasked using (payout_id)
left join balances using (payout_id)
left join corrections using (payout_id)
