-- What each partner brought and what it cost, in US dollars. Grain: partner_id.
-- The interval of the net contribution is that of a sum of independent buyers (95 %); unknown below two buyers.
with movements as (
    select
        challenges.partner_id,
        challenges.trader_id,
        sum(money.fee * rates.rate_to_usd) as fees,
        coalesce(sum(money.payout * rates.rate_to_usd), 0) as payouts,
        count(*) filter (where money.kind = 'refund') as refunds,
        count(*) filter (where money.kind = 'chargeback') as chargebacks
    from marts.challenge_money as money
    inner join staging.challenges as challenges using (challenge_id)
    left join marts.usd_rates as rates on money.currency = rates.currency
    where challenges.partner_id is not null
    group by challenges.partner_id, challenges.trader_id
),

buyers as (
    select
        partner_id,
        count(*) as traders,
        sum(fees) as fees,
        sum(payouts) as payouts,
        sum(fees - payouts) as net,
        1.96 * stddev_samp(fees - payouts) * sqrt(count(*)) as net_margin,
        sum(refunds) as refunds,
        sum(chargebacks) as chargebacks,
        count(*) filter (where chargebacks > 0) as traders_charging_back
    from movements
    group by partner_id
),

sold as (
    select
        challenges.partner_id,
        count(distinct challenges.challenge_id) as challenges,
        count(distinct challenges.challenge_id) filter (where accounts.stage = 'funded') as funded
    from staging.challenges as challenges
    left join staging.accounts as accounts using (challenge_id)
    where challenges.partner_id is not null
    group by challenges.partner_id
),

visits as (
    select partner_id, count(*) as clicks from staging.clicks group by partner_id
)

select
    partners.partner_id,
    partners.name,
    partners.parent_partner_id,
    partners.plan,
    partners.joined_at,
    coalesce(visits.clicks, 0) as clicks,
    coalesce(buyers.traders, 0) as traders,
    coalesce(sold.challenges, 0) as challenges,
    coalesce(sold.funded, 0) as funded,
    buyers.fees as fees_usd,
    buyers.payouts as payouts_usd,
    buyers.net as net_usd,
    buyers.net - buyers.net_margin as net_low_usd,
    buyers.net + buyers.net_margin as net_high_usd,
    cast(coalesce(buyers.refunds, 0) as bigint) as refunds,
    cast(coalesce(buyers.chargebacks, 0) as bigint) as chargebacks,
    cast(coalesce(buyers.traders_charging_back, 0) as bigint) as traders_charging_back
from staging.partners as partners
left join visits using (partner_id)
left join buyers using (partner_id)
left join sold using (partner_id)
