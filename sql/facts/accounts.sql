-- Accounts with the challenge they serve, the product version bought and whether the stage has terms. Grain: account_id.
-- An account whose challenge is not yet known waits and is not here.
select
    accounts.account_id,
    accounts.challenge_id,
    accounts.trader_id,
    accounts.desk_id,
    accounts.stage,
    accounts.platform,
    accounts.login,
    accounts.server,
    accounts.currency,
    accounts.initial_balance,
    accounts.opened_at,
    accounts.closed_at,
    challenges.product,
    bought.product_version,
    challenges.purchased_at,
    challenges.fee,
    challenges.currency as fee_currency,
    challenges.partner_id,
    challenges.reset_of,
    stages.stage is not null as has_terms
from staging.accounts as accounts
inner join staging.challenges as challenges using (challenge_id)
left join facts.challenge_terms as bought using (challenge_id)
left join terms.stages as stages
    on
        challenges.product = stages.product
        and bought.product_version = stages.product_version
        and accounts.stage = stages.stage
