"""Marts: the SQL files behind the pages, computed once a run and kept as tables of the database.

A row is known by a number made of what it says, kept beside it. A run writes the rows that were not there and takes
away those that are no longer so: what did not change is not written again, and the table is the whole mart either way.
On SQLite a new row takes the place of one that went and began alike (of the same account, say), and only the indexes
are touched in whose columns the two differ.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import sqlalchemy as sa

from sql import relations, schema
from sql.warehouse import WRITE_CHUNK_ROWS, Warehouse, read_frame

# Beside ids, what pages filter and sort by. A desk holds too much of a mart for an index to spare anything.
SORTED_BY = ("status", "state", "place", "status_at", "requested_at", "waits")
FEW = ("desk_id",)
ROW, SAID = "_row", "_said"
OWN = (ROW, SAID)
"""Where a row stands in its table, and the number of what it says."""
Row = tuple[Any, ...]
# From this share of new rows on, indexes are quicker made again than kept up.
MOSTLY_NEW = 0.3


def publish(connection: duckdb.DuckDBPyConnection, database: sa.Connection) -> int:
    """Builds every mart and brings its table to it: a published one of that name, else `mart_<name>`.

    Returns how many rows were written or taken away.
    """
    relations.build(connection, *relations.names("marts"))
    return sum(bring(connection, database, name) for name in relations.names("marts"))


@dataclass(frozen=True)
class Differing:
    """A mart and its table: its columns, where the rows stand that went, the numbers of what is new and where it is to
    stand, and how many rows there are and were."""

    name: str
    table: sa.Table
    kinds: dict[str, str]
    gone: np.ndarray
    new: np.ndarray
    places: np.ndarray
    told: int
    kept: int

    def __len__(self) -> int:
        return len(self.gone) + len(self.new)

    def parts(self, rows: int) -> Iterator[Differing]:
        """The same in steps of at most so many rows of either kind."""
        for start in range(0, max(len(self.gone), len(self.new)), rows):
            part = slice(start, start + rows)
            yield replace(self, gone=self.gone[part], new=self.new[part], places=self.places[part])


def are_there(warehouse: Warehouse) -> bool:
    """Whether the last scoring run wrote the marts of this version."""
    query = sa.select(schema.RUNS.c.marts).order_by(schema.RUNS.c.run_id.desc()).limit(1)
    with warehouse.database.connect() as database:
        return bool(database.execute(query).scalar() == relations.fingerprint("marts"))


def bring(connection: duckdb.DuckDBPyConnection, database: sa.Connection, name: str) -> int:
    """Makes a mart's table hold the mart's rows; returns how many were written or taken away."""
    found = differing(connection, database, name)
    write(connection, database, found)
    return len(found)


def differing(connection: duckdb.DuckDBPyConnection, database: sa.Connection, name: str) -> Differing:
    """Compares a mart with its table, which is made where there is none; to be written before another is compared."""
    kinds = {str(row[0]): str(row[1]) for row in connection.execute(f"describe {name}").fetchall()}
    table, kept = _mart_table(database, name.split(".")[1], kinds)
    listed = ", ".join(f'"{column}"' for column in kinds)
    connection.execute(
        f"create or replace temp table said as select rowid as place, hash({listed}) as said from {name}"
    )
    counted = connection.execute("select count(*) = count(distinct said) from said").fetchall()
    # rows that say the same are told apart by their count
    place = "1" if counted[0][0] else "row_number() over (partition by said)"
    connection.execute(
        f"create or replace temp table told as"
        f" select place, cast(hash(said, cast({place} as bigint)) >> 1 as bigint) as {SAID} from said"
    )
    told = connection.sql(f"select {SAID} from told order by place").fetchnumpy()[SAID]
    gone = kept[ROW][~np.isin(kept[SAID], told, assume_unique=True)]
    new = told[~np.isin(told, kept[SAID], assume_unique=True)]
    places = np.arange(len(new)) + kept[ROW].max(initial=0) + 1
    return Differing(name, table, kinds, gone, new, places, len(told), len(kept[ROW]))


def write(connection: duckdb.DuckDBPyConnection, database: sa.Connection, found: Differing) -> None:
    """Takes away the rows that went and writes the new ones."""
    if not len(found):
        return
    table, lite = found.table, database.dialect.name == "sqlite"
    everything = len(found.gone) == found.kept
    anew = lite and len(found.new) > MOSTLY_NEW * found.told and (everything or not len(found.gone))
    if anew:
        for index in table.indexes:
            index.drop(database)
    connection.register("new_rows", pd.DataFrame({ROW: found.places, SAID: found.new}, dtype="int64"))
    wanted = connection.execute(
        f"select {_as_kept(table, found.kinds, database.dialect.name)} from {found.name} as mart"
        f" inner join told on mart.rowid = told.place inner join new_rows using ({SAID}) order by {ROW}"
    )
    if lite and len(found.gone) and not everything:
        left = _in_place(database, table, found.gone, wanted.fetchall())
        _write(database, table, iter([left] if left else []))
    else:
        _take_away(database, table, found.gone, everything=everything)
        _write(database, table, _chunks(wanted))
    connection.unregister("new_rows")
    if anew:
        for index in table.indexes:
            index.create(database)


def _in_place(database: sa.Connection, table: sa.Table, gone: np.ndarray, rows: list[Row]) -> list[Row]:
    """Puts new rows in the place of those that went and began alike, takes the others away; returns what is left."""
    names = [column.name for column in table.columns]
    sought = sorted({names.index(column.name) for index in table.indexes for column in index.columns})
    plain = [place for place in range(1, len(names)) if place not in sought]
    shown = ", ".join(f'"{names[place]}"' for place in (len(OWN), *sought))
    query = f'select {ROW}, {shown} from "{table.name}" where {ROW} in (select value from json_each(?))'
    held: dict[Any, list[Row]] = {}
    for at, begins, *stood in database.exec_driver_sql(query, (json.dumps(gone.tolist()),)):
        held.setdefault(begins, []).append((at, *stood))
    changed: dict[tuple[int, ...], list[Row]] = {}
    left: list[Row] = []
    for row in rows:
        known = held.get(row[len(OWN)])
        if not known:
            left.append(row)
            continue
        at, *stood = known.pop()
        moved = tuple(place for place, before in zip(sought, stood, strict=True) if before != row[place])
        changed.setdefault(moved, []).append((*(row[place] for place in (*plain, *moved)), at))
    for moved, values in changed.items():
        told = ", ".join(f'"{names[place]}" = ?' for place in (*plain, *moved))
        database.exec_driver_sql(f'update "{table.name}" set {told} where {ROW} = ?', sorted(values, key=_last))
    _take_away(database, table, np.array([at for known in held.values() for at, *_ in known], dtype=np.int64))
    return left


def _last(row: Row) -> Any:
    return row[-1]


def _mart_table(database: sa.Connection, stem: str, kinds: dict[str, str]) -> tuple[sa.Table, dict[str, np.ndarray]]:
    """The database table of a mart, made anew when the mart's columns have changed; where its rows stand, and their
    numbers."""
    published = schema.METADATA.tables.get(stem)
    name = f"mart_{stem}" if published is None else stem
    number = sa.Column(ROW, sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=False)
    told = [sa.Column(one, _kind(kind) if published is None else published.c[one].type) for one, kind in kinds.items()]
    table = sa.Table(name, sa.MetaData(), number, sa.Column(SAID, sa.BigInteger, nullable=False), *told)
    for column in told:
        if (column.name.endswith("_id") and column.name not in FEW) or column.name in SORTED_BY:
            sa.Index(f"ix_{name}_{column.name}", column)
    inspector = sa.inspect(database)
    if inspector.has_table(name):
        if [column["name"] for column in inspector.get_columns(name)] == [*OWN, *kinds]:
            held: Any = database.exec_driver_sql(f'select {ROW}, {SAID} from "{name}"').cursor
            rows = np.array(held.fetchall(), dtype=np.int64).reshape(-1, len(OWN))
            return table, dict(zip(OWN, rows.T, strict=True))
        table.drop(database)
    table.create(database)
    return table, dict.fromkeys(OWN, np.array([], dtype=np.int64))


def _take_away(database: sa.Connection, table: sa.Table, gone: np.ndarray, *, everything: bool = False) -> None:
    if not len(gone):
        return
    if everything:
        database.execute(sa.delete(table))
    elif database.dialect.name == "sqlite":
        database.exec_driver_sql(f'delete from "{table.name}" where {ROW} = ?', [(one,) for one in gone.tolist()])
    else:
        database.exec_driver_sql(f'delete from "{table.name}" where {ROW} = any(%s)', (gone.tolist(),))


def _as_kept(table: sa.Table, kinds: dict[str, str], dialect: str) -> str:
    """The select list that gives every column as the database's driver takes it."""
    wanted = list(OWN)
    for name, kind in kinds.items():
        told, money = f'mart."{name}"', isinstance(table.c[name].type, schema.Money)
        if kind in ("DOUBLE", "FLOAT"):
            told = f"nullif({told}, 'nan'::double)"
        if dialect == "sqlite":
            if money:
                told = f"round(cast({told} as double), {schema.MONEY_DECIMALS})"
            elif kind == "TIMESTAMP WITH TIME ZONE":
                told = f"strftime({told}, '%Y-%m-%d %H:%M:%S.%f')"
            elif kind == "DATE":
                told = f"cast({told} as varchar)"
        wanted.append(told)
    return ", ".join(wanted)


