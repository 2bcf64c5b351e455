"""A day's increment: a firm of 10 M events is scored, a day arrives, and the next run reads and walks what is new.

The same run with all checkpoints lost walks every open account from its start, which is what each run did without them;
both must leave the same tables.

    python -m benchmarks.increment [--events 10000000] [--accounts 20000]
"""

from __future__ import annotations

import argparse
import datetime as dt
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
import sqlalchemy as sa

from benchmarks import replay
from benchmarks.measure import child, machine, report, table
from models.clock import to_micros
from pipelines.score import WALK_TABLES, score
from sql import schema
from sql.warehouse import Warehouse

DAYS = 100
DAY = 86_400_000_000
NEW = to_micros(replay.START) + (DAYS - 1) * DAY
"""When the day begins that arrives last."""
WAYS = {"on": "on from checkpoints", "lost": "from the start (checkpoints lost)"}


def make(home: Path, n_events: int, n_accounts: int) -> None:
    """Writes a lake of trades and as many observations over so many days; the last day stands beside, in `late`."""
    warehouse, late = Warehouse.open(home / "home"), Warehouse.open(home / "late")
    random, per = np.random.default_rng(11), n_events // n_accounts // 2
    ids = np.array([f"A{number:06d}" for number in range(n_accounts)])
    replay._write_accounts(warehouse, ids)
    at = np.sort(random.integers(0, DAYS * DAY // 2, (n_accounts, 2 * per)), axis=1) * 2
    at += to_micros(replay.START) + np.arange(2 * per) % 2
    profit = np.rint(random.normal(0, 120, (n_accounts, per)) * 100) / 100
    balance = replay.INITIAL + profit.cumsum(axis=1)
    equity = np.rint((balance + random.normal(0, 200, (n_accounts, per))) * 100) / 100
    deal_ids = np.tile(np.arange(per).astype("U8"), (n_accounts, 1))
    owner = np.repeat(ids, per).reshape(n_accounts, per)
    deals = {
        "account_id": owner, "deal_id": deal_ids, "kind": np.full(at[:, 0::2].shape, "trade"),
        "executed_at": at[:, 0::2], "profit": profit,
    }  # fmt: skip
    seen = {"account_id": owner, "observed_at": at[:, 1::2], "balance": balance, "equity": equity}
    for number, (dataset, dated_by, columns) in enumerate(
        (("deals", "executed_at", deals), ("equity", "observed_at", seen)), 1
    ):
        order = np.argsort(columns[dated_by], axis=None, kind="stable")
        flat = {name: values.ravel()[order] for name, values in columns.items()}
        old = flat[dated_by] < NEW
        for house, load, rows in ((warehouse, number, old), (late, number + 2, ~old)):
            chosen = {name: values[rows] for name, values in flat.items()}
            replay._append(house, dataset, chosen | {"_load_id": np.full(int(rows.sum()), load)})


def note_loads(warehouse: Warehouse, *numbers: int) -> None:
    """Loads that have finished."""
    now = dt.datetime.now(dt.UTC)
    with warehouse.database.begin() as database:
        for number in numbers:
            row = {"load_id": number, "dataset": "deals" if number % 2 else "equity", "file": "made", "started_at": now}
            database.execute(sa.insert(schema.LOADS).values(**row, finished_at=now))


def arrive(warehouse: Warehouse, late: Path) -> None:
    """The last day lands."""
    from deltalake import DeltaTable, write_deltalake

    for dataset in ("deals", "equity"):
        rows = DeltaTable(str(late / "lake" / dataset)).to_pyarrow_table()
        write_deltalake(str(warehouse.lake_path(dataset)), rows, mode="append")
    note_loads(warehouse, 3, 4)


def run_increment(home: Path) -> dict[str, float]:
    """One incremental run: its seconds, those until all accounts are judged, what it walked."""
    began, marks = time.perf_counter(), dict[str, float]()
    warehouse = Warehouse.open(home)

    def note(text: str) -> None:
        marks.setdefault(text.split()[0], time.perf_counter())

    done = score(warehouse, replay.rulebook(), say=note)
    return {
        "seconds": time.perf_counter() - began,
        "walk": marks["who"] - began,
        "accounts": done.walked,
        "resumed": done.resumed,
        "events": done.events,
    }


def digest(warehouse: Warehouse) -> list[tuple[object, ...]]:
    """Every row of the walk's tables."""
    rows: list[tuple[object, ...]] = []
    with warehouse.database.connect() as database:
        for walked in WALK_TABLES:
            rows += [tuple(row) for row in database.execute(sa.select(walked))]
    return sorted(rows, key=repr)


def run(n_events: int = 10_000_000, n_accounts: int = 20_000) -> str:
    """The table."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make(root, n_events, n_accounts)
        warehouse = Warehouse.open(root / "home")
        note_loads(warehouse, 1, 2)
        score(warehouse, replay.rulebook())
        arrive(warehouse, root / "late")
        warehouse.database.dispose()
        for way in WAYS:
            shutil.copytree(root / "home", root / way)
        lost = Warehouse.open(root / "lost")
        with lost.database.begin() as database:
            database.execute(sa.delete(schema.CHECKPOINTS))
        found = {way: child("benchmarks.increment", "--child", str(root / way)) for way in WAYS}
        if digest(Warehouse.open(root / "on")) != digest(lost):
            raise RuntimeError("a walk from checkpoints left other tables than one from the start")
    rows = [
        [
            WAYS[way], f"{m.answer['accounts']:,}", f"{m.answer['resumed']:,}", f"{m.answer['events']:,}",
            f"{m.answer['walk']:.1f}", f"{m.answer['seconds']:.1f}", f"{m.peak_mb:,.0f}",
        ]
        for way, m in found.items()
    ]  # fmt: skip
    head = f"{n_events:,} events of {n_accounts:,} accounts over {DAYS} days; the last day arrives and is scored.\n\n"
    note = f"\n\n{machine('duckdb', 'numba', 'sqlalchemy')}. Repeat: `python -m benchmarks.increment`."
    columns = ["open accounts walked", "walked", "on from a checkpoint", "events read and walked"]
    columns += ["seconds until all are judged", "seconds of the whole run", "peak MB"]
    return head + table(columns, rows) + note


def warm() -> None:
    """Compiles the kernels on a handful of events."""
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder), 400, 2)
        score(Warehouse.open(Path(folder) / "home"), replay.rulebook())


def main() -> None:
    """Runs the comparison, or one way of it as a child."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--accounts", type=int, default=20_000)
    parser.add_argument("--child", type=Path)
    args = parser.parse_args()
    if args.child:
        report(lambda: run_increment(args.child), warm)
    else:
        print(run(args.events, args.accounts))


if __name__ == "__main__":
    main()
