"""Published plans as presets: sourced, equal to what two open datasets quote, and walked to their floors."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

from models import catalogue, terms, walk
from models.catalogue import Rulebook, Version
from models.clock import to_micros
from models.money import to_minor

FOLDER = catalogue.FOLDER / "presets"
BOOK = catalogue.load(FOLDER)
VERSIONS = [version for product in BOOK.products.values() for version in product.versions]
STAGES = [(version, stage) for version in VERSIONS for stage in version.stages]
MONDAY = dt.datetime(2026, 3, 2, 12, tzinfo=dt.UTC)


def _name(value: Any) -> str:
    return f"{value.product}-{value.version}" if isinstance(value, Version) else str(value)


@pytest.mark.parametrize("version", VERSIONS, ids=_name)
def test_every_version_says_where_it_was_read_and_when(version: Version) -> None:
    """Guards against terms nobody can check."""
    assert version.source
    assert version.verified_on is not None
    assert dt.date(2026, 1, 1) <= version.verified_on <= dt.date(2026, 11, 30)


def test_conflicting_sources_are_kept_as_versions_with_a_note() -> None:
    """Guards that no reading is silently chosen."""
    for product in BOOK.products.values():
        if len(product.versions) > 1:
            assert all(version.note for version in product.versions[1:]), product.id


# What the open datasets quote of first stages: daily reference, base, size, effect; maximum mode, size, lock.
QUOTED: dict[str, tuple[Any, Any]] = {
    "ftmo_two_step": (("balance", "initial", 5, "terminate"), ("static", 10, None)),
    "ftmo_one_step": (("balance", "initial", 3, "terminate"), ("trailing_eod", 10, None)),
    "fundednext_stellar_two_step": (("balance", "initial", 5, "terminate"), ("static", 10, None)),
    "fundednext_stellar_one_step": (("balance", "initial", 3, "terminate"), ("static", 6, None)),
    "fundednext_stellar_lite": (("balance", "initial", 4, "terminate"), ("static", 8, None)),
    "the5ers_high_stakes": (("max", "reference", 5, "terminate"), ("static", 10, None)),
    "fundingpips_two_step": (("max", "reference", 5, "terminate"), ("static", 10, None)),
    "fundingpips_zero": (("max", "reference", 3, "terminate"), ("trailing_equity", 5, 0)),
    "e8_one": (("balance", "initial", 4, "terminate"), ("trailing_closed", 6, 0)),
    "alpha_pro_10": (("balance", "reference", 5, "terminate"), ("static", 10, None)),
    "alpha_pro_8": (("balance", "reference", 4, "terminate"), ("static", 8, None)),
    "blue_guardian_two_step": (("max", "initial", 4, "terminate"), ("static", 8, None)),
    "topstep_50k": (None, ("trailing_eod", 2000, 0)),
    "apex_50k_eod": (("balance", "fixed", 1000, "pause"), ("trailing_eod", 2000, None)),
    "apex_50k_intraday": (None, ("trailing_equity", 2000, None)),
}


@pytest.mark.parametrize("product", QUOTED)
def test_floors_are_those_that_the_datasets_quote(product: str) -> None:
    """Guards presets against the two open datasets, where they agree or the version names the one it follows."""
    daily, most = QUOTED[product]
    number = 2 if product == "fundingpips_two_step" else 1
    held = next(iter(BOOK.version(product, number).stages.values()))
    rule = held.get("daily_loss")
    found = rule and (rule["reference"], rule["base"], _size(rule), rule["effect"])
    assert found == daily
    loss = held["max_loss"]
    assert (loss["mode"], _size(loss), loss["lock_offset"]) == most


def _size(rule: dict[str, Any]) -> Any:
    return rule["percent"] if rule["percent"] is not None else rule["amount"]


def accounts(version: Version, stage: str, initial: str) -> pd.DataFrame:
    """One account of a version's stage."""
    return pd.DataFrame(
        {
            "account_id": ["A"],
            "product": [version.product],
            "product_version": [version.version],
            "stage": [stage],
            "currency": ["USD"],
            "initial_balance": [Decimal(initial)],
            "opened_at": pd.Series([MONDAY]).astype("datetime64[us, UTC]"),
            "closed_at": pd.to_datetime(pd.Series([None], dtype=object), utc=True),
        }
    )


def walked(version: Version, stage: str, initial: str, seen: list[tuple[dt.datetime, str]]) -> walk.Walked:
    """The walk over observations of equity (instant, amount) of one account, as of a week later."""
    compiled, clocks = terms.compile_terms(accounts(version, stage, initial), Rulebook(BOOK.products))
    at = np.array([to_micros(instant) for instant, _ in seen], dtype=np.int64)
    amount = np.array([to_minor(value, "USD") for _, value in seen], dtype=np.int64)
    told = walk.Events(
        np.array([0, len(seen)], dtype=np.int64),
        at,
        np.full(len(seen), walk.OBSERVATION, np.int8),
        np.zeros(len(seen), np.uint8),
        amount,
        np.zeros(len(seen), np.int64),
        np.arange(len(seen)),
        np.zeros(len(seen), np.int64),
        np.zeros(len(seen), np.int64),
        *(np.full(len(seen), -1, np.int32) for _ in range(3)),
    )
    as_of = MONDAY + dt.timedelta(days=7)
    first, last = terms.span(compiled, told.at, as_of)
    return walk.walk(told, compiled, terms.schedules(clocks, first, last), to_micros(as_of))


@pytest.mark.parametrize(("version", "stage"), STAGES, ids=_name)
def test_every_stage_is_walked_to_its_floor_and_a_cent_below(version: Version, stage: str) -> None:
    """Guards that every preset compiles and that its first floor stands where its terms say, to the cent."""
    held = version.stages[stage]
    initial = 50_000
    floors = [(_floor(rule, initial), rule) for name, rule in held.items() if name in ("daily_loss", "max_loss")]
    floor, rule = max(floors, key=lambda one: one[0])
    minute = dt.timedelta(minutes=1)
    touching = walked(version, stage, str(initial), [(MONDAY + minute, str(floor))])
    below = walked(version, stage, str(initial), [(MONDAY + minute, str(floor - Decimal("0.01")))])
    above = walked(version, stage, str(initial), [(MONDAY + minute, str(floor + Decimal("0.01")))])
    assert _breaches(above) == 0
    assert _breaches(touching) == (1 if rule["compare"] == "lte" else 0)
    assert _breaches(below) == 1


def _floor(rule: dict[str, Any], initial: int) -> Decimal:
    percent = rule["percent"]
    size: Decimal = rule["amount"] if percent is None else percent * initial / 100
    return Decimal(initial) - size


def _breaches(found: walk.Walked) -> int:
    return int((found.verdicts["rule"] <= walk.DAILY_LOSS).sum()) and 1
