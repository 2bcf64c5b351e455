-- Traders whom a partner is credited with, with what ties them to the partner and to each other. Grain: partner_id, trader_id.
with destinations as (
    select distinct accounts.trader_id, payouts.destination
    from staging.payouts as payouts
    inner join staging.accounts as accounts using (account_id)
    where payouts.destination is not null
),

instruments as (
    select distinct trader_id, instrument from staging.payments where instrument is not null
    union
    select distinct trader_id, instrument from staging.challenges where instrument is not null
),

-- a trader record that is the partner: same mailbox, or paid to the same place
partner_as_trader as (
    select partners.id as partner_id, traders.id as trader_id
    from detectors.mailboxes as partners
    inner join detectors.mailboxes as traders using (mailbox)
    where partners.kind = 'partner' and traders.kind = 'trader'
    union
    select partners.partner_id, destinations.trader_id
    from staging.partners as partners
    inner join destinations on partners.payout_destination = destinations.destination
),

own_cluster as (
    select distinct partner_as_trader.partner_id, members.trader_id
    from partner_as_trader
    inner join decided.owners as own on partner_as_trader.trader_id = own.trader_id
    inner join decided.owners as members on own.owner_id = members.owner_id
),

bought as (
    select
        credits.partner_id,
        challenges.trader_id,
        count(*) as purchases,
        count(challenges.coupon) as coupon_purchases,
        count(challenges.click_id) as clicked_purchases,
        min(challenges.purchased_at) as first_at,
        max(challenges.purchased_at) as last_at,
        min(clicks.device_id) as click_device,
        min(clicks.ip) as click_ip,
        min(date_diff('second', clicks.occurred_at, challenges.purchased_at)) as click_to_purchase_s
    from decided.credits as credits
    inner join staging.challenges as challenges using (challenge_id)
    left join staging.clicks as clicks on challenges.click_id = clicks.click_id
    group by credits.partner_id, challenges.trader_id
),

traded as (
    select accounts.trader_id, count(*) as trades
    from facts.trades as trades
    inner join staging.accounts as accounts using (account_id)
    group by accounts.trader_id
),

returned as (
    select trader_id, count(*) filter (where kind = 'chargeback') as chargebacks, count(*) as returns
    from staging.payments
    where kind in ('refund', 'chargeback') and amount <> 0
    group by trader_id
),

first_partner as (
    select coalesce(owners.owner_id, challenges.trader_id) as owner_id,
        first(credits.partner_id order by challenges.purchased_at, challenges.challenge_id) as partner_id
    from decided.credits as credits
    inner join staging.challenges as challenges using (challenge_id)
    left join decided.owners as owners on challenges.trader_id = owners.trader_id
    group by 1
)

select
    bought.*,
    coalesce(owners.owner_id, bought.trader_id) as owner_id,
    exists (
        select 1 from destinations
        where destinations.trader_id = bought.trader_id and destinations.destination = partners.payout_destination
    ) as same_destination,
    exists (
        select 1 from instruments
        where instruments.trader_id = bought.trader_id and instruments.instrument = partners.payout_destination
    ) as same_instrument,
    coalesce(theirs.mailbox = mine.mailbox, false) as same_mailbox,
    own_cluster.trader_id is not null as in_own_cluster,
    coalesce(lower(trim(partners.name)) = lower(trim(traders.full_name)), false) as same_name,
    count(*) over (partition by bought.partner_id, bought.click_device) > 1 and bought.click_device is not null
        as shares_click_device,
    coalesce(traded.trades, 0) as trades,
    coalesce(returned.chargebacks, 0) as chargebacks,
    coalesce(returned.returns, 0) as returns,
    least(
        date_diff('second', lag(bought.first_at) over by_time, bought.first_at),
        date_diff('second', bought.first_at, lead(bought.first_at) over by_time)
    ) as nearest_sale_s,
    first_partner.partner_id <> bought.partner_id as is_recycled,
    traders.country
from bought
inner join staging.partners as partners using (partner_id)
left join staging.traders as traders on bought.trader_id = traders.trader_id
left join decided.owners as owners on bought.trader_id = owners.trader_id
left join detectors.mailboxes as mine on mine.kind = 'partner' and mine.id = bought.partner_id
left join detectors.mailboxes as theirs on theirs.kind = 'trader' and theirs.id = bought.trader_id
left join own_cluster on bought.partner_id = own_cluster.partner_id and bought.trader_id = own_cluster.trader_id
left join traded on bought.trader_id = traded.trader_id
left join returned on bought.trader_id = returned.trader_id
left join first_partner on coalesce(owners.owner_id, bought.trader_id) = first_partner.owner_id
window by_time as (partition by bought.partner_id order by bought.first_at, bought.trader_id)
