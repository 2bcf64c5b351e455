"""The fields of a rule in plain words: what each means, and its value with its unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from models.clock import place
from models.rule_words import number
from models.rules import RULES, Field

_CHOICES = {
    "balance": "the balance",
    "equity": "the equity",
    "max": "the higher of balance and equity",
    "intraday_high": "the highest equity of the day",
    "ratchet": "the highest end-of-day value so far",
    "initial": "the initial balance",
    "reference": "that value itself",
    "high_water": "the high water itself",
    "profit": "the profit at the daily reset",
    "fixed": "nothing, it is an amount",
    "lt": "below it",
    "lte": "at it too",
    "static": "never, it stays",
    "trailing_equity": "with the highest equity, open profit included",
    "trailing_closed": "with the highest balance",
    "trailing_eod": "with the highest end-of-day balance",
    "terminate": "the account ends",
    "pause": "paused until the next daily reset",
    "strip": "the profit of these trades is not counted",
    "split_cut": "the trader's share is cut",
    "wait": "a payout or the next stage waits",
    "warn": "a warning",
    "none": "nothing moves",
    "to_balance": "the high water is the balance then left",
    "floor_at": "the floor is set and stays",
    "closed": "closed profit",
    "opened": "an opening deal",
    "opened_and_closed": "a position opened and closed",
    "qualifying": "a qualifying position closed",
    "positive": "the positive ones only",
    "net": "the net profit",
    "target": "the profit target",
    "open": "opening",
    "close": "closing",
    "both": "opening and closing",
    "account": "the account",
    "symbol": "each instrument",
    "first_trade": "the first trade",
    "challenge_only": "between challenges only",
}
"""Words of fields that one has to choose among; one that is not here is told as it is written."""
_STARTS = {"opened": "the account's opening", "first_trade": "the first trade"}
_UNITS = {"days": "days", "lots": "lots", "months": "months", "losses": "losses", "layers": "positions"}
_COUNTED = {
    "strikes": "times",
    "trades_per_day": "trades",
    "min_trades": "trades",
    "max_addresses": "addresses",
    "max_owners": "people",
    "accounts": "accounts",
    "max_payouts": "payouts",
    "min_payouts": "payouts",
    "multiple": "times",
    "low": "times",
    "high": "times",
}


def field_words(rule: str, terms: Mapping[str, Any], currency: str | None = None) -> list[tuple[str, str]]:
    """Each field of a rule that says something: what it means, and its value in words with its unit."""
    told = []
    for field in RULES[rule].fields:
        value = terms.get(field.name)
        if value is None or value == [] or value == () or (value is False and field.default is False):
            continue
        told.append((field.meaning, _value(rule, field, value, currency)))
    return told


def _value(rule: str, field: Field, value: Any, currency: str | None) -> str:
    if field.kind == "flag":
        return "yes" if str(value).lower() == "true" else "no"
    if field.kind == "choice":
        starts = rule if field.name in ("starts", "cycle_start") else None
        return _STARTS[value] if starts else _CHOICES.get(value, str(value).replace("_", " "))
    if field.kind == "groups":
        return "; ".join(" with ".join(group) for group in value)
    if field.kind in ("percents", "texts", "table") and isinstance(value, Sequence) and not isinstance(value, str):
        return (
            ", then ".join(_row(field, one, currency) for one in value) if field.kind != "texts" else ", ".join(value)
        )
    if field.kind == "text" and field.name == "zone":
        return place(str(value))
    return _quantity(field, value, currency)


def _row(field: Field, row: Any, currency: str | None) -> str:
    """One step of a ladder: its members in words, those that say from where on last."""
    if not isinstance(row, Mapping):
        return f"{number(Decimal(str(row)))} %"
    parts = [_member(name, value, currency) for name, value in row.items() if value is not None]
    return " ".join(sorted(parts, key=lambda part: part.startswith(("from", "after"))))


def _member(name: str, value: Any, currency: str | None) -> str:
    if name == "symbol":
        return str(value)
    if name == "symbols":
        return ", ".join(value)
    amount = number(Decimal(str(value)))
    money = f"{amount} {currency}" if currency else amount
    return {
        "percent": f"{amount} %",
        "lots": f"{amount} lots",
        "amount": money,
        "balance": f"from a balance of {money}",
        "above": f"above {money}",
        "leverage": f"at a leverage of {amount}",
        "after_payouts": f"after {amount} payouts",
    }.get(name, f"{name.replace('_', ' ')} {amount}")


def _quantity(field: Field, value: Any, currency: str | None) -> str:
    if field.kind not in ("percent", "amount", "seconds", "count", "number"):
        return str(value)
    amount = number(Decimal(str(value)))
    if field.kind == "percent":
        return f"{amount} %"
    if field.kind == "amount":
        return f"{amount} {currency}" if currency else amount
    if field.kind == "seconds":
        return _seconds(int(value))
    unit = _COUNTED.get(field.name) or next((word for end, word in _UNITS.items() if field.name.endswith(end)), "")
    return f"{amount} {unit}".rstrip()


def _seconds(value: int) -> str:
    """A length of time in the largest unit that it is whole in."""
    for size, name in ((3600, "h"), (60, "min")):
        if value >= size and value % size == 0:
            return f"{value // size:,} {name}"
    return f"{value:,} s"
