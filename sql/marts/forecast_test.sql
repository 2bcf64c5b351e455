-- The payout forecast on days it had not seen: forecast and actual frequency by tenth of the forecast, the
-- frequency with its 95 % interval. Grain: tenth.
select tenth, chance, paid, paid_low, paid_high, accounts
from decided.liability_back_test
