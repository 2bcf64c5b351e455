"""Values in words: money with its currency, instants in a zone, shares, ages and the names of things."""

from __future__ import annotations

import datetime as dt
import html
import json
import math
import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from models.money import decimals
from sql.one_line import one_line

UNKNOWN = "—"
UNSAID = "not enough to say"
"""The reason of a score by which it tells what there was too little of (`models.risk_score`)."""
STATES = {
    "breached": ("✕", "Breached"),
    "near": ("▲", "Near floor"),
    "fine": ("●", "Fine"),
    "ended": ("○", "Ended"),
    "unknown": ("?", "Unknown"),
}
STAGES = {
    "purchase": "Purchased",
    "evaluation_1": "Evaluation 1",
    "evaluation_2": "Evaluation 2",
    "evaluation_3": "Evaluation 3",
    "passed": "Passed all",
    "funded": "Funded",
    "instant": "Instant",
    "payout": "Paid out",
}
OUTCOMES = {"breached": "✕ Breached", "passed": "✓ Passed", "warned": "▲ Warned"}
TRANSFERS = {
    "waiting": "◷ Waiting",
    "sent": "→ Sent",
    "settled": "✓ Settled",
    "returned": "↩ Returned",
    "failed": "✕ Failed",
    "over": "○ Refused",
}
RECOMMENDATIONS = {"approve": "✓ Approve", "deduct": "− Deduct", "review": "? Review", "reject": "✕ Reject"}
DETECTORS = {
    "all_in": "All-in trading",
    "kyc_mismatch": "Identity mismatch",
    "chargeback_abuse": "Chargebacks",
    "copy": "Copies another account",
    "mirror": "Mirrors another account",
    "own copy": "Copies an own account",
    "own mirror": "Mirrors an own account",
    "owner's other accounts": "Owner's other accounts",
    "several records of one owner": "Several registrations",
    "grid": "Grid trading",
}
EFFECTS = {
    "terminate": "the account ends",
    "pause": "paused until the next day",
    "pass": "the stage is passed",
    "warn": "a warning",
    "strip": "the profit is taken out",
    "split_cut": "a smaller share",
    "wait": "the payout waits",
}
RULES = {
    "max_loss": "Maximum loss",
    "max_lots": "Maximum lots",
    "max_exposure": "Maximum exposure",
    "min_trading_days": "Minimum trading days",
    "min_profitable_days": "Minimum profitable days",
    "login_country": "Log-in country",
    "login_address": "Log-in address",
}
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d\S*(Z|[+-]\d\d:\d\d)")
CHECKS = {"passed": "✓", "failed": "✕", "not_applicable": "·", "unknown": "?"}


def missing(value: Any) -> bool:
    """Whether a value is not there: None, NaN or NaT."""
    return value is None or value != value


def money(value: Any, currency: str | None = None, *, signed: bool = False) -> str:
    """An amount with thousands, the currency's decimals and its code; a dash when it is not known."""
    if missing(value):
        return UNKNOWN
    places = decimals(currency) if currency else 2
    sign = "+" if signed and value > 0 else ""
    return f"{sign}{value:,.{places}f} {currency or ''}".strip().replace("-", "−")


def column(currency: str | None) -> str:
    """The format of a table's column of amounts in one currency."""
    return f"%,.{decimals(currency) if currency else 2}f"


def whole(value: Any) -> str:
    """An amount without its minor units, where only the size matters."""
    return UNKNOWN if missing(value) else f"{round(value):,}".replace("-", "−")


def number(value: Any, places: int = 0) -> str:
    """A count or quantity with thousands."""
    return UNKNOWN if missing(value) else f"{value:,.{places}f}".replace("-", "−")


def counted(count: Any, name: str, many: str | None = None) -> str:
    """A count with its noun: 1 trader, 2 traders; `many` where an s does not do."""
    return f"{number(count)} {name if count == 1 else many or name + 's'}"


PERCENT = "%.1f %%"
"""How a table's column tells percentages."""


def share(value: Any, places: int = 0) -> str:
    """A share (1 = all) as a percentage."""
    return UNKNOWN if missing(value) else f"{100 * float(value):,.{places}f} %".replace("-", "−")


def age(hours: Any) -> str:
    """A span of hours in the two largest units that say something."""
    if missing(hours):
        return UNKNOWN
    minutes = round(float(hours) * 60)
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes // 1440} d {minutes % 1440 // 60} h"


DAY, MINUTE, SECOND = "DD MMM YYYY", "DD MMM YY HH:mm", "DD MMM YY HH:mm:ss"
"""How tables write days and instants."""


def instant(at: dt.datetime | None, zone: str = "UTC", *, seconds: bool = False) -> str:
    """An instant in a zone, the zone shown."""
    if missing(at):
        return UNKNOWN
    assert at is not None
    local = at.astimezone(ZoneInfo(zone))
    return f"{local:%d %b %Y %H:%M:%S %Z}" if seconds else f"{local:%d %b %Y %H:%M %Z}"


