"""Opens what Highwater stands on: the lake of Delta tables, the database, and a stateless DuckDB over both."""

from __future__ import annotations

import datetime as dt
import os
import sqlite3
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import duckdb
import numpy as np
import pandas as pd
import sqlalchemy as sa
from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError
from filelock import FileLock

from sql import (  # noqa: F401 - tables join
    case_schema,
    connect_schema,
    desk_schema,
    duck,
    live_schema,
    partner_schema,
    relations,
    report_schema,
    segment_schema,
    upkeep,
)
from sql.schema import DATASETS, DUCKDB_TYPES, LAKE_COLUMNS, MONEY_DECIMALS, Dataset, Instant, Money

PARTS = ("lake", "locks", "tmp")
"""The folders of a home."""
ENGINE_MEMORY = "3GB"
# DuckDB shares out groups of 122,880 rows: a lake below that leaves a second thread nothing but the handing over.
SMALL_LAKE_BYTES = 2_000_000
WRITE_CHUNK_ROWS = 20_000
# A landing waits for a scoring run to finish writing rather than give up.
SQLITE_PATIENCE_S = 900
NO_DATABASE = "HIGHWATER_DATABASE_URL must be like postgresql://user:password@host/name or sqlite:////path/file.db"
AWAY = (sa.exc.OperationalError, sa.exc.InterfaceError)
"""What is raised while the database does not answer; what was asked may be asked again."""
LAKE_TYPES = {"_load_id": "bigint", "_line": "bigint", "_version": "integer"}


class WarehouseRefused(Exception):
    """A home or a database that cannot be used: which, why, and what to do."""


@dataclass(frozen=True)
class Warehouse:
    """A home folder (lake, locks, temporary files) and the database that belongs to it."""

    home: Path
    database_url: str

    @classmethod
    def open(cls, home: str | Path | None = None, database_url: str | None = None) -> Warehouse:
        """Opens a home, by default `HIGHWATER_HOME` or `var`, and makes what is missing; or raises WarehouseRefused."""
        folder = Path(home or os.environ.get("HIGHWATER_HOME") or "var").resolve()
        if "?" in str(folder) or unquote(str(folder)) != str(folder):
            # lake and database are opened by address, where these would name another place
            raise WarehouseRefused(
                f"{folder} cannot be the home: its path has a ? or a % before two hexadecimal digits; name another"
                " folder with --home or HIGHWATER_HOME"
            )
        try:
            for part in PARTS:
                (folder / part).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WarehouseRefused(
                f"{folder} cannot be the home: {error.strerror}; name another folder with --home or HIGHWATER_HOME"
            ) from error
        url = database_url or os.environ.get("HIGHWATER_DATABASE_URL") or f"sqlite:///{folder / 'highwater.db'}"
        warehouse = cls(folder, _driver_url(url))
        warehouse._make_tables()
        return warehouse

    def _make_tables(self) -> None:
        try:
            if upkeep.is_current(self.database):
                return
            with self.lock("schema"):
                upkeep.bring_up(self.database)
        except upkeep.UpkeepRefused as error:
            shown = self.database.url.render_as_string(hide_password=True)
            raise WarehouseRefused(f"the database {shown} cannot be used: {error}") from error
        except sa.exc.DBAPIError as error:
            shown = self.database.url.render_as_string(hide_password=True)
            why = str(error.orig).strip().splitlines()[0]
            raise WarehouseRefused(f"the database {shown} cannot be opened: {why}; {mending(error.orig)}") from error

    @cached_property
    def database(self) -> sa.Engine:
        """The database engine; SQLite runs in WAL mode so that readers never wait for a writer."""
        if not self.database_url.startswith("sqlite"):
            return sa.create_engine(self.database_url, pool_pre_ping=True)
        engine = sa.create_engine(self.database_url, connect_args={"timeout": SQLITE_PATIENCE_S})
        sa.event.listen(engine, "connect", _prepare_sqlite)
        return engine

    def leave_checkpoints(self) -> None:
        """Makes no commit of this process wait for SQLite to copy its log; `checkpoint` has to be called elsewhere."""
        if self.database.dialect.name == "sqlite":
            self.database.dispose()
            sa.event.listen(self.database, "connect", _log_without_end)

    def checkpoint(self) -> None:
        """Copies SQLite's log into the database as far as nobody reads it."""
        if self.database.dialect.name == "sqlite":
            with self.database.connect() as connection:
                connection.exec_driver_sql("pragma wal_checkpoint(passive)")

    def lock(self, name: str) -> FileLock:
        """A lock between processes; the system frees it when its holder dies."""
        return FileLock(self.home / "locks" / f"{name}.lock")

    def lake_path(self, dataset: str) -> Path:
        """Folder of a dataset's Delta table."""
        return self.home / "lake" / dataset

    def lake_files(self, dataset: str) -> list[str]:
        """Current Parquet files of a dataset; empty when nothing has landed."""
        try:
            return [unquote(uri) for uri in DeltaTable(str(self.lake_path(dataset))).file_uris()]
        except TableNotFoundError:
            return []

    @contextmanager
    def engine(
        self, as_of: dt.datetime | None = None, memory: str = ENGINE_MEMORY, datasets: Collection[str] = tuple(DATASETS)
    ) -> Iterator[duckdb.DuckDBPyConnection]:
        """A fresh DuckDB that sees the lake as `lake.<dataset>` and stands at `as_of` (default: the newest fact).

        Who says when it stands may name the only `datasets` to be read: to look for the files of each takes time.
        """
        files = {name: self.lake_files(name) for name in datasets}
        connection = duck.engine(memory, self.home / "tmp")
        try:
            connection.execute("set timezone = 'UTC'; set preserve_insertion_order = false; create schema lake;")
            if sum(Path(file).stat().st_size for named in files.values() for file in named) < SMALL_LAKE_BYTES:
                connection.execute("set threads = 1; set variable lake_is_small = true")
            connection.execute("".join(_lake_view(DATASETS[name], found) for name, found in files.items()))
            relations.prepare(connection, as_of or newest_fact(connection))
            yield connection
        finally:
            connection.close()


