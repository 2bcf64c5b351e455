"""The sentences of `docs/walk.md` case by case, on the limit and a minor unit either side (`tests/cases/walk`).

A case file holds what its cases share under `given`; a case adds to it, and `each` runs it once per row with the row's
values in the place of `$name`. Every case is told by the walk and by the oracle, so the two can never drift apart.
"""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from models import catalogue, verdicts
from models.walk import BREACHED, MAX_LOSS
from tests.builders import Case, Fold, oracle_says, prepare, product_text, walked
from tests.walk_oracle import Account, Deal, FirmClock, Observation, tell

FOLDER = Path(__file__).parent / "cases" / "walk"
YEAR = "2026"
NUMBER = re.compile(r"-?\d+(\.\d+)?")


def instant(text: str) -> dt.datetime:
    """An instant as a case writes it: without a year 2026, without an offset UTC."""
    whole = text if re.match(r"\d{4}-", text) else f"{YEAR}-{text}"
    at = dt.datetime.fromisoformat(whole)
    return at if at.tzinfo else at.replace(tzinfo=dt.UTC)


def merged(shared: Any, own: Any) -> Any:
    """What a case says laid over what its file says, table by table."""
    if isinstance(shared, dict) and isinstance(own, dict):
        return {**shared, **{key: merged(shared.get(key), value) for key, value in own.items()}}
    return own


def filled(value: Any, row: dict[str, str]) -> Any:
    """A value with `$name` replaced by the row's."""
    if isinstance(value, dict):
        return {key: filled(inner, row) for key, inner in value.items()}
    if isinstance(value, list):
        return [filled(inner, row) for inner in value]
    return re.sub(r"\$(\w+)", lambda found: row[found[1]], value)


def term(text: Any) -> Any:
    """A rule's field as TOML would hold it."""
    if isinstance(text, list):
        return [term(inner) for inner in text]
    if text in ("true", "false"):
        return text == "true"
    if NUMBER.fullmatch(text):
        return Decimal(text) if "." in text else int(text)
    return text


def read_account(held: dict[str, str]) -> Account:
    """The account of a case."""
    closed_at = instant(held["closed_at"]) if "closed_at" in held else None
    initial, stage = Decimal(held["initial"]), held.get("stage", "evaluation_1")
    return Account(initial, instant(held["opened_at"]), held.get("currency", "USD"), closed_at, stage)


def read_deal(number: int, held: dict[str, str]) -> Deal:
    """A deal: `open` and `close` name a position, `money`, `credit` and `fee` an amount."""
    kinds = {"money": "balance", "credit": "credit", "fee": "fee"}
    position = held.get("open") or held.get("close") or held.get("turn")
    entry = next((word for key, word in (("open", "in"), ("close", "out"), ("turn", "inout")) if key in held), None)
    kind = None if entry else next((word for word in kinds if word in held), None)
    money = {name: Decimal(held.get(name, "0")) for name in ("profit", "commission", "swap", "fee") if name != kind}
    if kind:
        money["profit"] = Decimal(held[kind])
    return Deal(
        held.get("id", str(number)),
        instant(held["at"]),
        kinds.get(kind or "", "trade"),
        entry=held.get("entry", entry),
        side=held.get("side", "sell" if entry == "out" else "buy"),
        volume=Decimal(held.get("volume", "1")),
        position_id=None if position in (None, "none") else position,
        symbol=held.get("symbol", "EURUSD"),
        comment=held.get("comment"),
        **money,
    )


def read_case(given: dict[str, Any]) -> Case:
    """A case's account, clock, terms, events and the instant it is judged at (by default its newest event)."""
    clock = given.get("clock", {})
    rules = {
        name: {key: term(value) for key, value in rule.items()}
        for name, rule in given.get("rules", {}).items()
        if isinstance(rule, dict)
    }
    events = given.get("events", [])
    deals = [read_deal(n, one) for n, one in enumerate(events, 1) if "equity" not in one and "pause" not in one]
    seen = [Observation(instant(one["at"]), Decimal(one["equity"])) for one in events if "equity" in one]
    as_of = instant(given["as_of"]) if "as_of" in given else max(instant(one["at"]) for one in events)
    reset = FirmClock(
        clock.get("zone", "UTC"), dt.time.fromisoformat(clock.get("reset", "00:00")), clock.get("calendar", "crypto")
    )
    pauses = tuple(instant(one["at"]) for one in events if "pause" in one)
    return Case(read_account(given["account"]), reset, rules, deals, seen, as_of, pauses)


