-- Transfers that pay commissions: to a partner's own destination, for no payout request, and to no trader's destination.
-- Grain: settlement_id.
with destinations as (
    select payout_destination as destination, min(partner_id) as partner_id
    from staging.partners
    where payout_destination is not null
    group by payout_destination
    having count(*) = 1
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