def instant_html(at: dt.datetime | None, zone: str = "UTC", *, seconds: bool = False) -> str:
    """An instant in a zone that tells UTC on hover."""
    if missing(at):
        return UNKNOWN
    assert at is not None
    utc = at.astimezone(dt.UTC)
    return f'<time title="{utc:%Y-%m-%d %H:%M:%S.%f} UTC">{instant(at, zone, seconds=seconds)}</time>'


def stage(name: str | None) -> str:
    """A stage's name."""
    return UNKNOWN if missing(name) else STAGES.get(str(name), plain(name))


def state(name: str | None, status: str | None = None) -> str:
    """A state as icon and word, so that it is never told by colour alone; a pause is named as such."""
    if status == "paused":
        return "■ Paused"
    icon, word = STATES.get(str(name), STATES["unknown"])
    return f"{icon} {word}"


def named(name: Any) -> str:
    """As `plain`; nothing where there is no name."""
    return "" if missing(name) else plain(name)


def plain(name: Any) -> str:
    """A snake_case name as a person writes it."""
    text = str(name).replace("_", " ")
    return text[:1].upper() + text[1:]


def titles(names: Iterable[Any]) -> dict[str, Any]:
    """The columns of a table under their names as a person writes them."""
    return {str(name): plain(name) for name in names}


def identity(status: Any) -> str:
    """Where the check of a trader's identity stands."""
    return "Not begun" if status == "none" else plain(status or "unknown")


def rule(name: Any) -> str:
    """A rule's name."""
    return RULES.get(str(name), plain(name))


def effect(name: Any) -> str:
    """What follows from a verdict."""
    return EFFECTS.get(str(name), plain(name).lower())


_MARKS = re.compile(r"([\\`*_\[\]<>$:~#!|])")
_PICTURES = re.compile(r"([\[\]<`$])")


def marked(text: Any) -> str:
    """Text of others within Markdown, in one line: no picture, link, colour or emphasis of theirs is drawn."""
    return UNKNOWN if missing(text) else _MARKS.sub(r"\\\1", one_line(str(text)))


def unlinked(text: str) -> str:
    """Markdown of ours that holds texts of others and needs no pictures and links: none is drawn."""
    return _PICTURES.sub(r"\\\1", one_line(text))


def escaped(text: Any) -> str:
    """Text that may stand in HTML."""
    return UNKNOWN if missing(text) else html.escape(str(text))


def parsed(text: Any) -> Any:
    """The value of a JSON column; None when it is empty or broken."""
    try:
        return None if missing(text) else json.loads(text)
    except (TypeError, ValueError):
        return None


def scored(text: Any) -> list[tuple[str, float, str]]:
    """What a score is made of, most first: its name in words, the points it adds and its sentence."""
    listed = [one for one in parsed(text) or [] if isinstance(one, dict)]
    told = [
        (detector(one.get("reason") or one.get("name")), float(one.get("points") or 0), str(one.get("sentence") or ""))
        for one in listed
    ]
    return sorted((one for one in told if one[1] > 0), key=lambda one: -one[1])


def reasons(text: Any, band: Any, most: int = 3) -> str:
    """The strongest reasons of a score in words, and that there was too little to look at."""
    return ", ".join([*(name for name, _, _ in scored(text)[:most]), *([UNSAID] if hardly_seen(text, band) else [])])


def hardly_seen(text: Any, band: Any) -> bool:
    """Whether a low score says nothing, since the account hardly traded."""
    return str(band) == "low" and "positions" in unsaid(text)[0]


def unsaid(text: Any) -> tuple[list[str], str]:
    """What there was too little of to tell, and of what and why in words; nothing where there was enough."""
    for one in parsed(text) or []:
        if isinstance(one, dict) and one.get("reason") == UNSAID:
            of = ", ".join(detector(name).lower() for name in one.get("detectors") or [])
            sentence = str(one.get("sentence") or "")
            return list(one.get("lacks") or []), f"Not enough to say of {of}. {sentence}" if of else sentence
    return [], ""


def detector(name: Any) -> str:
    """The name of a detector or of a reason as an analyst says it."""
    return DETECTORS.get(str(name), plain(name))


def value(given: Any) -> str:
    """Any value of a record, for a table of what is known: lists and records one after the other, times with zone."""
    if isinstance(given, list | tuple):
        return "; ".join(map(value, given)) or UNKNOWN
    if isinstance(given, dict):
        return ", ".join(value(one) for one in given.values())
    if isinstance(given, bool):
        return "yes" if given else "no"
    if isinstance(given, float | Decimal):
        return UNKNOWN if math.isnan(given) else f"{given:,.10g}"
    if isinstance(given, str) and INSTANT.fullmatch(given):
        return instant(dt.datetime.fromisoformat(given))
    return UNKNOWN if missing(given) else str(given)
