-- Accounts that copy another account of the same owner where the plan does not allow it. Grain: account_id, other account.
-- `challenge_only` forbids it as soon as one of the two is funded. It stands from when both accounts were open.
with pairs as (
    select account_a as account_id, account_b as other_id, matched, strength
    from decided.copy_pairs
    where same_owner and relation = 'copy'
    union all
    select account_b, account_a, matched, strength
    from decided.copy_pairs
    where same_owner and relation = 'copy'
)

select
    pairs.account_id,
    greatest(own.opened_at, other.opened_at) as happened_at,
    'breached' as outcome,
    cast(pairs.matched as double) as observed,
    cast(0 as double) as allowed,
    cast(null as varchar) as trade_id,
    json_object('other_account_id', pairs.other_id, 'strength', pairs.strength) as detail
from pairs
inner join facts.accounts as own on pairs.account_id = own.account_id
inner join facts.accounts as other on pairs.other_id = other.account_id
inner join terms.copy_own_accounts as terms
    on own.product = terms.product and own.product_version = terms.product_version and own.stage = terms.stage
where
    pairs.strength >= terms.min_strength
    and (
        terms.policy = 'prohibited'
        or (
            terms.policy = 'challenge_only'
            and (own.stage in ('funded', 'instant') or other.stage in ('funded', 'instant'))
        )
    )
