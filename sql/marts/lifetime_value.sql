-- What a buyer has brought so far: net fees less payouts less commissions, in US dollars. Grain: desk_id, product, channel,
-- of the buyer's first purchase. The tail is what the mean hides: a few winners cost many fees.
with firsts as (
    select
        trader_id,
        arg_min(desk_id, (purchased_at, challenge_id)) as desk_id,
        arg_min(product, (purchased_at, challenge_id)) as product,
        arg_min(channel, (purchased_at, challenge_id)) as channel,
        count(*) as purchases
    from marts.cohort_challenges
    group by trader_id
),

moved as (
    select
        challenges.trader_id,
        sum(challenges.fees * rates.rate_to_usd) as fees,
        sum(challenges.payouts * rates.rate_to_usd) as payouts
    from marts.cohort_challenges as challenges
    left join staging.desks as desks on challenges.desk_id = desks.desk_id
    left join marts.usd_rates as rates on desks.currency = rates.currency
    group by challenges.trader_id
),

commissions as (
    select entries.trader_id, sum(entries.amount * rates.rate_to_usd) as commissions
    from marts.commission_entries as entries
    left join marts.usd_rates as rates using (currency)
    group by entries.trader_id
),

valued as (
    select
        firsts.*,
        moved.fees,
        moved.payouts,
        coalesce(commissions.commissions, 0) as commissions,
        moved.fees - moved.payouts - coalesce(commissions.commissions, 0) as value
    from firsts
    inner join moved using (trader_id)
    left join commissions using (trader_id)
)

select
    desk_id,
    product,
    channel,
    count(*) as traders,
    avg(purchases) as purchases_mean,
    avg(value) as value_mean_usd,
    1.96 * stddev_samp(value) / sqrt(count(*)) as value_margin_usd,
    quantile_cont(value, 0.01) as value_p01_usd,
    quantile_cont(value, 0.05) as value_p05_usd,
    quantile_cont(value, 0.5) as value_p50_usd,
    quantile_cont(value, 0.95) as value_p95_usd,
    count(*) filter (where value < 0) / count(*) as negative_share
from valued
group by desk_id, product, channel
