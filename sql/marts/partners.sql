-- What each partner brought and what it cost, in US dollars, by the shares in which purchases are credited. Grain: desk_id,
-- partner_id: `all` for the firm, and a row for each desk at which the partner sold or earned; clicks belong to no desk.
-- Parent and plan are those in force at the run, moves that people decided among them.
-- Fees and payouts in the desk's currency at the rate of their day, turned into dollars at the newest rate.
-- The interval of the net contribution is that of a sum of independent people (95 %), who may have several registrations;
-- they vary as they do together with some of all the firm's or the desk's; unknown below two people. The abuse rate is the
-- share of buyers with a flag (inactivity is no abuse) on them or on an account of theirs, with the Wilson interval of so
-- many people alike, beside the rate of all buyers of the firm or the desk. Who brought nobody brought no money; where no fee of
-- the buyers is known, what they brought is unknown; where some are not, these are left out and what was paid out is not.
-- A share of fees is one of all the firm's or the desk's, who came without a partner too, and unknown where returns leave none.
with credited as (
    select
        unnest(['all', challenges.desk_id]) as desk_id,
        credits.partner_id,
        credits.share,
        challenges.challenge_id,
        challenges.trader_id,
        challenges.person,
        challenges.desk_id as sold_at,
        challenges.funded_days is not null or challenges.instant_days is not null as is_funded,
        challenges.fees,
        challenges.payouts
    from decided.credits as credits
    inner join marts.cohort_challenges as challenges using (challenge_id)
),

returned as (
    select
        challenge_id,
        count(*) filter (where kind = 'refund') as refunds,
        count(*) filter (where kind = 'chargeback') as chargebacks
    from marts.challenge_money
    where kind in ('refund', 'chargeback')
    group by challenge_id
),

movements as (
    select
        credited.desk_id,
        credited.partner_id,
        credited.trader_id,
        any_value(credited.person) as person,
        count(*) as challenges,
        count(*) filter (where credited.is_funded) as funded,
        sum(credited.share * credited.fees * rates.rate_to_usd) as fees,
        coalesce(sum(credited.share * credited.payouts * rates.rate_to_usd), 0) as payouts,
        sum(returned.refunds) as refunds,
        sum(returned.chargebacks) as chargebacks
    from credited
    left join returned using (challenge_id)
    left join staging.desks as desks on credited.sold_at = desks.desk_id
    left join marts.usd_rates as rates on desks.currency = rates.currency
    group by credited.desk_id, credited.partner_id, credited.trader_id
),

buyers as (
    select
        desk_id,
        partner_id,
        count(*) as traders,
        sum(fees) as fees,
        sum(payouts) as payouts,
        sum(fees) - sum(payouts) as net,
        sum(challenges) as challenges,
        sum(funded) as funded,
        sum(refunds) as refunds,
        sum(chargebacks) as chargebacks,
        count(*) filter (where chargebacks > 0) as traders_charging_back,
        case when sum(fees) > 0 then list_sum(max(fees, 10)) / sum(fees) end as top_ten_share
    from movements
    group by desk_id, partner_id
),

people as (
    select desk_id, partner_id, count(*) as people, var_samp(net) as variance
    from (
        select desk_id, partner_id, sum(fees) - sum(payouts) as net
        from movements
        group by desk_id, partner_id, person
    )
    group by desk_id, partner_id
),

everyone as (
    select desk_id, var_samp(net) as variance, sum(fees) as fees
    from (
        select
            unnest(['all', challenges.desk_id]) as desk_id,
            challenges.person,
            sum(challenges.fees * rates.rate_to_usd) as fees,
            sum((challenges.fees - challenges.payouts) * rates.rate_to_usd) as net
        from marts.cohort_challenges as challenges
        left join staging.desks as desks on challenges.desk_id = desks.desk_id
        left join marts.usd_rates as rates on desks.currency = rates.currency
        group by 1, 2
    )
    group by desk_id
),

spreads as (
    select
        people.desk_id,
        people.partner_id,
        sqrt(
            people.people * variance_with(people.variance, people.people, everyone.variance, limits.usual_buyers)
        ) as net_spread
    from people
    inner join everyone using (desk_id)
    cross join marts.limits as limits
),

flagged as (
    select distinct coalesce(accounts.trader_id, signals.subject_id) as trader_id
    from decided.signals as signals
    cross join marts.limits as limits
    left join staging.accounts as accounts on signals.subject_kind = 'account' and signals.subject_id = accounts.account_id
    where
        signals.strength >= limits.flag_strength
        and signals.subject_kind in ('account', 'trader')
        and signals.detector <> 'inactivity'
),

baseline as (
    select everyone.desk_id, count(flagged.trader_id) / count(*) as rate
    from (select distinct unnest(['all', desk_id]) as desk_id, trader_id from staging.challenges) as everyone
    left join flagged using (trader_id)
    group by everyone.desk_id
),

