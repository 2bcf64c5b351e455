"""What the walk found, as people read it: floors that are there or not, what is used of them, and each sentence.

Figures and sentences are worked out by hand from the terms; every comparison of `models.verdicts` decides one of them.
"""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from models import catalogue, events, verdicts, walk
from models.clock import to_micros
from models.walk import (
    BREACHED,
    DAILY_GAIN,
    DAILY_LOSS,
    FLOATING_LOSS,
    MAX_LOSS,
    NEVER,
    PASSED,
    PROFIT_TARGET,
    WARNED,
)

AT = dt.datetime(2026, 3, 3, 9, 30, tzinfo=dt.UTC)
RESET = dt.datetime(2026, 3, 2, 23, 0, tzinfo=dt.UTC)
INITIAL = 1_000_000
"""10,000.00 in cents."""


def accounts(count: int = 1) -> pd.DataFrame:
    row = {"trader_id": "T", "desk_id": "D", "product": "plan", "product_version": 1, "stage": "evaluation_1"}
    row |= {"currency": "USD", "platform": "mt5", "initial_balance": "10000"}
    return pd.DataFrame([row | {"account_id": f"A{number}"} for number in range(count)])


def standing(results: dict[str, Any], terms: dict[str, Any] | None = None) -> dict[str, Any]:
    """Where an account stands in the published table."""
    found, held = np.zeros(1, walk.RESULT), np.zeros(1, walk.TERMS)
    found["daily_floor"] = found["max_floor"] = -NEVER
    held["initial"] = INITIAL
    for array, given in ((found, results), (held, terms or {})):
        for name, value in given.items():
            array[name] = value
    walked = walk.Walked(found, np.zeros(0, walk.VERDICT), np.zeros(0, walk.DAY), np.zeros(0))
    [row] = verdicts.account_status(accounts(), held, walked, AT).to_dict(orient="records")
    return {str(name): value for name, value in row.items()}


FLOORS = ("daily_floor", "max_floor", "daily_headroom", "max_headroom", "near_share")


@pytest.mark.filterwarnings("error:(divide by zero|invalid value):RuntimeWarning")
@pytest.mark.parametrize(
    ("results", "terms", "told"),
    [
        ({}, {}, (None, None, None, None, None)),
        ({"daily_floor": 950_000, "daily_reference": INITIAL}, {}, (9500, None, 200, None, 0.6)),
        ({"max_floor": 900_000}, {}, (None, 9000, None, 700, 0.3)),
        ({"max_floor": 900_000, "high_water": 1_100_000}, {}, (None, 9000, None, 700, 0.3)),
        ({"max_floor": 900_000, "high_water": 1_100_000}, {"ml_mode": 1}, (None, 9000, None, 700, 0.65)),
        (
            {"daily_floor": 950_000, "daily_reference": INITIAL, "max_floor": 900_000},
            {},
            (9500, 9000, 200, 700, 0.6),
        ),
        ({"daily_floor": 950_000, "daily_reference": 960_000}, {}, (9500, None, 200, None, 0)),
        ({"daily_floor": 960_000, "daily_reference": 960_000}, {}, (9600, None, 100, None, 1)),
    ],
    ids=["none", "daily", "static", "static keeps to the initial balance", "trailing", "tighter", "above", "no room"],
)
def test_floors_are_told_where_they_are(results: dict[str, Any], terms: dict[str, Any], told: tuple[Any, ...]) -> None:
    """Guards that no floor is nothing, not a number, and how much of the tighter allowance is used."""
    row = standing({"equity": 970_000} | results, terms)
    assert [None if np.isnan(row[name]) else pytest.approx(row[name]) for name in FLOORS] == list(told)


@pytest.mark.filterwarnings("error:(divide by zero|invalid value):RuntimeWarning")
@pytest.mark.parametrize(("size", "progress"), [(80_000, 0.5), (0, None)])
def test_progress_is_told_where_there_is_a_target(size: int, progress: float | None) -> None:
    row = standing({"target": size, "profit": 40_000}, {"pt_size": size})
    assert (None if np.isnan(row["target_progress"]) else row["target_progress"]) == progress


@pytest.mark.parametrize(("observed", "source"), [(0, "balance"), (1, "observed")])
def test_it_is_told_whether_equity_was_ever_observed(observed: int, source: str) -> None:
    assert standing({"observed": observed})["equity_source"] == source


