-- Payouts as they left the accounts, each with the request that it answers. Grain: account_id, deal_id.
-- First the newest request before it of that very amount, each request once; then, where a cap, a strip or the split
-- made another amount of it, the newest request before it. A payout that nobody asked for has no payout_id.
with operations as (
    select account_id, deal_id, executed_at, -net as amount
    from facts.payout_deals
    where payout
),

candidates as (
    select
        operations.account_id,
        operations.deal_id,
        operations.executed_at,
        payouts.payout_id,
        payouts.requested_at,
        operations.amount = payouts.amount as same,
        row_number() over (
            partition by operations.account_id, operations.deal_id
            order by payouts.requested_at desc, payouts.payout_id desc
        ) as newest
    from operations
    inner join staging.payouts as payouts
        on operations.account_id = payouts.account_id and operations.executed_at >= payouts.requested_at
),

exact as (
    select
        account_id,
        deal_id,
        payout_id,
        row_number() over (partition by account_id, deal_id order by newest) as place,
        row_number() over (partition by payout_id order by executed_at, deal_id) as turn
    from candidates
    where same
),

certain as (
    select * from exact
    where place = 1 and turn = 1
),

likely as (
    select
        found.account_id,
        found.deal_id,
        found.payout_id,
        row_number() over (partition by found.account_id, found.deal_id order by found.same desc, found.newest) as place
    from candidates as found
    anti join certain as told on found.account_id = told.account_id and found.deal_id = told.deal_id
    anti join certain as answered on found.payout_id = answered.payout_id
    where found.same or found.newest = 1
)

select
    operations.*,
    coalesce(certain.payout_id, likely.payout_id) as payout_id
from operations
left join certain on operations.account_id = certain.account_id and operations.deal_id = certain.deal_id
left join likely
    on operations.account_id = likely.account_id and operations.deal_id = likely.deal_id and likely.place = 1
