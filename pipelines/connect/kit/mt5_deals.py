"""MT5 deals in the Manager model's field names, as the gateway and the reporting database give them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from pipelines.connect.kit.interface import Record
from pipelines.connect.kit.records import ZERO, amount, classified, decimal, level, written
from pipelines.sources.kit.statement import RowProblem

# EnDealReason of the Manager API; the terminal counts otherwise (there 4 is a stop loss, here a take profit).
REASONS = {0: "client", 1: "expert", 3: "sl", 4: "tp", 5: "so", 7: "client", 16: "mobile", 17: "web"}
_ENTRIES = {0: "in", 1: "out", 2: "inout", 3: "out_by"}
_SIDES = {0: "buy", 1: "sell"}
_CANCELED = {13: "buy", 14: "sell"}
STATE_RECORD = 255
_MONEY_TYPES = {
    2: "balance",
    3: "credit",
    4: "charge",
    5: "correction",
    6: "bonus",
    7: "commission",
    8: "commission",
    9: "commission",
    10: "agent",
    11: "agent",
    12: "interest",
    15: "dividend",
    16: "dividend",
    17: "tax",
    18: "agent",
    19: "so compensation",
    20: "credit",
}


def net(deal: Mapping[str, Any]) -> Decimal:
    """What a deal does to the balance: profit with its costs; credit moves no balance."""
    return ZERO if integer(deal, "Action") in (3, 20) else booked(deal)


def booked(deal: Mapping[str, Any]) -> Decimal:
    """Everything booked with a deal."""
    return sum((amount(deal.get(name), name) for name in ("Profit", "Storage", "Commission", "Fee")), ZERO)


def integer(deal: Mapping[str, Any], name: str) -> int:
    """A whole number of a deal; the Web API writes numbers as texts."""
    try:
        return int(deal[name])
    except (KeyError, TypeError, ValueError) as error:
        raise RowProblem(name, str(deal.get(name)), "not a whole number") from error


def deal_record(deal: Mapping[str, Any], account_id: str, at: dt.datetime) -> Record | None:
    """A deal of the feed, None for a record that tells a state and no deal."""
    action = integer(deal, "Action")
    if action in _SIDES:
        return _trade(deal, account_id, at)
    deal_id, comment = str(integer(deal, "Deal")), str(deal.get("Comment") or "")
    if action in _CANCELED:
        row = {"account_id": account_id, "deal_id": deal_id, "kind": "fee", "executed_at": at}
        return {**row, "profit": written(booked(deal)), "comment": f"canceled {_CANCELED[action]} {comment}".strip()}
    if action not in _MONEY_TYPES:
        raise RowProblem("Action", str(action), "not a deal type that is known")
    return classified(account_id, deal_id, at, booked(deal), _MONEY_TYPES[action], comment)


def _trade(deal: Mapping[str, Any], account_id: str, at: dt.datetime) -> Record | None:
    entry = integer(deal, "Entry")
    if entry == STATE_RECORD:
        return None
    if entry not in _ENTRIES:
        raise RowProblem("Entry", str(entry), "neither in, out, in/out nor out by")
    position, expert = integer(deal, "PositionID"), int(deal.get("ExpertID") or 0)
    return {
        "account_id": account_id,
        "deal_id": str(integer(deal, "Deal")),
        "position_id": str(position) if position else None,
        "kind": "trade",
        "entry": _ENTRIES[entry],
        "side": _SIDES[integer(deal, "Action")],
        "symbol": deal.get("Symbol") or None,
        "volume": written(lots(deal)),
        "price": written(decimal(deal.get("Price"), "Price")),
        "executed_at": at,
        "commission": written(amount(deal.get("Commission"), "Commission")),
        "swap": written(amount(deal.get("Storage"), "Storage")),
        "fee": written(amount(deal.get("Fee"), "Fee")),
        "profit": written(amount(deal.get("Profit"), "Profit")),
        "stop_loss": level(deal.get("PriceSL"), "PriceSL"),
        "take_profit": level(deal.get("PriceTP"), "PriceTP"),
        "reason": REASONS.get(int(deal.get("Reason") or 0), "other"),
        "magic": str(expert) if expert else None,
        "comment": deal.get("Comment") or None,
    }


def lots(deal: Mapping[str, Any]) -> Decimal:
    """Lots of a deal: VolumeExt counts 1/10^8 of a lot, Volume 1/10^4."""
    extended = amount(deal.get("VolumeExt"), "VolumeExt", 8)
    return extended or amount(deal.get("Volume"), "Volume", 4)