def read_file(path: Path) -> list[tuple[str, Case, dict[str, Any]]]:
    """Every case of a file with its name and what is expected of it; all scalars are read as text."""
    document = yaml.load(path.read_text(encoding="utf-8"), yaml.BaseLoader)
    found = []
    for case in document["cases"]:
        given = merged(document.get("given", {}), case.get("given", {}))
        for row in case.get("each", [{}]):
            values = {key: value for key, value in row.items() if key != "expect"}
            expected = merged(case.get("expect", {}), row.get("expect", {}))
            name = " ".join([case["it"], *(f"{key}={value}" for key, value in values.items())])
            found.append((f"{path.stem}: {name}", read_case(filled(given, values)), filled(expected, values)))
    return found


CASES = [case for path in sorted(FOLDER.glob("*.yaml")) for case in read_file(path)]


def expected_of(expected: dict[str, Any], said: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a case expects and what was said, in the same terms and only where the case says something."""
    wanted: dict[str, Any] = {}
    found = {key: said[key] for key in expected}
    for key, value in expected.items():
        if key == "verdicts":
            found[key] = [shown(one, verdict) for one, verdict in zip_verdicts(value, said[key])]
            wanted[key] = [one if isinstance(one, str) else comparable(one) for one in value]
        elif key == "status_at":
            wanted[key] = instant(value)
        elif key == "status":
            wanted[key] = value
        else:
            wanted[key] = None if value == "none" else Decimal(value)
    return wanted, found


def zip_verdicts(wanted: list[Any], said: list[Any]) -> list[tuple[Any, Any]]:
    """Expected verdicts beside what was said, as long as the longer one."""
    longer = range(max(len(wanted), len(said)))
    return [(wanted[n] if n < len(wanted) else "", said[n] if n < len(said) else None) for n in longer]


def comparable(one: dict[str, str]) -> dict[str, Any]:
    """An expected verdict with its instant and numbers."""
    return {
        key: instant(value) if key == "at" else Decimal(value) if key in ("observed", "allowed", "reference") else value
        for key, value in one.items()
    }


def shown(one: Any, verdict: Any) -> Any:
    """A verdict as far as the case speaks of it: its rule alone, or the fields that it names."""
    if verdict is None:
        return None
    if isinstance(one, str):
        return verdict[0]
    fields = dict(zip(("rule", "outcome", "effect", "at", "observed", "allowed", "reference"), verdict, strict=True))
    return {key: fields[key] for key in one}


def holds(case: Case, expected: dict[str, Any], fold: Fold) -> bool:
    """Whether a walk says what a case expects."""
    wanted, found = expected_of(expected, walked(prepare(case), fold))
    return wanted == found


@pytest.mark.parametrize(("case", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_case(case: Case, expected: dict[str, Any]) -> None:
    by_walk = walked(prepare(case))
    wanted, found = expected_of(expected, by_walk)
    assert found == wanted
    told = oracle_says(
        tell(case.account, case.clock, case.rules, case.deals, case.observations, case.as_of, case.pauses)
    )
    assert told == by_walk


def test_every_sentence_has_cases() -> None:
    held = {path.stem for path in FOLDER.glob("*.yaml")}
    by_whole_runs = {10, 11}  # what is delivered when, and stages without terms: tests/test_score_same.py
    assert {f"sentence_{number:02}" for number in set(range(1, 13)) - by_whole_runs} <= held


@pytest.mark.parametrize(
    ("more", "observed", "allowed", "how"),
    [
        ({}, 5299999, 5300000, "the highest equity 55,000.00 − 2,000.00 fixed"),
        (
            {"lock_offset": 100},
            5009999,
            5010000,
            "the highest equity 55,000.00 − 2,000.00 fixed would be 53,000.00, but it stopped rising at the initial "
            "balance 50,000.00 + 100",
        ),
        (
            {"lock_at_target": True, "lock_offset": 9000},
            5249999,
            5250000,
            "the highest equity 55,000.00 − 2,000.00 fixed would be 53,000.00, but it stopped rising at the profit "
            "target",
        ),
        (
            {"payout_rebase": "floor_at", "rebase_offset": 0},
            4999999,
            5000000,
            "the initial balance 50,000.00, where a payout has set it for good",
        ),
    ],
)
def test_a_floor_is_told_by_the_size_that_was_promised(
    more: dict[str, Any], observed: int, allowed: int, how: str
) -> None:
    """Guards that where a lock or a payout holds the floor, no distance is named that the terms do not know."""
    rules: dict[str, dict[str, Any]] = {
        "max_loss": {"mode": "trailing_equity", "base": "fixed", "amount": 2000} | more,
        "profit_target": {"amount": 2500},
    }
    version = catalogue.read_product(product_text(rules), "plan.toml").versions[0]
    amounts = {"observed": observed, "allowed": allowed, "reference": 5500000, "size": 200000, "balance": 5000000}
    verdict = amounts | {"rule": MAX_LOSS, "outcome": BREACHED, "at": 0, "reset_at": 0}
    said = verdicts.sentence(verdict, amounts, 5000000, version, version.stages["evaluation_1"], "USD")
    assert f"({how})" in said
