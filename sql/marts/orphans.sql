-- Records that point to one that has not arrived; they wait and count once it has. Grain: dataset, refers_to, missing_id.
with pointers as (
    select 'challenges' as dataset, 'traders' as refers_to, trader_id as missing_id, count(*) as records
    from staging.challenges anti join staging.traders using (trader_id) group by trader_id
    union all
    select 'challenges', 'desks', desk_id, count(*)
    from staging.challenges anti join staging.desks using (desk_id) group by desk_id
    union all
    select 'challenges', 'challenges', told.reset_of, count(*)
    from staging.challenges as told
    anti join staging.challenges as earlier on told.reset_of = earlier.challenge_id
    where told.reset_of is not null group by told.reset_of
    union all
    select 'accounts', 'desks', desk_id, count(*)
    from staging.accounts anti join staging.desks using (desk_id) group by desk_id
    union all
    select 'accounts', 'challenges', challenge_id, count(*)
    from staging.accounts anti join staging.challenges using (challenge_id) group by challenge_id
    union all
    select 'accounts', 'traders', trader_id, count(*)
    from staging.accounts anti join staging.traders using (trader_id) group by trader_id
    union all
    select dataset, 'accounts', account_id, records
    from facts.account_records anti join staging.accounts using (account_id)
    union all
    select 'logins', 'traders', trader_id, cast(sum(records) as bigint)
    from facts.sign_ins anti join staging.traders using (trader_id) group by trader_id
    union all
    select 'logins', 'accounts', account_id, count(*)
    from staging.logins anti join staging.accounts using (account_id)
    where account_id is not null group by account_id
    union all
    select 'consents', 'traders', trader_id, count(*)
    from staging.consents anti join staging.traders using (trader_id) group by trader_id
    union all
    select 'payments', 'traders', trader_id, count(*)
    from staging.payments anti join staging.traders using (trader_id) group by trader_id
    union all
    select 'payments', 'challenges', challenge_id, count(*)
    from staging.payments anti join staging.challenges using (challenge_id)
    where challenge_id is not null group by challenge_id
    union all
    select 'payments', 'challenges', 'one of trader ' || trader_id, count(*)
    from facts.returned_fees where challenge_id is null group by trader_id
    union all
    select 'challenges', 'clicks', click_id, count(*)
    from staging.challenges anti join staging.clicks using (click_id) where click_id is not null group by click_id
    union all
    select 'challenges', 'partners', partner_id, count(*)
    from staging.challenges anti join staging.partners using (partner_id)
    where partner_id is not null group by partner_id
    union all
    select 'partners', 'partners', parent_partner_id, count(*)
    from staging.partners as told
    anti join staging.partners as above on told.parent_partner_id = above.partner_id
    where told.parent_partner_id is not null group by parent_partner_id
    union all
    select 'payouts', 'accounts', account_id, count(*)
    from staging.payouts anti join staging.accounts using (account_id) group by account_id
    union all
    select 'settlements', 'payouts', payout_id, count(*)
    from staging.settlements anti join staging.payouts using (payout_id) where payout_id is not null group by payout_id
    union all
    select 'clicks', 'partners', partner_id, count(*)
    from staging.clicks anti join staging.partners using (partner_id) group by partner_id
)

select dataset, refers_to, missing_id, records
from pointers