def _write(database: sa.Connection, table: sa.Table, told: Iterator[Sequence[Row]]) -> None:
    """Appends rows to a table by the quickest way that its database has."""
    names = ", ".join(f'"{column.name}"' for column in table.columns)
    if database.dialect.name == "sqlite":
        marks = ", ".join("?" * len(table.columns))
        for rows in told:
            database.exec_driver_sql(f'insert into "{table.name}" ({names}) values ({marks})', list(rows))
        return
    driver: Any = database.connection.dbapi_connection
    with driver.cursor() as cursor, cursor.copy(f'copy "{table.name}" ({names}) from stdin') as stream:
        for rows in told:
            for row in rows:
                stream.write_row(row)


def _chunks(told: duckdb.DuckDBPyConnection) -> Iterator[Sequence[Row]]:
    while rows := told.fetchmany(WRITE_CHUNK_ROWS):
        yield rows


def _kind(kind: str) -> Any:
    """The database type of a DuckDB type."""
    named = kind.split("(")[0].lower()
    known: dict[str, Any] = {
        "varchar": sa.Text,
        "double": sa.Double,
        "decimal": schema.Money,
        "bigint": sa.BigInteger,
        "hugeint": sa.BigInteger,
        "integer": sa.Integer,
        "smallint": sa.Integer,
        "boolean": sa.Boolean,
        "date": sa.Date,
        "timestamp with time zone": schema.Instant,
    }
    return known.get(named, sa.Text)