-- a person's registrations may all be flagged together, so they count as that many people alike weigh (Kish)
rates as (
    select
        desk_id,
        partner_id,
        sum(buyers) ^ 2 / sum(buyers ^ 2) as people,
        cast(sum(flagged) as bigint) as flagged,
        sum(flagged) / sum(buyers) as rate
    from (
        select
            brought.desk_id,
            brought.partner_id,
            count(*) as buyers,
            count(flagged.trader_id) as flagged
        from movements as brought
        left join flagged using (trader_id)
        group by brought.desk_id, brought.partner_id, brought.person
    )
    group by desk_id, partner_id
),

intervals as (
    select
        rates.*,
        (rate + quantile ^ 2 / (2 * people)) / (1 + quantile ^ 2 / people) as middle,
        quantile * sqrt(rate * (1 - rate) / people + quantile ^ 2 / (4 * people ^ 2)) / (1 + quantile ^ 2 / people) as margin
    from rates
    cross join marts.limits
),

visits as (
    select 'all' as desk_id, partner_id, count(*) as clicks from staging.clicks group by partner_id
),

-- commissions of their own sales and of those below
owed as (
    select
        entries.desk_id,
        entries.partner_id,
        sum(entries.amount * rates.rate_to_usd) as earned,
        sum(entries.amount * rates.rate_to_usd) filter (where entries.state = 'accrued') as accrued,
        sum(entries.amount * rates.rate_to_usd) filter (where entries.state = 'held') as held,
        sum(entries.amount * rates.rate_to_usd) filter (where entries.state = 'payable') as payable,
        sum(entries.amount * rates.rate_to_usd) filter (where entries.state = 'paid') as paid,
        -sum(entries.amount * rates.rate_to_usd) filter (where entries.event in ('refund', 'chargeback')) as taken_back,
        count(*) filter (where rates.rate_to_usd is null) as without_rate
    from (select * replace (unnest(['all', desk_id]) as desk_id) from marts.commission_entries) as entries
    left join marts.usd_rates as rates using (currency)
    group by entries.desk_id, entries.partner_id
),

places as (
    select 'all' as desk_id, partner_id from staging.partners
    union
    select desk_id, partner_id from buyers
    union
    select desk_id, partner_id from owed where desk_id is not null
)

select
    places.desk_id,
    partners.partner_id,
    partners.name,
    stands.parent_partner_id,
    stands.plan,
    partners.joined_at,
    case when places.desk_id = 'all' then coalesce(visits.clicks, 0) end as clicks,
    coalesce(buyers.traders, 0) as traders,
    cast(coalesce(buyers.challenges, 0) as bigint) as challenges,
    cast(coalesce(buyers.funded, 0) as bigint) as funded,
    if(buyers.partner_id is null, 0, buyers.fees) as fees_usd,
    if(buyers.partner_id is null, 0, buyers.payouts) as payouts_usd,
    if(buyers.partner_id is null, 0, buyers.net) as net_usd,
    case when everyone.fees > 0 then buyers.fees / everyone.fees end as fees_share,
    buyers.top_ten_share,
    buyers.net - limits.quantile * spreads.net_spread as net_low_usd,
    buyers.net + limits.quantile * spreads.net_spread as net_high_usd,
    cast(coalesce(buyers.refunds, 0) as bigint) as refunds,
    cast(coalesce(buyers.chargebacks, 0) as bigint) as chargebacks,
    cast(coalesce(buyers.traders_charging_back, 0) as bigint) as traders_charging_back,
    coalesce(intervals.flagged, 0) as flagged,
    intervals.rate as abuse_rate,
    greatest(intervals.middle - intervals.margin, 0) as abuse_low,
    least(intervals.middle + intervals.margin, 1) as abuse_high,
    baseline.rate as abuse_baseline,
    coalesce(owed.earned, 0) as commission_usd,
    coalesce(owed.accrued, 0) as accrued_usd,
    coalesce(owed.held, 0) as held_usd,
    coalesce(owed.payable, 0) as payable_usd,
    coalesce(owed.paid, 0) as commission_paid_usd,
    coalesce(owed.taken_back, 0) as taken_back_usd,
    coalesce(owed.without_rate, 0) as commissions_without_rate,
    net_usd - coalesce(owed.earned, 0) as contribution_usd
from places
inner join staging.partners as partners using (partner_id)
left join decided.partner_places as stands using (partner_id)
cross join marts.limits as limits
left join baseline using (desk_id)
left join everyone using (desk_id)
left join intervals using (desk_id, partner_id)
left join visits using (desk_id, partner_id)
left join buyers using (desk_id, partner_id)
left join spreads using (desk_id, partner_id)
left join owed using (desk_id, partner_id)
