-- Where the money of each payout request stands: its newest transfer. Grain: payout_id.
-- Paid means settled: sent is not there yet, returned and failed came back.
select
    settlements.payout_id,
    any_value(payouts.account_id) as account_id,
    any_value(accounts.challenge_id) as challenge_id,
    any_value(payouts.amount) as requested,
    last(settlements.amount order by settlements.settled_at, settlements.settlement_id) as amount,
    last(settlements.currency order by settlements.settled_at, settlements.settlement_id) as currency,
    last(settlements.status order by settlements.settled_at, settlements.settlement_id) as status,
    max(settlements.settled_at) as settled_at,
    any_value(accounts.currency) as account_currency
from staging.settlements as settlements
inner join staging.payouts as payouts using (payout_id)
inner join staging.accounts as accounts using (account_id)
group by settlements.payout_id