def _lake_view(dataset: Dataset, files: list[str]) -> str:
    if files:
        listed = ", ".join("'" + file.replace("'", "''") + "'" for file in files)
        return f"create view lake.{dataset.name} as select * from read_parquet([{listed}]);"
    columns = [f'"{column.name}" {DUCKDB_TYPES[column.kind]}' for column in dataset.columns]
    columns += [f"{name} {LAKE_TYPES[name]}" for name, _, _ in LAKE_COLUMNS]
    return f"create table lake.{dataset.name} ({', '.join(columns)});"


def _driver_url(url: str) -> str:
    """PostgreSQL addresses without a driver get the one that is installed; WarehouseRefused for what is no address."""
    for prefix in ("postgresql://", "postgres://"):
        if url.startswith(prefix):
            url = "postgresql+psycopg://" + url.removeprefix(prefix)
    try:
        parsed = sa.make_url(url)
        known = parsed.get_driver_name() in ("pysqlite", "psycopg")
    except (sa.exc.ArgumentError, ValueError) as error:
        raise WarehouseRefused(f"{NO_DATABASE}, and the one given cannot be read") from error
    if not known or (parsed.get_backend_name() == "sqlite" and parsed.database in (None, "", ":memory:")):
        raise WarehouseRefused(f"{NO_DATABASE}, not {parsed.render_as_string(hide_password=True)}")
    return url


def mending(error: BaseException | None) -> str:
    """What to do about a database of which its driver says that it cannot be used."""
    if not isinstance(error, sqlite3.Error):
        return "check HIGHWATER_DATABASE_URL and that it runs"
    if is_damaged(error):
        return "restore it from a copy, or land and score into a new home"
    return "see that its folder is there, has room and may be written, or mend HIGHWATER_DATABASE_URL"


def is_damaged(error: BaseException | None) -> bool:
    """Whether SQLite says that its file is no database, or no whole one."""
    said = str(error)
    return isinstance(error, sqlite3.DatabaseError) and ("malformed" in said or "not a database" in said)


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    patience = f"busy_timeout={SQLITE_PATIENCE_S * 1000}"
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", patience, "foreign_keys=ON"):
        cursor.execute(f"pragma {pragma}")
    cursor.close()


def _log_without_end(connection: Any, _record: Any) -> None:
    connection.execute("pragma wal_autocheckpoint=0")


def newest_fact(connection: duckdb.DuckDBPyConnection) -> dt.datetime | None:
    """The newest instant that any dated dataset of the lake reports; None for an empty lake."""
    dated = [d for d in DATASETS.values() if d.dated_by]
    union = " union all ".join(f"select max({d.dated_by}) as newest from lake.{d.name}" for d in dated)
    newest = connection.execute(f"select max(newest) from ({union})").fetchall()[0][0]
    return newest.astimezone(dt.UTC) if newest is not None else None


def write_rows(connection: sa.Connection, table: sa.Table, frame: pd.DataFrame) -> int:
    """Appends a frame whose columns are the table's to a table; returns the rows written."""
    if frame.empty:
        return 0
    columns = [column.name for column in table.columns if column.name in frame.columns]
    values = [_plain(frame[name]) for name in columns]
    statement = sa.insert(table)
    plainly = connection.dialect.name == "sqlite"
    if plainly:
        values = [
            _as_stored(table.c[name], held, connection.dialect) for name, held in zip(columns, values, strict=True)
        ]
    for start in range(0, len(frame), WRITE_CHUNK_ROWS):
        chunk = [column[start : start + WRITE_CHUNK_ROWS] for column in values]
        if plainly:
            connection.exec_driver_sql(_plain_insert(table, columns), list(zip(*chunk, strict=True)))
        else:
            rows = [dict(zip(columns, row, strict=True)) for row in zip(*chunk, strict=True)]
            connection.execute(statement, rows)
    return len(frame)


