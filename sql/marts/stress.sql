-- What more could be owed when winners ask for all or a market moves. Grain: scenario.
select scenario, instrument, amount_usd
from decided.liability_stress
