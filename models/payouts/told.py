"""The numbers of a check in words: what each is, with its unit."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from models.money import to_minor, written

NOT_KNOWN = "—"
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d\S*(Z|[+-]\d\d:\d\d)")
LABELS = {
    "allowed_pct": "Most allowed",
    "best": "Best day or trade",
    "buyers": "Paid for purchases of",
    "days": "Days",
    "deals": "Deals without their opening",
    "deposited": "Paid in besides",
    "freeze": "Freeze recommended",
    "fresh_days": "Must be newer than",
    "from_deals": "Deals add up to",
    "in_window": "Profit of the window",
    "of": "Of a profit of",
    "open": "Open positions",
    "amount_usd": "Amount in USD",
    "other_owners": "Other owners it was asked for by",
    "paid_before": "Payouts before",
    "partners": "Partners paid on it",
    "profit_needed": "Profit at which it would hold",
    "promised": "Other payouts will take",
    "read_as": "The amount is read as",
    "sent": "Sent",
    "settled_days": "Settled after",
    "share_pct": "Share",
    "split_parts": "Part by part",
    "split_pct": "The trader's share",
    "taken": "Taken from the account",
    "used_before": "Paid to before",
    "void_before": "Void since earlier payouts",
    "withdrawable": "Could be withdrawn",
}
MONEY = frozenset(
    (
        "allowed",
        "amount",
        "balance",
        "best",
        "charged_back",
        "deductions",
        "deposited",
        "due",
        "fee",
        "firm_share",
        "from_deals",
        "in_window",
        "initial_balance",
        "observed",
        "of",
        "profit",
        "profit_asked",
        "profit_needed",
        "promised",
        "scaled_to",
        "sent",
        "taken",
        "total",
        "trader_share",
        "void_before",
        "withdrawable",
    )
)
OWN = {
    ("minimum", "needed"): "money",
    ("waiting_time", "days"): "days",
    ("waiting_time", "needed"): "days",
    ("duplicate", "days"): "days",
    ("other_request", "days"): "days",
    ("identity", "fresh_days"): "days",
    ("payee", "settled_days"): "days",
}
"""Units of numbers whose names mean something else in other checks."""


def numbers(check: Mapping[str, Any], currency: str) -> dict[str, str]:
    """What each number of a check is, and the number with its unit; money in the account's currency, times in UTC."""
    held: Mapping[str, Any] = check.get("numbers") or {}
    return {
        label(name): _said(name, value, _unit(str(check.get("check")), name, currency)) for name, value in held.items()
    }


def label(name: str) -> str:
    """What a number is, as a person says it."""
    text = LABELS.get(name) or name.replace("_", " ")
    return text[:1].upper() + text[1:]


def _unit(check: str, name: str, currency: str) -> Callable[[Any], str]:
    """How a number of a check is written."""
    kind = OWN.get((check, name))
    if kind == "days":
        return _days
    if kind == "money" or name in MONEY:
        return lambda value: _money(value, currency)
    if name.endswith("_pct"):
        return lambda value: f"{_trimmed(value)} %"
    if name.endswith("_usd"):
        return lambda value: _money(value, "USD")
    if name == "strength":
        return lambda value: f"{100 * float(value):.0f} % likely"
    return plain


def _said(name: str, value: Any, unit: Callable[[Any], str]) -> str:
    if value is None or value in ("", [], {}):
        return NOT_KNOWN if value is None else "none"
    if isinstance(value, list):
        return "; ".join(_said(name, one, unit) for one in value)
    if isinstance(value, dict):
        parts = [
            label(key).lower() if one is True else _part(key, one) for key, one in value.items() if one is not False
        ]
        return ", ".join(parts)
    try:
        return unit(value)
    except (ArithmeticError, ValueError):
        return plain(value)


def _part(name: str, value: Any) -> str:
    """A part of a record: names of things in words, numbers with their unit."""
    if name in ("detector", "rule", "state"):
        return str(value).replace("_", " ")
    if name == "from":
        return f"from {plain(value)}"
    return _said(name, value, _unit("", name, ""))


def _money(value: Any, currency: str) -> str:
    return f"{written(to_minor(Decimal(str(value)), currency), currency)} {currency}".strip()


def _days(value: Any) -> str:
    text = _trimmed(value)
    return f"{text} day" if text == "1" else f"{text} days"


def _trimmed(value: Any) -> str:
    """A number to at most two decimals, without zeros at its end."""
    return f"{round(Decimal(str(value)), 2).normalize():,f}"


def plain(value: Any) -> str:
    """A value that has no unit: yes or no, an instant with its zone, a number with thousands, a text."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return f"{value:,.10g}"
    text = str(value)
    if INSTANT.fullmatch(text):
        return f"{dt.datetime.fromisoformat(text).astimezone(dt.UTC):%d %b %Y %H:%M} UTC"
    return text
