-- Transfers that paid commissions. Grain: settlement_id.
select settlement_id, partner_id, amount, currency, settled_at
from facts.partner_transfers