def _plain_insert(table: sa.Table, columns: list[str]) -> str:
    names = ", ".join(f'"{name}"' for name in columns)
    return f'insert into "{table.name}" ({names}) values ({", ".join("?" * len(columns))})'


def _as_stored(column: sa.Column[Any], values: list[Any], dialect: sa.Dialect) -> list[Any]:
    """A column's values as the driver takes them; by column because row by row costs several times as much."""
    stored = column.type.dialect_impl(dialect).bind_processor(dialect)
    return values if stored is None else [stored(value) for value in values]


def upsert_rows(connection: sa.Connection, table: sa.Table, frame: pd.DataFrame) -> None:
    """Puts rows in the place of those of the same primary key; columns go to the driver whole, so thousands are quick.

    Amounts are as near as doubles come to them, which is how the frame holds them.
    """
    if frame.empty:
        return
    dialect = connection.dialect
    columns = [column for column in table.columns if column.name in frame.columns]
    names = [dialect.identifier_preparer.quote(column.name) for column in columns]
    keys = [dialect.identifier_preparer.quote(column.name) for column in table.primary_key]
    marks = ", ".join(["?" if dialect.name == "sqlite" else "%s"] * len(columns))
    renewed = ", ".join(f"{name} = excluded.{name}" for name in names if name not in keys)
    statement = (
        f"insert into {table.name} ({', '.join(names)}) values ({marks})"
        f" on conflict ({', '.join(keys)}) do update set {renewed}"
    )
    values = [_for_driver(frame[column.name], column, dialect.name) for column in columns]
    connection.exec_driver_sql(statement, list(zip(*values, strict=True)))


def _for_driver(series: pd.Series[Any], column: sa.Column[Any], dialect: str) -> list[Any]:
    """A column as the driver takes it, in the form in which the database keeps it."""
    if isinstance(column.type, Instant):
        if dialect != "sqlite":
            return _plain(series)
        instants = series.to_numpy(dtype="datetime64[us]")
        texts = np.datetime_as_string(instants, unit="us").tolist()
        return [None if text == "NaT" else text.replace("T", " ") for text in texts]
    values = series.to_numpy()
    if isinstance(column.type, Money):
        amounts = np.round(values.astype(np.float64), MONEY_DECIMALS).tolist()
        kind = float if dialect == "sqlite" else lambda amount: Decimal(repr(amount))
        return [None if amount != amount else kind(amount) for amount in amounts]
    if isinstance(column.type, sa.Date) and dialect == "sqlite":
        return [None if pd.isna(day) else day.isoformat() for day in values]
    if values.dtype.kind in "iub":
        return list(values.tolist())
    return [None if value is None or value is pd.NA or value != value else value for value in values.tolist()]


def _plain(series: pd.Series[Any]) -> list[Any]:
    """A column as Python values, missing ones as None."""
    values = series.astype(object)
    if isinstance(series.dtype, pd.DatetimeTZDtype):
        return [None if t is pd.NaT else t.to_pydatetime() for t in series]
    return [None if missing else value for value, missing in zip(values.tolist(), series.isna().tolist(), strict=True)]


def replace_rows(
    connection: sa.Connection, table: sa.Table, frame: pd.DataFrame, where: Mapping[str, list[str]] | None = None
) -> None:
    """Puts a frame in the place of a table's rows, or of those whose column holds one of the given values."""
    if where is None:
        connection.execute(sa.delete(table))
    else:
        for name, values in where.items():
            delete_rows(connection, table, name, values)
    write_rows(connection, table, frame)


def delete_rows(
    connection: sa.Connection, table: sa.Table, name: str, values: list[str], *also: sa.ColumnElement[bool]
) -> None:
    """Removes the rows whose column holds one of the given values, and of which `also` is true."""
    for start in range(0, len(values), 500):
        connection.execute(sa.delete(table).where(table.c[name].in_(values[start : start + 500]), *also))


def read_frame(connection: sa.Connection, statement: sa.Select[Any] | sa.Table) -> pd.DataFrame:
    """Rows of a table or a select as a frame with aware times."""
    select = sa.select(statement) if isinstance(statement, sa.Table) else statement
    result = connection.execute(select)
    return pd.DataFrame(result.fetchall(), columns=list(result.keys()))
