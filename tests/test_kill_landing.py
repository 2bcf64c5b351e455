"""Real processes killed while they land: whatever the instant, landing again ends where a clean landing ends.

Step by step, on both databases, it is done in `test_kill_steps.py`; here when files appear, and at random.
"""

from __future__ import annotations

import multiprocessing
import random
import time
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from pipelines.land import land_paths
from sql.schema import LOADS, REJECTS, VALIDATIONS
from sql.warehouse import Warehouse

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("kill_landing")]  # what it lands is made once

ROWS = 8_000
PATIENCE_SECONDS = 300.0
RANDOM_KILLS = 3


@pytest.fixture(scope="module")
def feed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two files of deals: the second repeats, corrects and adds; both have rows that fail."""
    folder = tmp_path_factory.mktemp("feed")
    for name, first, profit in (("deals-1.csv", 0, "1.5"), ("deals-2.csv", ROWS // 2, "2.5")):
        rows = [
            f"A{i % 50},{i},trade,2026-01-01T00:00:00Z,{'x' if i % 997 == 0 else profit if i % 3 else '1.5'}"
            for i in range(first, first + ROWS)
        ]
        (folder / name).write_text("account_id,deal_id,kind,executed_at,profit\n" + "\n".join(rows))
    return folder


def _open(home: Path) -> Warehouse:
    return Warehouse.open(home, f"sqlite:///{home / 'highwater.db'}")


def _land(home: str, feed: str) -> None:
    land_paths(_open(Path(home)), [Path(feed)])


def _start(home: Path, feed: Path) -> ForkServerProcess:
    """A process of its own that lands the feed; it is forked from a server that has the imports done."""
    context = multiprocessing.get_context("forkserver")
    process = context.Process(target=_land, args=(str(home), str(feed)))
    process.start()
    return process


def _kill(process: ForkServerProcess) -> None:
    process.kill()
    process.join(PATIENCE_SECONDS)
    assert process.exitcode is not None


def _wait(condition: Callable[[], bool], process: ForkServerProcess) -> None:
    """Until a condition holds or the process has ended."""
    until = time.monotonic() + PATIENCE_SECONDS
    while not condition() and process.is_alive():
        assert time.monotonic() < until, "the landing did not get there"
        time.sleep(0.001)


def _state(warehouse: Warehouse) -> tuple[pd.DataFrame, list[tuple[Any, ...]], int]:
    """The lake without load ids, the rejects without theirs, and how many rows finished loads say they landed."""
    lake = pd.concat([pq.read_table(file).to_pandas() for file in warehouse.lake_files("deals")])
    lake = lake.drop(columns="_load_id").sort_values(["account_id", "deal_id", "_version"], ignore_index=True)
    with warehouse.database.connect() as connection:
        rejects = connection.execute(sa.select(REJECTS.c.file, REJECTS.c.line, REJECTS.c.value)).all()
        landed = connection.execute(sa.select(sa.func.sum(LOADS.c.landed))).scalar_one()
    return lake, sorted(tuple(row) for row in rejects), landed


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory, feed: Path) -> tuple[pd.DataFrame, list[tuple[Any, ...]], int]:
    """What a landing that nobody disturbs leaves behind."""
    warehouse = _open(tmp_path_factory.mktemp("clean"))
    land_paths(warehouse, [feed])
    return _state(warehouse)


def _check(home: Path, feed: Path, clean: tuple[pd.DataFrame, list[tuple[Any, ...]], int]) -> None:
    """Lands again, then compares everything with the clean landing."""
    warehouse = _open(home)
    land_paths(warehouse, [feed])
    lake, rejects, landed = _state(warehouse)
    pd.testing.assert_frame_equal(lake, clean[0])
    assert rejects == clean[1]
    assert landed == clean[2] == len(lake)
    with warehouse.database.connect() as connection:
        loads = connection.execute(sa.select(LOADS)).all()
        told = set(connection.execute(sa.select(VALIDATIONS.c.load_id).distinct()).scalars())
    assert all(load.rows == load.landed + load.duplicates + load.rejects for load in loads)
    assert all(load.finished_at is not None for load in loads)
    assert told <= {load.load_id for load in loads}
    assert list((home / "tmp").iterdir()) == []


@pytest.mark.parametrize(
    "sign",
    [
        "locks/land-deals.lock",
        "tmp/land-deals-*",
        "tmp/land-deals-*/rows/*.parquet",
        "lake/deals",
        "lake/deals/*.parquet",
    ],
)
def test_killed_when_a_file_appears(tmp_path: Path, feed: Path, clean: Any, sign: str) -> None:
    """At the lock, while staging, while the lake's files are written."""
    _open(tmp_path)
    process = _start(tmp_path, feed)
    _wait(lambda: any(tmp_path.glob(sign)), process)
    _kill(process)
    _check(tmp_path, feed, clean)


@pytest.fixture(scope="module")
def landing_seconds(tmp_path_factory: pytest.TempPathFactory, feed: Path) -> float:
    """How long an undisturbed process takes on this machine, now, from its first staged file to its end."""
    home = tmp_path_factory.mktemp("timed")
    _open(home)
    process = _start(home, feed)
    _wait(lambda: any((home / "tmp").iterdir()), process)
    started = time.monotonic()
    process.join(PATIENCE_SECONDS)
    return time.monotonic() - started


@pytest.mark.parametrize("home", range(2))
def test_killed_again_and_again_at_random(
    tmp_path: Path, feed: Path, clean: Any, landing_seconds: float, home: int
) -> None:
    """One home and several kills, each at another instant after staging began, before it is landed in peace."""
    chance = random.Random(home)
    _open(tmp_path)
    for _ in range(RANDOM_KILLS):
        left = set((tmp_path / "tmp").iterdir())
        process = _start(tmp_path, feed)
        _wait(lambda left=left: bool(set((tmp_path / "tmp").iterdir()) - left), process)  # type: ignore[misc]
        time.sleep(chance.uniform(0, landing_seconds))
        _kill(process)
    _check(tmp_path, feed, clean)
