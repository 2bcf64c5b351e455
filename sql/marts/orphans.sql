-- Records that point to one that has not arrived; they wait and count once it has. Grain: dataset, refers_to, missing_id.
with to_traders as (
    select 'challenges' as dataset, trader_id as missing_id, 1 as records from staging.challenges
    union all
    select 'accounts', trader_id, 1 from staging.accounts
    union all
    select 'logins', trader_id, records from facts.sign_ins
    union all
    select 'consents', trader_id, 1 from staging.consents
    union all
    select 'payments', trader_id, 1 from staging.payments
),

to_desks as (
    select 'challenges' as dataset, desk_id as missing_id, 1 as records from staging.challenges
    union all
    select 'accounts', desk_id, 1 from staging.accounts
),

to_challenges as (
    select 'challenges' as dataset, reset_of as missing_id, 1 as records from staging.challenges where reset_of is not null
    union all
    select 'accounts', challenge_id, 1 from staging.accounts
    union all
    select 'payments', challenge_id, 1 from staging.payments where challenge_id is not null
),

to_accounts as (
    select dataset, account_id as missing_id, records from facts.account_records
    union all
    select 'logins', account_id, records from facts.sign_ins where account_id is not null
    union all
    select 'payouts', account_id, 1 from staging.payouts
),

to_partners as (
    select 'challenges' as dataset, partner_id as missing_id, 1 as records
    from staging.challenges where partner_id is not null
    union all
    select 'partners', parent_partner_id, 1 from staging.partners where parent_partner_id is not null
    union all
    select 'clicks', partner_id, 1 from staging.clicks
),

pointers as (
    select dataset, 'traders' as refers_to, missing_id, records
    from to_traders anti join staging.traders on missing_id = trader_id
    union all
    select dataset, 'desks', missing_id, records
    from to_desks anti join staging.desks on missing_id = desk_id
    union all
    select dataset, 'challenges', missing_id, records
    from to_challenges anti join staging.challenges on missing_id = challenge_id
    union all
    select dataset, 'accounts', missing_id, records
    from to_accounts anti join staging.accounts on missing_id = account_id
    union all
    select dataset, 'partners', missing_id, records
    from to_partners anti join staging.partners on missing_id = partner_id
    union all
    select 'payments', 'challenges', 'one of trader ' || trader_id, 1
    from facts.returned_fees where challenge_id is null
    union all
    select 'challenges', 'clicks', click_id, 1
    from staging.challenges anti join staging.clicks using (click_id) where click_id is not null
    union all
    select 'settlements', 'payouts', payout_id, 1
    from staging.settlements anti join staging.payouts using (payout_id) where payout_id is not null
)

select dataset, refers_to, missing_id, cast(sum(records) as bigint) as records
from pointers
group by dataset, refers_to, missing_id