def test_days_tell_floors_of_accounts_that_have_them() -> None:
    results, days = np.zeros(2, walk.RESULT), np.zeros(2, walk.DAY)
    results["daily_floor"], results["max_floor"] = (950_000, -NEVER), (-NEVER, 900_000)
    days["account"], days["daily_floor"], days["max_floor"] = (0, 1), (940_000, 1), (2, 890_000)
    told = verdicts.account_days(accounts(2), walk.Walked(results, np.zeros(0, walk.VERDICT), days, np.zeros(0)))
    assert told[["daily_floor", "max_floor"]].isna().to_numpy().tolist() == [[False, True], [True, False]]
    assert (told["daily_floor"][0], told["max_floor"][1]) == (9400, 8900)


HEAD = 'id = "plan"\nname = "Plan"\n[[versions]]\nversion = 1\neffective_from = 2025-01-01T00:00:00Z\n'
CLOCK = 'clock = { zone = "Europe/Prague", reset = "00:00" }\n[versions.stages.evaluation_1]\n'
WHEN = "at 10:30:00 Prague on 2026-03-03."
DAILY = "daily_loss = { percent = 5, warn_at = 80 }"
MAXIMUM = 'max_loss = { mode = "trailing_closed", percent = 10'
TRAILS = "the highest balance 10,400.00 − 10 % of the initial balance = 1,000.00"
SENTENCES = {
    "below the daily floor": (
        DAILY,
        {"rule": DAILY_LOSS, "observed": 949_999, "allowed": 950_000, "reference": INITIAL, "size": 50_000},
        "Equity 9,499.99 fell below the daily floor 9,500.00 (reference 10,000.00 balance at 00:00 Prague"
        f" − 5 % of the initial balance = 500.00) {WHEN}",
    ),
    "on the daily floor": (
        DAILY.replace("5,", '5, compare = "lte",'),
        {"rule": DAILY_LOSS, "observed": 950_000, "allowed": 950_000, "reference": INITIAL, "size": 50_000},
        "Equity 9,500.00 touched the daily floor 9,500.00 (reference 10,000.00 balance at 00:00 Prague"
        f" − 5 % of the initial balance = 500.00) {WHEN}",
    ),
    "near the daily floor": (
        DAILY,
        {
            "rule": DAILY_LOSS,
            "outcome": WARNED,
            "observed": 960_000,
            "allowed": 950_000,
            "reference": INITIAL,
            "size": 50_000,
        },
        "Equity 9,600.00 used 80 % of the allowance to the daily floor 9,500.00 (reference 10,000.00"
        f" balance at 00:00 Prague − 5 % of the initial balance = 500.00) {WHEN}",
    ),
    "below a floor that trails": (
        f"{MAXIMUM} }}",
        {"rule": MAX_LOSS, "observed": 939_999, "allowed": 940_000, "reference": 1_040_000, "size": 1},
        f"Equity 9,399.99 fell below the maximum-loss floor 9,400.00 ({TRAILS}) {WHEN}",
    ),
    "a fixed size": (
        'max_loss = { mode = "trailing_closed", amount = 1000 }',
        {"rule": MAX_LOSS, "observed": 939_999, "allowed": 940_000, "reference": 1_040_000, "size": 1},
        "Equity 9,399.99 fell below the maximum-loss floor 9,400.00 (the highest balance 10,400.00 −"
        f" 1,000.00 fixed) {WHEN}",
    ),
    "a share of the high water": (
        f'{MAXIMUM}, base = "high_water" }}',
        {"rule": MAX_LOSS, "observed": 935_999, "allowed": 936_000, "reference": 1_040_000, "size": 1},
        "Equity 9,359.99 fell below the maximum-loss floor 9,360.00 (the highest balance 10,400.00 −"
        f" 10 % of the high water = 1,040.00) {WHEN}",
    ),
    "a floor that may yet stop": (
        f"{MAXIMUM}, lock_offset = 0 }}",
        {"rule": MAX_LOSS, "observed": 939_999, "allowed": 940_000, "reference": 1_040_000, "size": 1},
        f"Equity 9,399.99 fell below the maximum-loss floor 9,400.00 ({TRAILS}, rising no further than"
        f" initial + 0) {WHEN}",
    ),
    "a floor that stopped": (
        f"{MAXIMUM}, lock_offset = 100 }}",
        {"rule": MAX_LOSS, "observed": 1_000_000, "allowed": 1_010_000, "reference": 1_200_000, "size": 1},
        "Equity 10,000.00 fell below the maximum-loss floor 10,100.00 (the highest balance 12,000.00 −"
        " 10 % of the initial balance = 1,000.00 would be 11,000.00, but it stopped rising at the initial"
        f" balance 10,000.00 + 100) {WHEN}",
    ),
    "a floor that stopped at the target": (
        f"{MAXIMUM}, lock_at_target = true, lock_offset = 9000 }}\nprofit_target = {{ percent = 8 }}",
        {"rule": MAX_LOSS, "observed": 1_000_000, "allowed": 1_080_000, "reference": 1_200_000, "size": 1},
        "Equity 10,000.00 fell below the maximum-loss floor 10,800.00 (the highest balance 12,000.00 −"
        " 10 % of the initial balance = 1,000.00 would be 11,000.00, but it stopped rising at the profit"
        f" target) {WHEN}",
    ),
    "an open loss": (
        "floating_loss = { percent = 1 }",
        {"rule": FLOATING_LOSS, "observed": 10_001, "allowed": 10_000, "balance": 1_020_000},
        f"Open loss 100.01 exceeded 100.00 (balance 10,200.00) {WHEN}",
    ),
    "a day's gain": (
        "daily_gain = { percent = 3 }",
        {"rule": DAILY_GAIN, "observed": 1_030_000, "allowed": 1_030_000, "reference": INITIAL},
        f"Equity 10,300.00 reached the day's cap 10,300.00 (10,000.00 at the reset) {WHEN}",
    ),
    "a target": (
        "profit_target = { percent = 8 }",
        {"rule": PROFIT_TARGET, "outcome": PASSED, "observed": 80_000, "allowed": 80_000, "reference": INITIAL},
        f"Profit 800.00 reached the target 800.00 of 10,000.00 {WHEN}",
    ),
}


