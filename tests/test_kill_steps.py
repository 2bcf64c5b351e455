"""Landing and scoring killed at one step after another, on both databases: nothing is lost, doubled or half said."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from models import catalogue
from pipelines.score import score
from sql.schema import LOADS, REJECTS
from sql.warehouse import Warehouse
from tests.builders import firm_rows, write_rulebook
from tests.killed import ingest, judge, killed_at, land_file
from tests.test_score_same import drawn, exported, firm, in_steps, land, table

pytestmark = pytest.mark.slow
STEPS_MAX = 60


def feed_of(path: Path, number: int) -> Path:
    """Three new deals, one that fails, one that was delivered before and one that corrects an earlier one."""
    keys = [f"{number}-{place}" for place in range(3)]
    rows = [f"A1,{key},trade,2026-03-02T00:00:00Z,1.5" for key in keys]
    rows += [f"A1,{number}-x,trade,2026-03-02T00:00:00,1.5", "A1,0-0,trade,2026-03-02T00:00:00Z,1.5"]
    rows += [f"A1,0-1,trade,2026-03-02T00:00:00Z,{number + 10}"]
    path.write_text("\n".join(["account_id,deal_id,kind,executed_at,profit", *rows]))
    return path


def check_landed(warehouse: Warehouse, deliveries: int) -> None:
    """Every delivery is in the lake once, however often it was begun: the books add up and no load is open."""
    lake = [row for file in warehouse.lake_files("deals") for row in pq.read_table(file).to_pylist()]
    told = sorted((row["deal_id"], row["_version"]) for row in lake)
    wanted = [(f"{number}-{place}", 1) for number in range(deliveries) for place in range(3)]
    assert told == sorted([*wanted, *(("0-1", version) for version in range(2, deliveries + 2))])
    with warehouse.database.connect() as database:
        loads = database.execute(sa.select(LOADS)).all()
        rejects = database.execute(sa.select(REJECTS.c.load_id)).scalars().all()
    assert all(load.finished_at is not None for load in loads)
    assert all(load.rows == load.landed + load.duplicates + load.rejects for load in loads)
    assert sum(load.landed for load in loads) == len(lake)
    by_load = {load.load_id: load.rejects for load in loads}
    assert {load: rejects.count(load) for load in by_load} == by_load


def test_landing_is_killed_at_every_step(tmp_path: Path, opener: Callable[[Path], Warehouse]) -> None:
    """Also between the commit in the lake and the one in the database; each delivery is then landed in peace."""
    warehouse = opener(tmp_path / "home")
    step = 0
    while step < STEPS_MAX:
        feed = feed_of(tmp_path / f"deals-{step}.csv", step)
        was_killed = killed_at(step + 1, ingest, warehouse, feed)
        land_file(warehouse, feed)
        step += 1
        check_landed(warehouse, step)
        if not was_killed:
            break
    assert 8 < step < STEPS_MAX


def test_scoring_is_killed_between_deliveries(tmp_path: Path) -> None:
    """A run writes all or nothing: while it writes, before it is in force, and after that before all else is done."""
    chance, accounts = random.Random(7), firm(drawn(20))
    rules = write_rulebook(tmp_path / "rules", accounts)
    rulebook, warehouse = catalogue.load(rules), Warehouse.open(tmp_path / "home")
    resumed = 0
    for number, rows in enumerate(in_steps(firm_rows(accounts), chance, 4)):
        land(warehouse, rows, str(number))
        step, commits = ((12, False), (100, False), (1, True), (2, True))[number]
        assert killed_at(step, judge, warehouse, rules, commits=commits)
        resumed += score(warehouse, rulebook).resumed if number % 2 else 0
    assert resumed
    incremental, days = exported(warehouse, tmp_path / "incremental"), table(warehouse, "account_days")
    score(warehouse, rulebook, full=True)
    assert exported(warehouse, tmp_path / "full") == incremental
    assert table(warehouse, "account_days").equals(days)
