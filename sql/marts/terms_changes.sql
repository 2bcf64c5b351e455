-- What a new version of a product's terms changed, by milestone: purchases shortly before and after it, read at one age.
-- Grain: product, product_version, milestone.
select
    product,
    product_version,
    effective_from,
    milestone,
    horizon_days,
    before_challenges,
    before_reached,
    before_low,
    before_high,
    after_challenges,
    after_reached,
    after_low,
    after_high,
    change,
    low as change_low,
    high as change_high
from decided.terms_changes
