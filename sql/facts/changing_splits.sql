-- Accounts whose terms let the trader's share change with payouts, profit drawn, growth or open losses. Grain: account_id.
select
    accounts.account_id,
    accounts.product,
    cast(accounts.product_version as integer) as product_version,
    accounts.stage,
    accounts.currency,
    accounts.initial_balance,
    accounts.opened_at,
    accounts.has_terms
from facts.accounts as accounts
inner join terms.split as split
    on
        accounts.product = split.product
        and accounts.product_version = split.product_version
        and accounts.stage = split.stage
left join terms.scaling as scaling
    on
        accounts.product = scaling.product
        and accounts.product_version = scaling.product_version
        and accounts.stage = scaling.stage
left join terms.floating_loss as floating_loss
    on
        accounts.product = floating_loss.product
        and accounts.product_version = floating_loss.product_version
        and accounts.stage = floating_loss.stage
where split.tiers is not null or scaling.split_percent is not null or floating_loss.splits is not null
