-- Share of challenges that have reached a milestone by an age, young ones censored. Grain: desk_id, product, cohort_month
-- (`all` for every month), milestone, day.
select
    desk_id,
    product,
    cohort_month,
    milestone,
    day,
    at_risk,
    events,
    reached,
    1 - high as reached_low,
    1 - low as reached_high
from decided.survival_curves
