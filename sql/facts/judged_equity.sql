-- Observations of the accounts to be walked (`decided.walked`). Grain: account, observed_at.
select walked.account, equity.observed_at, equity.equity, equity._load_id, equity._line
from staging.equity as equity
inner join decided.walked as walked using (account_id)
