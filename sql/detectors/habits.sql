-- Positions that tell how an account is traded: without those that are tiny beside its real size, or closed so soon that they
-- had no real chance, as they are opened to fill days. Grain: account_id, trade_id.
select
    positions.account_id,
    positions.instrument,
    positions.opened_at,
    positions.hold_s,
    positions.open_reason,
    positions.magic,
    positions.stop_loss,
    positions.take_profit,
    positions.size
from detectors.positions as positions
left join detectors.real_sizes as usual using (account_id)
where
    coalesce(positions.size >= getvariable('payout_gaming_filler_share') * usual.real_size, true)
    and (
        coalesce(positions.hold_s >= getvariable('payout_gaming_filler_s'), true)
        or coalesce(
            positions.size * sqrt(greatest(positions.hold_s, 1))
            >= getvariable('payout_gaming_filler_share') * usual.real_chance, true
        )
    )
