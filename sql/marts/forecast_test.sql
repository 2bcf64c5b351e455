-- The payout forecast on days it had not seen: forecast and actual frequency by tenth of the forecast. Grain: tenth.
select tenth, chance, paid, accounts
from decided.liability_back_test
