-- Buyers of a partner who never trade, come in bursts, share a device or dispute the fee. Grain: partner_id.
-- A buyer is given time before the lack of a trade counts.
select
    partner_id,
    count(*) as buyers,
    count(*) filter (
        where trades = 0 and date_diff('day', first_at, getvariable('as_of')) >= getvariable('fake_cluster_settle_days')
    ) as without_trade,
    count(*) filter (where nearest_sale_s <= getvariable('fake_cluster_burst_s')) as in_burst,
    count(*) filter (where shares_click_device) as on_shared_device,
    count(*) filter (where chargebacks > 0) as disputing,
    min(first_at) as first_at,
    max(last_at) as last_at
from detectors.partner_buyers
group by partner_id
