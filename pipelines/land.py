"""Lands feeds in the lake: validated, every row once, whole or not at all, whatever happens to the process.

A load is (a) rejects, validations and an unfinished row of `loads` in one database transaction, (b) one Delta commit
that carries the load's id and counts, (c) the row of `loads` finished. Whoever lands next completes a load that got
as far as (b) and undoes one that did not; so nothing is lost and nothing doubled.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa
from deltalake import CommitProperties, DeltaTable, WriterProperties, write_deltalake
from deltalake.exceptions import TableNotFoundError
from filelock import Timeout

from pipelines import files, lost, seals, versions
from pipelines.expectations.judging import Judge, Judged, by_size, judge, printable, with_arrow
from pipelines.expectations.reading import one_array, read_batch
from pipelines.files import Broken, FeedRefused, Stretch
from sql import duck
from sql.fingerprint import fingerprint
from sql.schema import DATASETS, LOADS, REJECTS, VALIDATIONS, Dataset, lake_schema
from sql.warehouse import Warehouse, write_rows

__all__ = ["Broken", "FeedRefused", "Landed", "land_frame", "land_paths", "recover"]

LOG = logging.getLogger("highwater.landing")
COMPARE_MEMORY = "1GB"
ROW_GROUP_ROWS = 250_000
RECENT_COMMITS, LAST_COMMITS = 1_000, 5
Progress = Callable[[str, int], None]


@dataclass(frozen=True)
class Landed:
    """What one load did: rows = landed + duplicates + rejects; corrections are among the landed."""

    load_id: int
    dataset: str
    file: str
    rows: int
    landed: int
    duplicates: int
    rejects: int
    corrections: int


@dataclass(frozen=True)
class _Delivery:
    """A file or a frame on its way in."""

    dataset: Dataset
    file: str
    fingerprint: str | None = None
    source: str | None = None
    reconciliation: str | None = None
    untold: frozenset[str] = frozenset()
    """Columns of which the whole file says nothing: it leaves what is known of a record there."""


@dataclass(frozen=True)
class _Staged:
    """Rows that hold, waiting in temporary Parquet files, and what was said about the others."""

    folder: Path
    rows: int
    rejects: int
    unexpected: Counter[str]
    evaluated: int


def land_paths(warehouse: Warehouse, paths: list[Path], progress: Progress | None = None) -> list[Landed]:
    """Lands files and folders, one load per file, after checking every name and header; FeedRefused otherwise.

    A file that only turns out unreadable half-way lands nothing of itself; the exception says what landed before it.
    `progress` is called with the file and the rows read of it so far.
    """
    feeds = [files.inspect(path) for path in files.collect(paths)]
    recover(warehouse)
    landed: list[Landed] = []
    for feed in feeds:
        before = files.stamp(feed.path)
        delivery = _Delivery(feed.dataset, feed.label, fingerprint(feed.path), untold=files.untold(feed))
        try:
            rows = files.read_unchanged(feed, before)
            landed.append(_land(warehouse, delivery, rows, by_size, progress))
        except FeedRefused as refusal:
            raise FeedRefused(f"{refusal}; {_told_before(landed)}") from refusal
    return landed


def _told_before(landed: list[Landed]) -> str:
    return f"landed before it: {', '.join(load.file for load in landed)}" if landed else "nothing landed"


def land_frame(
    warehouse: Warehouse,
    dataset: str,
    frame: pd.DataFrame | pa.Table,
    *,
    file: str,
    fingerprint: str | None = None,
    source: str | None = None,
    reconciliation: str | None = None,
    refused: Iterable[Broken] = (),
    quick: bool = False,
) -> Landed:
    """Lands rows that are already in memory, under the name `file`; FeedRefused when a required column is missing.

    Columns are the dataset's; `_line`, if there, says where each row stood, else rows count from 1. `refused` are rows
    that a reader could not take apart: they count among rows and rejects. `quick` judges what
    is large with the suite's Arrow form too.
    """
    wanted = DATASETS[dataset]
    table = frame if isinstance(frame, pa.Table) else _table_of(frame, wanted)
    missing = [column.name for column in wanted.columns if column.required and column.name not in table.column_names]
    if missing:
        raise FeedRefused(f"{file}: missing required column {', '.join(missing)}")
    files.check_types(file, wanted, table.schema)
    delivery = _Delivery(wanted, file, fingerprint, source, reconciliation)
    by = with_arrow if quick else by_size
    return _land(warehouse, delivery, iter([_stretch_of(table, tuple(refused))]), by, None)


def _table_of(frame: pd.DataFrame, dataset: Dataset) -> pa.Table:
    """A frame's columns in Arrow; a column of mixed values becomes text."""
    names = [name for name in (*dataset.names, "_line") if name in frame.columns]
    return pa.table({name: _array_of(frame[name]) for name in names})


