-- How the profit of each account is shared as of the run. Grain: account_id.
select *
from facts.splits
qualify row_number() over (partition by account_id order by since desc) = 1
