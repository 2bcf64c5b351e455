"""What-if: the terms bought change nothing, each term moves what it should, and what is reused is what would be judged.

One demo firm is replayed under drafts. Whatever a draft shares with today is taken from today, so every answer is held
against the same draft judged from nothing, and against the scoring run under the draft's rulebook.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cli
from models import catalogue, drafts
from models.catalogue import Rulebook, Version
from pipelines import whatif
from pipelines.demo import write_demo
from pipelines.land import land_paths
from pipelines.score import judge, judged_accounts, register_terms
from pipelines.whatif import History, WhatIfRefused
from sql.warehouse import Warehouse, newest_fact

PRODUCT = "two_step"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    folder = tmp_path_factory.mktemp("whatif")
    write_demo(folder / "feed", traders=150, days=60, seed=5)
    opened = Warehouse.open(folder / "home")
    land_paths(opened, [folder / "feed"])
    return opened


@pytest.fixture(scope="module")
def history(house: Warehouse) -> Iterator[History]:
    with house.engine() as connection:
        as_of = newest_fact(connection)
        assert as_of is not None
        yield whatif.load(connection, catalogue.load(), as_of, PRODUCT)


def changed(stage: str, rule: str, **fields: Any) -> Version:
    """The newest version of the product with one rule of a stage given, as a file of it would say."""
    newest = catalogue.load().products[PRODUCT].versions[-1]
    stages = {name: dict(terms) for name, terms in newest.stages.items()}
    stages[stage] = stages[stage] | {rule: stages[stage].get(rule, {}) | fields}
    return drafts.checked(replace(newest, stages=stages))


def compared(history: History, version: Version, resamples: int = 0) -> whatif.Comparison:
    return whatif.compare_history(history, catalogue.load(), {PRODUCT: version}, resamples)


def value(found: whatif.Comparison, metric: str, stage: str, side: str = "draft") -> float:
    return next((row[side] for row in found.rows if (row["metric"], row["stage"]) == (metric, stage)), None) or 0.0


def anew(history: History, version: Version) -> whatif.Side:
    return whatif.replay(history, whatif.overlaid(catalogue.load(), {PRODUCT: version}))


# --- the draft against today ---------------------------------------------------------------------------------------


def test_the_terms_bought_replayed_give_what_happened(history: History) -> None:
    own = whatif.today(history)
    found = whatif.measure(history, own, own.side, 0)
    assert all(row["change"] in (0, None) for row in found.rows)
    assert found.flips.empty
    assert value(found, "payouts", "all") > 0 and value(found, "fees, net of refunds", "all") > 0


def test_a_tighter_daily_loss_never_has_fewer_breaches(history: History) -> None:
    rates = [
        value(compared(history, changed("evaluation_1", "daily_loss", percent=percent)), "breach rate", "evaluation_1")
        for percent in (8, 5, 4, 2, 1)
    ]
    assert rates == sorted(rates)
    assert rates[-1] > rates[0]
