-- Transfers that pay commissions: to a partner's own destination, for no payout request, and to no trader's destination.
-- A destination is its partner's also after the partner gave another one, unless it has become somebody else's since.
-- Grain: settlement_id.
with told as (
    select
        before.payout_destination as destination,
        before.partner_id,
        before.payout_destination is not distinct from now.payout_destination as is_now
    from lake.partners as before
    inner join staging.partners as now using (partner_id)
    where before.payout_destination is not null and before.joined_at <= getvariable('as_of')
),

destinations as (
    select destination, coalesce(min(partner_id) filter (where is_now), min(partner_id)) as partner_id
    from told
    group by destination
    having
        count(distinct partner_id) filter (where is_now) = 1
        or (not bool_or(is_now) and count(distinct partner_id) = 1)
)

select
    settlements.settlement_id,
    destinations.partner_id,
    cast(settlements.amount as double) as amount,
    settlements.currency,
    settlements.settled_at
from staging.settlements as settlements
inner join destinations using (destination)
where
    settlements.payout_id is null
    and settlements.status = 'settled'
    and not exists (select 1 from staging.payouts as payouts where payouts.destination = settlements.destination)
