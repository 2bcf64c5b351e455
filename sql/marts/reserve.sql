-- Payouts to expect within the horizon and what they stay below, by desk and for the firm (`all`). Grain: desk_id.
select
    desk_id,
    accounts,
    unknown_accounts,
    horizon_days,
    expected_usd,
    median_usd,
    reserve_95_usd,
    reserve_99_usd,
    back_test_error,
    back_test_low,
    back_test_high
from decided.liability_totals
