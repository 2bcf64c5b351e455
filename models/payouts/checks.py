"""What a check of a payout request says: its outcome, numbers, rule and sentence, and what it leads to."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

Outcome = Literal["passed", "failed", "not_applicable", "unknown"]
Group = Literal["eligibility", "integrity", "rules", "signals", "identity", "amount"]
LeadsTo = Literal["reject", "not_yet", "deduct", "review"]


@dataclass(frozen=True)
class Check:
    """One check; `leads_to` is what follows when it failed (an unknown one always leads to a person)."""

    check: str
    outcome: Outcome
    sentence: str
    numbers: Mapping[str, Any] = field(default_factory=dict)
    rule: str = ""
    group: Group = "eligibility"
    leads_to: LeadsTo = "review"

    def as_json(self) -> dict[str, Any]:
        """The published form."""
        said = {
            "check": self.check,
            "outcome": self.outcome,
            "numbers": {name: plain(value) for name, value in self.numbers.items()},
            "rule": self.rule,
            "sentence": self.sentence,
            "group": self.group,
        }
        return said | ({"leads_to": self.leads_to} if self.outcome == "failed" else {})


def plain(value: Any) -> Any:
    """A number or instant as JSON holds it without loss: amounts as text, times in UTC."""
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).isoformat()
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    return value


def when(at: dt.datetime) -> str:
    """An instant as a sentence tells it; pages put it into the desk's zone."""
    return f"{at.astimezone(dt.UTC):%Y-%m-%d %H:%M} UTC"


def judged(holds: bool | None) -> Outcome:
    """Passed or failed; unknown when it cannot be said."""
    return "unknown" if holds is None else "passed" if holds else "failed"


def recommended(checks: Iterable[Check]) -> str:
    """What all checks together lead to."""
    return led_to((check.outcome, check.leads_to) for check in checks)


def led_to(outcomes: Iterable[tuple[str, str | None]]) -> str:
    """What checks lead to, by outcome and what follows: reject before review before deduct before approve; unknown is a
    person's."""
    leads = {follows if outcome == "failed" else outcome for outcome, follows in outcomes}
    if leads & {"reject", "not_yet"}:
        return "reject"
    if leads & {"review", "unknown"}:
        return "review"
    return "deduct" if "deduct" in leads else "approve"


def eligible(checks: Iterable[Check]) -> bool:
    """Whether every eligibility check passed or does not apply."""
    return all(check.outcome in ("passed", "not_applicable") for check in checks if check.group == "eligibility")
