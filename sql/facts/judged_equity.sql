-- Observations of the accounts to be walked (`decided.walked`), of those that go on from a checkpoint only what came
-- after it (see `facts.judged_deals`). Grain: account, observed_at.
select walked.account, equity.observed_at, equity.equity, equity._load_id, equity._line
from staging.equity as equity
inner join decided.walked as walked using (account_id)
where
    equity.observed_at > coalesce(getvariable('walked_after'), timestamptz '-infinity')
    and equity.observed_at > coalesce(walked.since, timestamptz '-infinity')
