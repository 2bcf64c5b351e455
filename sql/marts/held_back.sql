-- What attribution and commissions held, refused or could not know in the run, a sentence each. Grain: place.
select place, told from decided.held_back
