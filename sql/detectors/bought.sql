-- Challenges of `detectors.purchases` by who owns them: one owner's are all records that are his but for certain. Grain: challenge_id.
select purchases.*, coalesce(owners.owner_id_strict, purchases.trader_id) as owner
from detectors.purchases as purchases
left join decided.owners as owners using (trader_id)
