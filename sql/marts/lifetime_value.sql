-- What a buyer has brought so far: net fees less payouts less commissions, in US dollars. Grain: desk_id, product, channel,
-- of the buyer's first purchase. The tail is what the mean hides: a few winners cost many fees. The margin (95 %) is that
-- of independent people, who may have several registrations, and who vary as they do together with some of the desk's. Whose fees
-- were all returned brought nothing, and did not cost more than nothing: what sums of doubles leave is no loss.
with buyers as (
    select
        challenges.trader_id,
        any_value(challenges.person) as person,
        arg_min(
            {'desk_id': challenges.desk_id, 'product': challenges.product, 'channel': challenges.channel},
            (challenges.purchased_at, challenges.challenge_id)
        ) as first,
        count(*) as purchases,
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
        buyers.person,
        buyers.first.desk_id as desk_id,
        buyers.first.product as product,
        buyers.first.channel as channel,
        buyers.purchases,
        buyers.fees - buyers.payouts - coalesce(commissions.commissions, 0) as value
    from buyers
    left join commissions using (trader_id)
),

-- a person's registrations go together: squares of sums of people instead of sums of squares
people as (
    select desk_id, product, channel, sum(value) as value, count(value) as traders
    from valued
    group by desk_id, product, channel, person
),

varied as (
    select
        people.desk_id,
        people.product,
        people.channel,
        sum((people.value - people.traders * means.mean) ^ 2) / sum(people.traders) * count(*) / nullif(count(*) - 1, 0)
            as variance
    from people
    inner join (select desk_id, product, channel, avg(value) as mean from valued group by all) as means
        using (desk_id, product, channel)
    group by people.desk_id, people.product, people.channel
),

everyone as (
    select desk_id, var_samp(value) as variance from valued group by desk_id
)

select
    valued.desk_id,
    valued.product,
    valued.channel,
    count(*) as traders,
    avg(valued.purchases) as purchases_mean,
    avg(valued.value) as value_mean_usd,
    any_value(limits.quantile) * sqrt(
        variance_with(
            any_value(varied.variance), count(*), any_value(everyone.variance), any_value(limits.usual_buyers)
        )
        / count(*)
    ) as value_margin_usd,
    quantile_cont(valued.value, 0.01) as value_p01_usd,
    quantile_cont(valued.value, 0.05) as value_p05_usd,
    quantile_cont(valued.value, 0.5) as value_p50_usd,
    quantile_cont(valued.value, 0.95) as value_p95_usd,
    count(*) filter (where round(valued.value, 2) < 0) / count(*) as negative_share
from valued
inner join varied using (desk_id, product, channel)
inner join everyone using (desk_id)
cross join marts.limits as limits
group by valued.desk_id, valued.product, valued.channel
