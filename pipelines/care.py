"""Care of a home: small files put together, old ones removed, the whole of it backed up and restored."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa
from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError

from pipelines import seals
from sql import upkeep
from sql.schema import CHECKPOINTS, DATASETS, METADATA, MONEY_DECIMALS, RUNS, Instant, Money
from sql.warehouse import Warehouse

KEPT_HOURS = 168
"""Files that no current version needs are kept so long, for readers that still hold an older one."""
CHUNK_ROWS = 20_000
MANIFEST = "highwater-backup.json"


class CareRefused(Exception):
    """A backup that cannot be made or restored, with the sentence that says why."""


def compact(warehouse: Warehouse, kept_hours: int = KEPT_HOURS, files_min: int = 1) -> list[dict[str, Any]]:
    """Puts small files of every dataset together and removes those unused for `kept_hours`; landing waits meanwhile.

    Datasets of fewer files than `files_min` are left alone. Returns per dataset the files before, after, and removed.
    """
    done = []
    for name in DATASETS:
        if len(warehouse.lake_files(name)) < files_min:
            continue
        with _held(warehouse, [name]):
            try:
                table = DeltaTable(str(warehouse.lake_path(name)))
            except TableNotFoundError:
                continue
            before = len(table.file_uris())
            table.optimize.compact(max_concurrent_tasks=1)
            removed = table.vacuum(kept_hours, dry_run=False, enforce_retention_duration=False)
            with warehouse.database.begin() as database:
                seals.note(database, warehouse, name)
            after = len(DeltaTable(str(warehouse.lake_path(name))).file_uris())
            done.append({"dataset": name, "before": before, "after": after, "removed": len(removed)})
    return done


@contextmanager
def _held(warehouse: Warehouse, names: list[str]) -> Iterator[None]:
    """Nothing lands in these datasets meanwhile."""
    with ExitStack() as stack:
        for name in sorted(names):
            stack.enter_context(warehouse.lock(f"land-{name}"))
        yield


def backup(warehouse: Warehouse, out: Path) -> dict[str, int]:
    """Writes lake, journal and database into a new folder; returns the rows of each table.

    Landing waits meanwhile; a running live service goes on accepting. CareRefused when the folder is not empty.
    """
    if out.exists() and any(out.iterdir()):
        raise CareRefused(f"{out} is not empty; name a new folder")
    (out / "database").mkdir(parents=True)
    with _held(warehouse, list(DATASETS)):
        with warehouse.database.connect().execution_options(**_snapshot(warehouse)) as database:
            rows = {table.name: _write_table(database, table, out / "database") for table in _kept()}
        shutil.copytree(warehouse.home / "lake", out / "lake")
        if (warehouse.home / "live").exists():
            shutil.copytree(warehouse.home / "live", out / "live")
    told = {"made_at": dt.datetime.now(dt.UTC).isoformat(), "rows": rows}
    (out / MANIFEST).write_text(json.dumps(told, indent=1))
    return rows


def _snapshot(warehouse: Warehouse) -> dict[str, str]:
    """All tables as of one instant; SQLite's readers see one in any case."""
    return {} if warehouse.database.dialect.name == "sqlite" else {"isolation_level": "REPEATABLE READ"}


def _write_table(database: sa.Connection, table: sa.Table, folder: Path) -> int:
    schema = pa.schema([(column.name, _arrow(column.type)) for column in table.columns])
    found = database.execution_options(stream_results=True).execute(sa.select(table))
    rows = 0
    with pq.ParquetWriter(folder / f"{table.name}.parquet", schema) as writer:
        for part in found.mappings().partitions(CHUNK_ROWS):
            writer.write_table(pa.Table.from_pylist([dict(row) for row in part], schema))
            rows += len(part)
    return rows


def _arrow(kind: sa.types.TypeEngine[Any]) -> pa.DataType:
    for known, arrow in (
        (Money, pa.decimal128(24, MONEY_DECIMALS)),
        (Instant, pa.timestamp("us", tz="UTC")),
        (sa.Boolean, pa.bool_()),
        (sa.Date, pa.date32()),
        (sa.Integer, pa.int64()),
        (sa.Float, pa.float64()),
    ):
        if isinstance(kind, known):
            return arrow
    return pa.string()


def _kept() -> list[sa.Table]:
    """Every table that is backed up; which tables a database has is its own affair, and walks begin anew."""
    return [table for table in METADATA.sorted_tables if table not in (upkeep.STATE, CHECKPOINTS)]


def restore(warehouse: Warehouse, source: Path) -> dict[str, int]:
    """Fills an empty home and database from a backup; returns the rows of each table. CareRefused if not empty."""
    if not (source / MANIFEST).is_file():
        raise CareRefused(f"{source} is no complete backup: it has no {MANIFEST}")
    told: dict[str, int] = json.loads((source / MANIFEST).read_text())["rows"]
    with warehouse.database.begin() as database:
        held = [table.name for table in _kept() if database.execute(sa.select(table).limit(1)).first()]
        if held or any((warehouse.home / "lake").iterdir()):
            raise CareRefused(f"{warehouse.home} is in use already; restore into an empty home and database")
        with _no_triggers(database):
            for table in _kept():
                _read_table(database, table, source / "database" / f"{table.name}.parquet")
        # the pages' own tables are not backed up: the next run makes them
        database.execute(sa.update(RUNS).values(marts=None))
        shutil.copytree(source / "lake", warehouse.home / "lake", dirs_exist_ok=True)
        if (source / "live").exists():
            shutil.copytree(source / "live", warehouse.home / "live", dirs_exist_ok=True)
    return told


@contextmanager
def _no_triggers(database: sa.Connection) -> Iterator[None]:
    """While rows are put back nothing judges them: they were let in once, and begin where they had come to."""
    if database.dialect.name == "sqlite":
        made = database.execute(sa.text("select name, sql from sqlite_master where type = 'trigger'")).all()
        for name, _ in made:
            database.execute(sa.text(f'drop trigger "{name}"'))
        yield
        for _, statement in made:
            database.connection.driver_connection.execute(statement)  # type: ignore[union-attr]
        return
    for table in _kept():
        database.execute(sa.text(f"alter table {table.name} disable trigger user"))
    yield
    for table in _kept():
        database.execute(sa.text(f"alter table {table.name} enable trigger user"))


def _read_table(database: sa.Connection, table: sa.Table, path: Path) -> None:
    if not path.exists():
        return
    given = [column.name for column in table.columns if column.computed is None]
    for batch in pq.ParquetFile(path).iter_batches(CHUNK_ROWS, columns=given):
        if batch.num_rows:
            database.execute(sa.insert(table), batch.to_pylist())
