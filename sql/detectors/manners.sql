-- Sums that tell an account's manner of trading, without fillers: holding, hour of entry (as a place on the clock's face),
-- robot, stops and targets told, how sizes vary. Grain: account_id.
select
    account_id,
    count(*) as positions,
    count(distinct cast(opened_at as date)) as days,
    count(hold_s) as held,
    sum(ln(greatest(hold_s, 1))) as log_hold,
    sum(ln(greatest(hold_s, 1)) * ln(greatest(hold_s, 1))) as log_hold_squared,
    sum(cos(radians(15 * (hour(opened_at) + minute(opened_at) / 60)))) as hour_x,
    sum(sin(radians(15 * (hour(opened_at) + minute(opened_at) / 60)))) as hour_y,
    count(coalesce(open_reason = 'expert', if(magic is null, null, true))) as robot_told,
    count(*) filter (where coalesce(open_reason = 'expert', magic is not null)) as by_robot,
    count(distinct magic) as robots,
    min(magic) as robot,
    count(stop_loss) as with_stop,
    count(take_profit) as with_target,
    count(*) filter (where size > 0) as sized,
    sum(ln(size)) filter (where size > 0) as log_size,
    sum(ln(size) * ln(size)) filter (where size > 0) as log_size_squared,
    min(opened_at) as first_at,
    max(opened_at) as last_at
from detectors.habits
group by account_id
