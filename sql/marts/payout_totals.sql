-- Requests that wait, in count and amount. Grain: desk_id, currency.
select
    desk_id,
    currency,
    count(*) as waiting,
    count(*) filter (where overdue) as overdue,
    sum(amount) as amount,
    any_value(payout_hours) as payout_hours
from marts.payout_queue
where waits
group by desk_id, currency
