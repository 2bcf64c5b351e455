"""What-if: the terms bought change nothing, tighter floors never lose a breach, and money follows the accounts."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from models import catalogue
from models.catalogue import Rulebook, Version
from pipelines import whatif
from pipelines.demo import write_demo
from pipelines.land import land_paths
from sql.warehouse import Warehouse, newest_fact


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[whatif.History]:
    folder = tmp_path_factory.mktemp("whatif")
    write_demo(folder / "feed", traders=150, days=60, seed=5)
    house = Warehouse.open(folder / "home")
    land_paths(house, [folder / "feed"])
    with house.engine() as connection:
        as_of = newest_fact(connection)
        assert as_of is not None
        yield whatif.load(connection, catalogue.load(), as_of, "two_step")


def _changed(product: str, stage: str, rule: str, **fields: Any) -> tuple[Rulebook, dict[str, Version]]:
    book = catalogue.load()
    newest = book.products[product].versions[-1]
    stages = {name: dict(terms) for name, terms in newest.stages.items()}
    stages[stage] = stages[stage] | {rule: stages[stage][rule] | fields}
    draft = Version(product, newest.version + 1, newest.effective_from, newest.clock, stages, newest.next_stage)
    return book, {product: draft}


def _value(found: whatif.Comparison, metric: str, stage: str, side: str = "draft") -> float:
    return next(row[side] for row in found.rows if row["metric"] == metric and row["stage"] == stage) or 0.0


def test_the_terms_bought_replayed_give_what_happened(history: whatif.History) -> None:
    own = whatif.replay(history, history.compiled, history.schedules, whatif.splits(history.accounts, catalogue.load()))
    found = whatif.measure(history, own, own)
    assert all(row["change"] in (0, None) for row in found.rows)
    assert found.flips.empty


def test_a_tighter_daily_loss_never_has_fewer_breaches(history: whatif.History) -> None:
    rates = []
    for percent in (8, 5, 4, 2, 1):
        book, draft = _changed("two_step", "evaluation_1", "daily_loss", percent=Decimal(percent))
        found = whatif.compare_history(history, book, draft, resamples=0)
        rates.append(_value(found, "breach rate", "evaluation_1"))
    assert rates == sorted(rates)
    assert rates[-1] > rates[0]


def test_a_lower_split_pays_traders_less_and_shares_the_same_profit(history: whatif.History) -> None:
    base_book, base = _changed("two_step", "funded", "split", percent=Decimal(80))
    book, draft = _changed("two_step", "funded", "split", percent=Decimal(40))
    before = whatif.compare_history(history, base_book, base, resamples=0)
    after = whatif.compare_history(history, book, draft, resamples=0)
    own = whatif.splits(history.accounts, book, draft)
    lower = whatif.replay(history, *whatif.under(history, draft), own)
    higher = whatif.replay(history, *whatif.under(history, base), whatif.splits(history.accounts, base_book, base))
    assert lower.payouts.sum() == pytest.approx(higher.payouts.sum() / 2)
    whole = [side.payouts.sum() + side.firm_share.sum() for side in (lower, higher)]
    assert whole[0] == pytest.approx(whole[1])
    assert _value(after, "payouts", "all") <= _value(before, "payouts", "all")


def test_flips_name_who_ends_otherwise(history: whatif.History) -> None:
    book, draft = _changed("two_step", "evaluation_1", "daily_loss", percent=Decimal(1))
    flips = whatif.compare_history(history, book, draft, resamples=0).flips
    assert len(flips)
    assert (flips["today"] != flips["draft"]).all()
    assert set(flips.loc[flips["draft"] == "breached", "draft_rule"]) <= {"daily_loss", "max_loss"}


def test_intervals_hold_the_change_and_are_the_same_every_time(history: whatif.History) -> None:
    book, draft = _changed("two_step", "evaluation_1", "daily_loss", percent=Decimal(2))
    first = whatif.compare_history(history, book, draft, resamples=200).rows
    again = whatif.compare_history(history, book, draft, resamples=200).rows
    assert first == again
    row = next(r for r in first if r["metric"] == "breach rate" and r["stage"] == "evaluation_1")
    assert row["low"] <= row["change"] <= row["high"]


def test_a_product_without_history_is_refused(tmp_path: Path) -> None:
    house = Warehouse.open(tmp_path / "home")
    with pytest.raises(whatif.WhatIfRefused, match="the lake is empty"):
        whatif.compare(house, catalogue.load(), catalogue.load())
    with (
        house.engine(dt.datetime(2026, 1, 1, tzinfo=dt.UTC)) as connection,
        pytest.raises(whatif.WhatIfRefused, match="no judged account of two_step"),
    ):
        whatif.load(connection, catalogue.load(), dt.datetime(2026, 1, 1, tzinfo=dt.UTC), "two_step")
    with pytest.raises(whatif.WhatIfRefused, match="no such product"):
        whatif.newest(catalogue.load(), "nine_step")