def _array_of(values: pd.Series[Any]) -> pa.Array:
    try:
        return pa.Array.from_pandas(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.array([None if pd.isna(value) else str(value) for value in values], pa.string())


def _stretch_of(table: pa.Table, refused: tuple[Broken, ...]) -> Stretch:
    if "_line" not in table.column_names:
        return Stretch(table, pa.array(np.arange(1, table.num_rows + 1)), refused)
    return Stretch(table.drop_columns(["_line"]), one_array(table["_line"].cast(pa.int64())), refused)


def recover(warehouse: Warehouse) -> list[str]:
    """Completes or undoes what killed processes left, says what it did; loads that still run are left alone."""
    with warehouse.database.connect() as connection:
        open_loads = connection.execute(
            sa.select(LOADS.c.dataset).where(LOADS.c.finished_at.is_(None)).distinct()
        ).scalars()
        names = sorted(open_loads)
    remarks: list[str] = []
    for name in names:
        with suppress(Timeout), _exclusive(warehouse, name, wait=False):
            remarks += _settle(warehouse, name)
    return remarks


# --- one load ----------------------------------------------------------------------------------------------------


def _land(
    warehouse: Warehouse, delivery: _Delivery, stretches: Iterator[Stretch], by: Judge, progress: Progress | None
) -> Landed:
    with _exclusive(warehouse, delivery.dataset.name):
        _settle(warehouse, delivery.dataset.name)
        rows = _rows_landed_before(warehouse, delivery)
        if rows is not None:
            return _record(warehouse, delivery, None, versions.Versions(0, rows, 0))
        with _folder(warehouse, delivery.dataset.name) as folder:
            staged = _stage(delivery, stretches, by, folder, progress)
            return _write(warehouse, delivery, staged)


def _stage(
    delivery: _Delivery, stretches: Iterator[Stretch], by: Judge, folder: Path, progress: Progress | None
) -> _Staged:
    """Reads and judges every stretch; rows that hold and rejects wait as files, so that memory stays flat."""
    rows, kept, refused, evaluated = 0, 0, 0, 0
    unexpected: Counter[str] = Counter()
    for number, stretch in enumerate(stretches):
        batch = read_batch(delivery.dataset, stretch.table, stretch.lines)
        judged = judge(batch, by)
        kept += _keep(folder / "rows" / f"{number:06}.parquet", batch.typed, batch.lines, judged, kept)
        refused += _keep_rejects(folder / "rejects" / f"{number:06}.parquet", stretch, judged)
        rows, evaluated = rows + stretch.rows, evaluated + batch.rows
        unexpected.update(judged.unexpected)
        if progress:
            progress(delivery.file, rows)
    if rows != kept + refused:
        raise AssertionError(f"{delivery.file}: {rows} rows read, {kept} held and {refused} refused")
    return _Staged(folder, rows, refused, unexpected, evaluated)


def _keep(path: Path, typed: pa.Table, lines: pa.Array, judged: Judged, first: int) -> int:
    """Writes the rows that hold, each with its line and its place in the delivery; returns how many."""
    table = typed.append_column("_line", lines)
    if not judged.keep.all():
        table = table.filter(pa.array(judged.keep))
    places = pa.array(np.arange(first, first + table.num_rows))
    pq.write_table(table.append_column("_row", places), path, compression="lz4", write_statistics=False)
    return int(table.num_rows)


def _keep_rejects(path: Path, stretch: Stretch, judged: Judged) -> int:
    broken = [(b.line, b.column, b.value and printable(b.value), b.reason) for b in stretch.broken]
    told = pd.DataFrame(broken, columns=["line", "column", "value", "reason"], dtype=object)
    rejects = pd.concat([judged.rejects, told]).sort_values("line", kind="stable")
    if len(rejects):
        rejects.astype({"line": "Int64"}).to_parquet(path, index=False)
    return len(rejects)


def _write(warehouse: Warehouse, delivery: _Delivery, staged: _Staged) -> Landed:
    dataset = delivery.dataset
    if staged.rows == staged.rejects:
        return _record(warehouse, delivery, staged, versions.Versions(0, 0, 0))
    with duck.connect({"memory_limit": COMPARE_MEMORY, "temp_directory": str(staged.folder)}) as connection:
        connection.execute("set timezone = 'UTC'")
        _check_known(warehouse, dataset.name)
        found = versions.compare(
            connection, dataset, staged.folder / "rows", warehouse.lake_files(dataset.name), delivery.untold
        )
        if not found.landed:
            return _record(warehouse, delivery, staged, found)
        load = _open_load(warehouse, delivery, staged, found)
        _commit(warehouse, dataset, versions.stream(connection, dataset, load.load_id), load)
    _finish(warehouse, load)
    return load


def _commit(warehouse: Warehouse, dataset: Dataset, rows: pa.RecordBatchReader, load: Landed) -> None:
    """One Delta commit for the whole load; its metadata is what recovery goes by."""
    batches = (_checked(batch, lake_schema(dataset)) for batch in rows)
    write_deltalake(
        str(warehouse.lake_path(dataset.name)),
        pa.RecordBatchReader.from_batches(lake_schema(dataset), batches),
        mode="append",
        writer_properties=WriterProperties(compression="ZSTD", max_row_group_size=ROW_GROUP_ROWS),
        commit_properties=CommitProperties(custom_metadata={"load": json.dumps(asdict(load))}),
    )


def _checked(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    return batch.cast(schema)


def _open_load(
    warehouse: Warehouse, delivery: _Delivery, staged: _Staged | None, found: versions.Versions, done: bool = False
) -> Landed:
    """Puts the load, its rejects and its validations into the database in one transaction."""
    now = dt.datetime.now(dt.UTC)
    with warehouse.lock("load-ids"), warehouse.database.begin() as connection:
        load = _numbered(connection, delivery, staged, found)
        values = {
            "load_id": load.load_id,
            "dataset": load.dataset,
            "file": load.file,
            "started_at": now,
            "fingerprint": delivery.fingerprint,
            "source": delivery.source,
            "reconciliation": delivery.reconciliation,
        }
        connection.execute(sa.insert(LOADS).values(**values, **(_counts(load) | {"finished_at": now} if done else {})))
        if staged:
            _write_rejects(connection, load, staged)
            _write_validations(connection, load, staged)
    return load


def _numbered(
    connection: sa.Connection, delivery: _Delivery, staged: _Staged | None, found: versions.Versions
) -> Landed:
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("select pg_advisory_xact_lock(hashtext('highwater load ids'))"))
    load_id = connection.execute(sa.select(sa.func.coalesce(sa.func.max(LOADS.c.load_id), 0) + 1)).scalar_one()
    rejects = staged.rejects if staged else 0
    rows = staged.rows if staged else found.duplicates
    if rows != found.landed + found.duplicates + rejects:
        raise AssertionError(f"{delivery.file}: {rows} rows are not {found} and {rejects} rejects")
    return Landed(
        load_id, delivery.dataset.name, delivery.file, rows, found.landed, found.duplicates, rejects, found.corrections
    )


def _counts(load: Landed) -> dict[str, int]:
    return {name: getattr(load, name) for name in ("rows", "landed", "duplicates", "rejects", "corrections")}


def _record(warehouse: Warehouse, delivery: _Delivery, staged: _Staged | None, found: versions.Versions) -> Landed:
    """A load that brings nothing to the lake is opened and finished at once."""
    return _open_load(warehouse, delivery, staged, found, done=True)


def _write_rejects(connection: sa.Connection, load: Landed, staged: _Staged) -> None:
    for path in sorted((staged.folder / "rejects").glob("*.parquet")):
        rejects = pd.read_parquet(path)
        write_rows(connection, REJECTS, rejects.assign(load_id=load.load_id, dataset=load.dataset, file=load.file))


def _write_validations(connection: sa.Connection, load: Landed, staged: _Staged) -> None:
    told = pd.DataFrame(list(staged.unexpected.items()), columns=["expectation", "unexpected"])
    write_rows(
        connection,
        VALIDATIONS,
        told.assign(load_id=load.load_id, dataset=load.dataset, evaluated=staged.evaluated),
    )


def _finish(warehouse: Warehouse, load: Landed) -> None:
    with warehouse.database.begin() as connection:
        seals.note(connection, warehouse, load.dataset)
        finished = {"finished_at": dt.datetime.now(dt.UTC)}
        connection.execute(sa.update(LOADS).where(LOADS.c.load_id == load.load_id).values(**_counts(load), **finished))


def _rows_landed_before(warehouse: Warehouse, delivery: _Delivery) -> int | None:
    """Rows of an earlier, finished load of the same bytes; None when there is none, or its lake is lost."""
    if delivery.fingerprint is None:
        return None
    lost = not warehouse.lake_files(delivery.dataset.name)
    same = (
        LOADS.c.dataset == delivery.dataset.name,
        LOADS.c.fingerprint == delivery.fingerprint,
        LOADS.c.source.is_(None) if delivery.source is None else LOADS.c.source == delivery.source,
        LOADS.c.finished_at.is_not(None),
        LOADS.c.rows == LOADS.c.rejects if lost else sa.true(),
    )
    with warehouse.database.connect() as connection:
        return connection.execute(sa.select(LOADS.c.rows).where(*same).limit(1)).scalar()


# --- alone, and after a crash ------------------------------------------------------------------------------------


@contextmanager
def _exclusive(warehouse: Warehouse, dataset: str, wait: bool = True) -> Iterator[None]:
    """Holds a dataset against every other process, on PostgreSQL also on other machines; Timeout unless waiting."""
    with warehouse.lock(f"land-{dataset}").acquire(timeout=-1 if wait else 0):
        if warehouse.database.dialect.name != "postgresql":
            yield
            return
        with warehouse.database.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            key = {"key": f"highwater land {dataset}"}
            form = "pg_advisory_lock" if wait else "pg_try_advisory_lock"
            if connection.execute(sa.text(f"select {form}(hashtext(:key))"), key).scalar() is False:
                raise Timeout(dataset)
            try:
                yield
            finally:
                connection.execute(sa.text("select pg_advisory_unlock(hashtext(:key))"), key)


@contextmanager
def _folder(warehouse: Warehouse, dataset: str) -> Iterator[Path]:
    """A temporary folder of the dataset's, removed at the end; one that a crash left goes with the next landing."""
    folder = Path(tempfile.mkdtemp(prefix=f"land-{dataset}-", dir=warehouse.home / "tmp"))
    (folder / "rows").mkdir()
    (folder / "rejects").mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _settle(warehouse: Warehouse, dataset: str) -> list[str]:
    """Completes or undoes the unfinished loads of a dataset that is held, and clears their temporary files."""
    for left in (warehouse.home / "tmp").glob(f"land-{dataset}-*"):
        shutil.rmtree(left, ignore_errors=True)
    open_loads = sa.select(LOADS.c.load_id, LOADS.c.file).where(
        LOADS.c.dataset == dataset, LOADS.c.finished_at.is_(None)
    )
    with warehouse.database.connect() as connection:
        left_open = connection.execute(open_loads).all()
    return [_settle_load(warehouse, dataset, load_id, file) for load_id, file in left_open]


def _settle_load(warehouse: Warehouse, dataset: str, load_id: int, file: str) -> str:
    load = _committed(warehouse, dataset, load_id)
    if load:
        _finish(warehouse, load)
        remark = f"load {load_id} ({file}) had landed before its process ended; it is now complete"
    else:
        _undo(warehouse, load_id)
        remark = f"load {load_id} ({file}) was cut off before it landed; it was undone, land the file again"
    LOG.warning("%s", remark)
    return remark


def _check_known(warehouse: Warehouse, dataset: str) -> None:
    """FeedRefused where the lake holds a load that the database has not: its numbers would be given out twice."""
    with warehouse.database.connect() as connection:
        newest = connection.execute(sa.select(sa.func.max(LOADS.c.load_id))).scalar() or 0
    told = _newest_commits(warehouse, dataset, LAST_COMMITS)
    if told and max(load.load_id for load in told) > newest:
        raise FeedRefused(lost.older_database(warehouse, dataset))


def _newest_commits(warehouse: Warehouse, dataset: str, limit: int) -> list[Landed]:
    """The loads that the newest Delta commits of a dataset tell of."""
    try:
        commits = DeltaTable(str(warehouse.lake_path(dataset))).history(limit)
    except TableNotFoundError:
        return []
    return [Landed(**json.loads(commit["load"])) for commit in commits if "load" in commit]


def _committed(warehouse: Warehouse, dataset: str, load_id: int) -> Landed | None:
    """The load as its Delta commit tells it; None when there is no such commit."""
    loads = _newest_commits(warehouse, dataset, RECENT_COMMITS)
    return next((load for load in loads if load.load_id == load_id), None)


def _undo(warehouse: Warehouse, load_id: int) -> None:
    with warehouse.database.begin() as connection:
        for table in (REJECTS, VALIDATIONS, LOADS):
            connection.execute(sa.delete(table).where(table.c.load_id == load_id))
