-- How many positions an account had in each instrument. Grain: account_id, instrument.
select account_id, instrument, count(*) as positions
from detectors.positions
group by account_id, instrument
