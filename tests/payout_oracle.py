"""What a trader is due, again and slowly, from what firms publish: who gets each single cent, and who may claim."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

Terms = Mapping[str, Any]


@dataclass(frozen=True)
class Ended:
    """An account that a rule ended, what its trades made since the last payout, and when its profit is asked for."""

    rule: str | None
    ended_at: dt.datetime
    asked_at: dt.datetime
    initial: Decimal
    trades: Sequence[tuple[bool, Decimal]] = ()
    """Whether each had a stop, and its net result."""


def share_of_cent(split: Terms, cent: int, payouts_before: int, drawn_before: int) -> Decimal:
    """The percentage at which one cent of a payout is shared, the first of it being number 0.

    A tier holds from a payout on, after a profit drawn over all payouts, or above an amount of this payout; of several
    that hold the one that begins last.
    """
    reached = [
        (since, Decimal(str(tier["percent"])))
        for tier in split["tiers"] or []
        for kind, since in tier.items()
        if (kind == "after_payouts" and payouts_before >= since)
        or (kind == "after_profit" and drawn_before + cent >= 100 * since)
        or (kind == "above" and cent >= 100 * since)
    ]
    return max(reached)[1] if reached else Decimal(split["percent"])


def due(split: Terms, profit: int, payouts_before: int, drawn_before: int) -> int:
    """The trader's cents of a payout."""
    parts = sum((share_of_cent(split, cent, payouts_before, drawn_before) for cent in range(profit)), Decimal(0))
    return int((parts / 100).quantize(Decimal(1), ROUND_HALF_UP))


def claim(terms: Terms, ended: Ended) -> tuple[bool, bool]:
    """Whether a request is a claim after its account's end, and whether what is asked of a claim holds."""
    rule = terms.get("claim")
    if rule is None or ended.rule not in rule["rules"] or ended.asked_at < ended.ended_at:
        return False, False
    in_time = rule["within_days"] is None or ended.asked_at - ended.ended_at <= dt.timedelta(days=rule["within_days"])
    stopped = not rule["stop_loss"] or all(had for had, _ in ended.trades)
    most = rule["max_trade_loss_percent"]
    small = most is None or all(-net * 100 <= ended.initial * Decimal(most) for _, net in ended.trades)
    return True, in_time and stopped and small