def told_of(rules: str, given: dict[str, Any]) -> dict[str, Any]:
    """One verdict as it is published, under a plan with these rules."""
    product = catalogue.read_product(HEAD + CLOCK + rules, "plan.toml")
    found = np.zeros(1, walk.VERDICT)
    common = {"outcome": BREACHED, "effect": 1, "at": to_micros(AT), "reset_at": to_micros(RESET), "event": -1}
    for name, value in (common | given).items():
        found[name] = value
    walked = walk.Walked(np.zeros(1, walk.RESULT), found, np.zeros(0, walk.DAY), np.zeros(0))
    deals = pa.table({"kind": ["trade"], "deal_id": ["9"], "_load_id": [1], "_line": [2]})
    none = np.zeros(1, np.int64)
    moved = events.Told(walk.Events(*[none] * 12), deals, pa.table({}))
    book = catalogue.Rulebook({"plan": product})
    [row] = verdicts.verdicts(accounts(), walked, moved, book).to_dict(orient="records")
    return {str(name): value for name, value in row.items()}


@pytest.mark.parametrize("name", SENTENCES)
def test_each_verdict_is_told_as_its_terms_and_figures_say(name: str) -> None:
    rules, given, said = SENTENCES[name]
    row = told_of(rules, given)
    assert json.loads(row["evidence"])["sentence"] == said
    assert row["effect"] == ("pass" if given.get("outcome") == PASSED else "terminate")


@pytest.mark.parametrize(("event", "kind"), [(-1, "reset"), (0, "trade")])
def test_it_is_told_what_decided(event: int, kind: str) -> None:
    given = {"rule": DAILY_LOSS, "observed": 949_999, "allowed": 950_000, "reference": INITIAL, "event": event}
    assert json.loads(told_of(DAILY, given)["evidence"])["event"]["kind"] == kind


def test_the_terms_of_the_rule_are_in_the_evidence_without_those_not_given() -> None:
    given = {"rule": DAILY_LOSS, "observed": 949_999, "allowed": 950_000, "reference": INITIAL, "seen": 1}
    told = json.loads(told_of(DAILY, given)["evidence"])
    assert (told["rule"]["percent"], told["rule"]["warn_at"]) == ("5", "80")
    assert "amount" not in told["rule"]
    assert told["equity_source"] == "observed"
    assert Decimal(told["numbers"]["allowed"]) == 9500