def frames(connection: duckdb.DuckDBPyConnection, *names: str) -> list[pd.DataFrame]:
    """Relations as frames, built where they are not there yet."""
    relations.build(connection, *names)
    return [connection.sql(f"select * from {name}").df() for name in names]


def read(
    database: sa.Connection,
    name: str,
    only: Sequence[str] = (),
    within: tuple[str, pd.Timestamp, pd.Timestamp] | None = None,
    **equal: Any,
) -> pd.DataFrame:
    """Rows of a mart of the last run whose columns have the values given; empty when there is no such mart yet.

    `only` some columns of them, and those whose instant in a column is `within` a stretch, its end left out.
    """
    table = told_of(database, name)
    if table is None:
        return pd.DataFrame()
    wanted = [table.c[column] == value for column, value in equal.items() if value is not None]
    if within is not None:
        column, since, until = within
        wanted += [table.c[column] >= since.to_pydatetime(), table.c[column] < until.to_pydatetime()]
    told: list[Any] = [table.c[column] for column in only] or [table]
    return read_frame(database, sa.select(*told).where(*wanted))


def told_of(database: sa.Connection, name: str) -> sa.TableClause | None:
    """The table of a mart of the last run, None when there is no such mart yet."""
    inspector = sa.inspect(database)
    if not inspector.has_table(f"mart_{name}"):
        return None
    columns = [
        sa.column(held["name"], schema.Instant() if isinstance(held["type"], sa.DateTime) else held["type"])
        for held in inspector.get_columns(f"mart_{name}")
        if held["name"] not in OWN
    ]
    return sa.table(f"mart_{name}", *columns)


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """A frame's rows as records."""
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict(orient="records")]
