-- Challenges of `detectors.purchases` by who owns them: one owner's are those of all his records. Grain: challenge_id.
select purchases.*, coalesce(owners.owner_id, purchases.trader_id) as owner
from detectors.purchases as purchases
left join decided.owners as owners using (trader_id)
