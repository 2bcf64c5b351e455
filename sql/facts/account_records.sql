-- How many executions and observations there are of each account, known or not, and the newest of them. Grain: dataset,
-- account_id. Counted once for whoever asks: these two are nearly all that a lake holds.
select 'deals' as dataset, account_id, count(*) as records, max(executed_at) as newest_at
from staging.deals
group by account_id
union all
select 'equity', account_id, count(*), max(observed_at)
from staging.equity
group by account_id
