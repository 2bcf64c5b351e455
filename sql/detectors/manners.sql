-- Sums that tell an account's manner of trading: holding, hour of entry (as a place on the clock's face), robot.
-- Grain: account_id.
select
    account_id,
    count(*) as positions,
    count(hold_s) as held,
    sum(ln(greatest(hold_s, 1))) as log_hold,
    sum(ln(greatest(hold_s, 1)) * ln(greatest(hold_s, 1))) as log_hold_squared,
    sum(cos(radians(15 * (hour(opened_at) + minute(opened_at) / 60)))) as hour_x,
    sum(sin(radians(15 * (hour(opened_at) + minute(opened_at) / 60)))) as hour_y,
    count(coalesce(open_reason = 'expert', if(magic is null, null, true))) as robot_told,
    count(*) filter (where coalesce(open_reason = 'expert', magic is not null)) as by_robot,
    min(opened_at) as first_at,
    max(opened_at) as last_at
from detectors.positions
group by account_id
