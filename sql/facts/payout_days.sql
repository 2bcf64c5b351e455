-- Firm days of each request's window (after the last payout, up to the request). Grain: payout_id, firm_day.
with windowed as (
    select
        windows.payout_id,
        bought.product,
        bought.product_version,
        deals.executed_at,
        deals.entry,
        deals.net
    from facts.payout_windows as windows
    inner join facts.accounts as bought using (account_id)
    inner join facts.payout_deals as deals
        on
            windows.account_id = deals.account_id
            and deals.executed_at <= windows.requested_at
            and (windows.last_paid_at is null or deals.executed_at > windows.last_paid_at)
    where deals.kind in ('trade', 'fee')
)

select
    windowed.payout_id,
    resets.firm_day,
    sum(windowed.net) as net,
    count(*) filter (where windowed.entry in ('in', 'inout')) as openings
from windowed
asof inner join terms.payout_resets as resets
    on
        windowed.product = resets.product
        and windowed.product_version = resets.product_version
        and windowed.executed_at >= resets.opened_at
group by windowed.payout_id, resets.firm_day
