-- Records that point to one not yet known: they wait, and count once it arrives. Grain: dataset, record, points_to.
select 'challenges' as dataset, challenge_id as record, 'trader ' || trader_id as points_to
from staging.challenges
anti join staging.traders using (trader_id)

union all

select 'challenges', challenge_id, 'desk ' || desk_id
from staging.challenges
anti join staging.desks using (desk_id)

union all

select 'accounts', account_id, 'challenge ' || challenge_id
from staging.accounts
anti join staging.challenges using (challenge_id)

union all

select 'accounts', account_id, 'trader ' || trader_id
from staging.accounts
anti join staging.traders using (trader_id)

union all

select 'deals', 'account ' || account_id || ': ' || count(*) || ' deals', 'account ' || account_id
from staging.deals
anti join staging.accounts using (account_id)
group by account_id

union all

select 'equity', 'account ' || account_id || ': ' || count(*) || ' observations', 'account ' || account_id
from staging.equity
anti join staging.accounts using (account_id)
group by account_id

union all

select 'logins', 'trader ' || trader_id || ': ' || count(*) || ' logins', 'trader ' || trader_id
from staging.logins
anti join staging.traders using (trader_id)
group by trader_id

union all

select 'payments', payment_id, 'trader ' || trader_id
from staging.payments
anti join staging.traders using (trader_id)

union all

select 'payments', payment_id, 'challenge ' || challenge_id
from staging.payments
anti join staging.challenges using (challenge_id)
where challenge_id is not null

union all

select 'payments', payment_id, 'a challenge of trader ' || trader_id || ' that it does not name'
from facts.returned_fees
where challenge_id is null

union all

select 'partners', told.partner_id, 'partner ' || told.parent_partner_id
from staging.partners as told
anti join staging.partners as above on told.parent_partner_id = above.partner_id
where told.parent_partner_id is not null

union all

select 'payouts', payout_id, 'account ' || account_id
from staging.payouts
anti join staging.accounts using (account_id)

union all

select 'settlements', settlement_id, 'payout ' || payout_id
from staging.settlements
anti join staging.payouts using (payout_id)
where payout_id is not null

union all

select 'challenges', challenge_id, 'partner ' || partner_id
from staging.challenges
anti join staging.partners using (partner_id)
where partner_id is not null

union all

select 'challenges', challenge_id, 'click ' || click_id
from staging.challenges
anti join staging.clicks using (click_id)
where click_id is not null
