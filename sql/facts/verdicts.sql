-- What each verdict says in words, read once from its evidence for all that show it. Grain: one verdict.
select account_id, outcome, rule, happened_at, evidence ->> 'sentence' as sentence
from decided.verdicts
