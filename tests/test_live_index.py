"""What the live service knows of records: duplicates are told from news however much history there is."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from pipelines.land import land_frame
from pipelines.live import index
from pipelines.live.index import CHANGED, NEW, SAME, Known
from sql.schema import ARROW_TYPES, DATASETS
from sql.warehouse import Warehouse

EQUITY = DATASETS["equity"]
BEGAN = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)


def observations(first: int, last: int, equity: int = 100) -> pa.Table:
    """One observation a second of one account."""
    numbers = range(first, last)
    kinds = {column.name: ARROW_TYPES[column.kind] for column in EQUITY.columns}
    told = {
        "account_id": ["A0"] * len(numbers),
        "observed_at": [BEGAN + dt.timedelta(seconds=number) for number in numbers],
        "balance": [100] * len(numbers),
        "equity": [equity] * len(numbers),
    }
    return pa.table({name: pa.array(values, kinds[name]) for name, values in told.items()})


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables of which three hold about 2,700 records each."""
    monkeypatch.setattr(index, "SLOTS_MAX", 1 << 12)
    monkeypatch.setattr(index, "TABLES_MAX", 3)
    monkeypatch.setattr(index, "RECORDS_KEPT", 5_460)


def landed(folder: Path, rows: pa.Table) -> Warehouse:
    house = Warehouse.open(folder / "home")
    frame: pd.DataFrame = rows.to_pandas().astype(str)
    frame["observed_at"] = frame["observed_at"].str.replace(" ", "T")
    assert land_frame(house, "equity", frame, file="equity", quick=True).landed == len(frame)
    return house


def test_memory_does_not_grow_with_history(tmp_path: Path, small: None) -> None:
    house, known = Warehouse.open(tmp_path / "home"), Known()
    sizes = []
    for first in range(0, 20_000, 500):
        assert set(known.put(EQUITY, observations(first, first + 500), house)) == {NEW}
        assert set(known.put(EQUITY, observations(first, first + 500), house)) == {SAME}
        sizes.append(known.indexes["equity"].count)
    assert sizes[3] < max(sizes[20:]) <= 3 * 2 * (1 << 12) // 3


def test_a_record_older_than_what_is_kept_is_looked_up_in_the_lake(tmp_path: Path, small: None) -> None:
    house, known = landed(tmp_path, observations(0, 10_000)), Known()
    known.fill(house, "512MB")
    kept = known.indexes["equity"]
    assert 0 < kept.count < 10_000
    assert set(known.put(EQUITY, observations(9_000, 10_010), house)) == {SAME, NEW}
    assert set(known.put(EQUITY, observations(0, 3), house)) == {SAME}
    assert set(known.put(EQUITY, observations(0, 2, equity=99), house)) == {CHANGED}
    before_all = observations(-5, 0)
    twice = pa.concat_tables([before_all, before_all])
    assert known.put(EQUITY, twice, house).tolist() == [NEW] * 5 + [SAME] * 5


def test_a_changed_record_is_told_once_whatever_table_holds_it(tmp_path: Path, small: None) -> None:
    house, known = Warehouse.open(tmp_path / "home"), Known()
    for first in range(0, 6_000, 2_000):
        known.put(EQUITY, observations(first, first + 2_000), house)
    assert len(known.indexes["equity"].tables) == 3
    for told in (CHANGED, SAME):
        assert set(known.put(EQUITY, observations(0, 10, equity=99), house)) == {told}


def test_registers_are_kept_whole() -> None:
    bounded = {name for name, one in Known().indexes.items() if one.bounded}
    assert bounded >= {"deals", "equity", "logins", "payments", "settlements", "clicks", "quotes"}
    assert not bounded & {"desks", "traders", "challenges", "accounts", "payouts", "partners", "rates", "news"}
