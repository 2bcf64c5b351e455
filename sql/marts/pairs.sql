-- Pairs of accounts that trade as one, joined with what else is known of the two. Grain: account_a, account_b, relation.
-- passed_account_id: of a mirror pair, the account that passed or holds profit to withdraw while the other breached.
-- own_copy: one owner's copies are a violation where the plan says so, else allowed; empty between different owners.
with forbidden as (
    select distinct account_id
    from decided.verdicts
    where rule = 'copy_own_accounts'
)

select
    pairs.account_a,
    pairs.account_b,
    pairs.relation,
    pairs.leader,
    pairs.matched,
    pairs.expected,
    pairs.lag_ms,
    pairs.strength,
    pairs.strength >= limits.flag_strength as is_flag,
    pairs.same_owner,
    case
        when pairs.same_owner is not true or pairs.relation <> 'copy' then null
        when pairs.account_a in (select account_id from forbidden) then 'violation'
        when pairs.account_b in (select account_id from forbidden) then 'violation'
        else 'allowed'
    end as own_copy,
    case
        when pairs.relation <> 'mirror' then null
        when (one.status = 'passed' or one_stake.stake > 0) and other.status = 'breached' then pairs.account_a
        when (other.status = 'passed' or other_stake.stake > 0) and one.status = 'breached' then pairs.account_b
    end as passed_account_id,
    coalesce(one.partner_id = other.partner_id, false) as same_partner,
    case when one.partner_id = other.partner_id then one.partner_id end as partner_id,
    one.trader_id as trader_a,
    other.trader_id as trader_b,
    one.desk_id as desk_a,
    other.desk_id as desk_b,
    coalesce(one_stake.stake * one_rate.rate_to_usd, 0)
    + coalesce(other_stake.stake * other_rate.rate_to_usd, 0) as stake_usd,
    coalesce(one.waiting * one_rate.rate_to_usd, 0) + coalesce(other.waiting * other_rate.rate_to_usd, 0) as waiting_usd,
    coalesce(one.fee * one_fee.rate_to_usd, 0) + coalesce(other.fee * other_fee.rate_to_usd, 0) as fees_usd
from decided.copy_pairs as pairs
cross join marts.limits as limits
inner join marts.accounts as one on pairs.account_a = one.account_id
inner join marts.accounts as other on pairs.account_b = other.account_id
left join facts.stakes as one_stake on pairs.account_a = one_stake.account_id
left join facts.stakes as other_stake on pairs.account_b = other_stake.account_id
left join marts.usd_rates as one_rate on one.currency = one_rate.currency
left join marts.usd_rates as other_rate on other.currency = other_rate.currency
left join marts.usd_rates as one_fee on one.fee_currency = one_fee.currency
left join marts.usd_rates as other_fee on other.fee_currency = other_fee.currency
