-- How many positions that tell its habits an account had in each instrument. Grain: account_id, instrument.
select account_id, instrument, count(*) as positions
from detectors.habits
group by account_id, instrument
