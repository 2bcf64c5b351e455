"""Marts: the SQL files behind the pages, computed once a run and kept as tables of the database.

A row is known by a number made of what it says, kept beside it. A run writes the rows that were not there and takes
away those that are no longer so: what did not change is not written again, and the table is the whole mart either way.
On SQLite a new row takes the place of one that went and began alike (of the same account, say), and only the indexes
are touched in whose columns the two differ. The numbers of a large mart are kept once more in one piece, which is read
in no time; who writes to its table forgets that first.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import sqlalchemy as sa

from sql import relations, schema
from sql.warehouse import WRITE_CHUNK_ROWS, Warehouse, read_frame

# Beside ids, what pages filter and sort by. A desk holds too much of a mart for an index to spare anything.
SORTED_BY = ("status", "state", "status_at", "requested_at", "waits")
FEW = ("desk_id",)
ROW, SAID = "_row", "_said"
OWN = (ROW, SAID)
AT = "_at"
"""Where a row stands in its table, and the number of what it says; `AT` is where it stands in the mart."""
Row = tuple[Any, ...]
# Added to the number of a row for each that says the same.
APART = 0x1E3779B97F4A7C15
KEPT_FROM_ROWS = 10_000
"""The numbers of a smaller mart are read from its table in no time."""
# From this share of new rows on, indexes are quicker made again than kept up.
MOSTLY_NEW = 0.3
FEW_ROWS = 200
"""The indexes of no more rows than these are sooner kept up."""
OVER_FROM_ROWS = 200
"""Fewer rows that changed are sooner taken away and put beside the others than matched with what they replace."""
HELD_ROWS_MAX = 50_000
"""Of one statement's rows, so many are read before the database waits for anything."""


@dataclass(frozen=True)
class Numbered:
    """Rows by what they say, sorted: the numbers, and where each row stands; of a mart also its columns."""

    said: np.ndarray
    at: np.ndarray
    kinds: dict[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.said)

    def lacking_in(self, other: Numbered) -> np.ndarray:
        """Which of the rows another has none of."""
        if not len(other):
            return np.ones(len(self), dtype=bool)
        nearest = np.minimum(np.searchsorted(other.said, self.said), len(other) - 1)
        lacking: np.ndarray = other.said[nearest] != self.said
        return lacking


def build(connection: duckdb.DuckDBPyConnection, database: sa.Engine) -> dict[str, Ready]:
    """Builds every mart and makes ready what its table lacks, each beside the building of others.

    Nobody else may write to the tables until it is published: runs and the live service hold the lock `score` for it.
    """

    def compare(cursor: duckdb.DuckDBPyConnection, name: str) -> Ready:
        told = number(cursor, name)
        with database.connect() as reading:
            return ready(cursor, reading, differing(reading, name, told), keep=True)

    return relations.build_apart(connection, *relations.names("marts"), then=compare)


def publish(connection: duckdb.DuckDBPyConnection, database: sa.Connection, built: Mapping[str, Ready]) -> int:
    """Brings the table of every mart to it: a published one of that name, else `mart_<name>`.

    Returns how many rows were written or taken away.
    """
    return sum(carry_out(connection, database, found) for found in built.values())


NONE = Numbered(np.array([], dtype=np.int64), np.array([], dtype=np.int64))


@dataclass(frozen=True)
class Differing:
    """A mart and its table: its columns, where in the table rows stand that went, the numbers of what is new, where in
    the mart it stands and where in the table it is to stand, how many rows the mart has, what of the table stays, how
    many rows it had, and whether it is to be made first."""

    name: str
    table: sa.Table
    kinds: dict[str, str]
    gone: np.ndarray
    new: Numbered
    places: np.ndarray
    told: int
    stays: Numbered
    had: int
    unmade: bool

    def __len__(self) -> int:
        return len(self.gone) + len(self.new)

    def parts(self, rows: int) -> Iterator[Differing]:
        """The same in steps of at most so many rows of either kind."""
        for start in range(0, max(len(self.gone), len(self.new)), rows):
            part = slice(start, start + rows)
            new = Numbered(self.new.said[part], self.new.at[part])
            unmade = self.unmade and not start
            yield replace(self, gone=self.gone[part], new=new, places=self.places[part], unmade=unmade)


@dataclass(frozen=True)
class Put:
    """A statement for rows of a mart: what each takes of them, which they are, and their values where these are few
    enough to be held until they are written."""

    statement: str
    taken: tuple[str, ...]
    rows: dict[str, np.ndarray]
    values: list[Row] | None

    def chunks(self, connection: duckdb.DuckDBPyConnection, found: Differing) -> Iterator[Sequence[Row]]:
        """The values, read from the mart if they are not held."""
        return (
            _chunks(_of_mart(connection, found, self.rows, self.taken)) if self.values is None else iter([self.values])
        )


@dataclass(frozen=True)
class Ready:
    """What makes a table hold its mart: rows put over those that went, rows taken away, rows put beside the others;
    whether it is filled anew; and what is kept of its rows, None for a small mart."""

    found: Differing
    over: list[Put]
    gone: np.ndarray
    beside: list[Put]
    everything: bool
    anew: bool
    held: bytes | None


def are_there(warehouse: Warehouse) -> bool:
    """Whether the last scoring run wrote the marts of this version."""
    query = sa.select(schema.RUNS.c.marts).order_by(schema.RUNS.c.run_id.desc()).limit(1)
    with warehouse.database.connect() as database:
        return bool(database.execute(query).scalar() == relations.fingerprint("marts"))


def bring(connection: duckdb.DuckDBPyConnection, database: sa.Connection, name: str, told: Numbered) -> int:
    """Makes a mart's table hold the mart's rows; returns how many were written or taken away."""
    found = differing(database, name, told)
    return carry_out(connection, database, ready(connection, database, found, keep=True))


def differing(database: sa.Connection, name: str, told: Numbered) -> Differing:
    """Compares a mart, of which the numbers are told, with its table; one with other columns counts as none."""
    kinds = told.kinds
    table = _mart_table(name.split(".")[1], kinds)
    unmade = _columns(database, table.name) != [*OWN, *kinds]
    kept = NONE if unmade else _held(database, table.name)
    unknown = told.lacking_in(kept)
    at = told.at[unknown]
    order = np.argsort(at)
    new = Numbered(told.said[unknown][order], at[order])
    places = np.arange(len(new)) + kept.at.max(initial=0) + 1
    went = kept.lacking_in(told)
    stays = Numbered(kept.said[~went], kept.at[~went])
    return Differing(name, table, kinds, kept.at[went], new, places, len(told), stays, len(kept), unmade)


def number(connection: duckdb.DuckDBPyConnection, name: str) -> Numbered:
    """The rows of a mart; those that say the same are told apart by their count."""
    kinds = {str(row[0]): str(row[1]) for row in connection.execute(f"describe {name}").fetchall()}
    listed = ", ".join(f'"{column}"' for column in kinds)
    query = f"select rowid as place, cast(hash({listed}) >> 1 as bigint) as said from {name}"
    found: Any = connection.execute(query).fetchnumpy()
    told = replace(_by_number(found["said"], found["place"]), kinds=kinds)
    again = np.flatnonzero(told.said[1:] == told.said[:-1]) + 1
    if not len(again):
        return told
    places = np.arange(len(told))
    first = places.copy()
    first[again] = 0
    counted = places - np.maximum.accumulate(first)
    return replace(_by_number((told.said + counted * APART) & np.iinfo(np.int64).max, told.at), kinds=kinds)


def _by_number(said: np.ndarray, at: np.ndarray) -> Numbered:
    order = np.argsort(said)
    return Numbered(said[order], at[order])


def write(connection: duckdb.DuckDBPyConnection, database: sa.Connection, found: Differing) -> int:
    """Takes away the rows that went and writes the new ones; returns how many both are."""
    return carry_out(connection, database, ready(connection, database, found))


def ready(
    connection: duckdb.DuckDBPyConnection, database: sa.Connection, found: Differing, *, keep: bool = False
) -> Ready:
    """Works out what is to be written and reads it, as far as it is not too much to hold.

    `keep` the numbers of its rows where the table is the whole mart then.
    """
    lite, everything = database.dialect.name == "sqlite", len(found.gone) == found.had
    anew = lite and len(found.new) > max(MOSTLY_NEW * found.told, FEW_ROWS) and (everything or not len(found.gone))
    over: list[Put] = []
    stands = np.zeros(len(found.new), dtype=np.int64)
    if lite and len(found.gone) >= OVER_FROM_ROWS and not everything:
        over, stands = _in_place(connection, database, found)
    left, beside = stands == 0, list[Put]()
    if left.any():
        names = ", ".join(f'"{column.name}"' for column in found.table.columns)
        marks = f"({names}) values ({', '.join('?' * len(found.table.columns))})"
        new = {ROW: found.places[left], SAID: found.new.said[left], AT: found.new.at[left]}
        told = tuple(_as_kept(found.table, found.kinds, database.dialect.name).values())
        beside = [_put(connection, found, f'insert into "{found.table.name}" {marks}', told, new)]
    gone = found.gone[~np.isin(found.gone, stands)]
    large = keep and found.told >= KEPT_FROM_ROWS
    held = _rows_of(found, np.where(left, found.places, stands)) if large and len(found) else None
    return Ready(found, over, gone, beside, everything, anew, held)


def _put(
    connection: duckdb.DuckDBPyConnection,
    found: Differing,
    statement: str,
    taken: tuple[str, ...],
    rows: dict[str, np.ndarray],
) -> Put:
    few = len(rows[AT]) <= HELD_ROWS_MAX
    return Put(statement, taken, rows, _of_mart(connection, found, rows, taken).fetchall() if few else None)


def carry_out(connection: duckdb.DuckDBPyConnection, database: sa.Connection, made: Ready) -> int:
    """Writes what was made ready; returns how many rows."""
    found = made.found
    if found.unmade:
        found.table.drop(database, checkfirst=True)
        found.table.create(database)
    if not len(found):
        return 0
    table, lite = found.table, database.dialect.name == "sqlite"
    if made.anew:
        for index in table.indexes:
            index.drop(database)
    _forget(database, table.name)
    for put in made.over:
        for rows in put.chunks(connection, found):
            database.exec_driver_sql(put.statement, list(rows))
    _take_away(database, table, made.gone, everything=made.everything)
    for put in made.beside:
        for rows in put.chunks(connection, found):
            if lite:
                database.exec_driver_sql(put.statement, list(rows))
            else:
                _copy_in(database, table, rows)
    if made.anew:
        for index in table.indexes:
            index.create(database)
    if made.held is not None:
        database.execute(sa.insert(schema.MART_ROWS).values(name=table.name, held=made.held))
    return len(found)


def _of_mart(
    connection: duckdb.DuckDBPyConnection, found: Differing, rows: dict[str, np.ndarray], told: Iterable[str]
) -> duckdb.DuckDBPyConnection:
    """What is to be told of rows of a mart, in the order in which they stand in the table."""
    told_rows = pa.table(rows)  # noqa: F841 - read by this name
    return connection.execute(
        f"select {', '.join(told)} from {found.name} as mart inner join told_rows on mart.rowid = told_rows.{AT}"
        f" order by {ROW}"
    )


def _in_place(
    connection: duckdb.DuckDBPyConnection, database: sa.Connection, found: Differing
) -> tuple[list[Put], np.ndarray]:
    """What puts new rows in the place of those that went and began alike, and where these stand then, 0 for the others.

    Rows that moved in the same indexed columns are written at once, and only the indexes of these are touched.
    """
    table, told = found.table, _as_kept(found.table, found.kinds, "sqlite")
    sought = [name for name in told if any(name in index.columns for index in table.indexes)]
    pairs = _pairs(connection, database, found, sought, told)
    stands = np.zeros(len(found.new), dtype=np.int64)
    stands[np.searchsorted(found.new.at, pairs[AT])] = pairs[ROW]
    said = found.new.said[np.searchsorted(found.new.at, pairs[AT])]
    over = []
    for moved in np.unique(pairs["moved"]).tolist():
        some = pairs["moved"] == moved
        still = {name for bit, name in enumerate(sought) if not moved >> bit & 1}
        taken = [name for name in told if name != ROW and name not in still]
        rows = {ROW: pairs[ROW][some], SAID: said[some], AT: pairs[AT][some]}
        set_to = ", ".join(f'"{name}" = ?' for name in taken)
        statement = f'update "{table.name}" set {set_to} where {ROW} = ?'
        over.append(_put(connection, found, statement, (*(told[name] for name in taken), ROW), rows))
    return over, stands


def _pairs(
    connection: duckdb.DuckDBPyConnection,
    database: sa.Connection,
    found: Differing,
    sought: list[str],
    told: dict[str, str],
) -> dict[str, np.ndarray]:
    """Which new row (place in the mart) goes where one that went stood, and which of the columns sought by moved."""
    begins = next(iter(found.kinds))
    wanted = list(dict.fromkeys((begins, *sought)))
    shown = ", ".join(f'cast("{name}" as text)' for name in wanted)
    query = f'select {ROW}, {shown} from "{found.table.name}" where {ROW} in (select value from json_each(?))'
    was: Any = database.exec_driver_sql(query, (json.dumps(found.gone.tolist()),)).cursor
    columns = list(zip(*was.fetchall(), strict=True)) or [()] * (1 + len(wanted))
    kinds = [pa.int64(), *[pa.string()] * len(wanted)]
    arrays = [pa.array(column, kind) for column, kind in zip(columns, kinds, strict=True)]
    connection.register("went", pa.Table.from_arrays(arrays, names=[ROW, *wanted]))
    connection.register("came", pa.table({AT: found.new.at}))
    texts = ", ".join(f'{_as_text(told[name], found.kinds[name])} as "{name}"' for name in wanted)
    moved = " + ".join(
        f'if(new."{name}" is distinct from old."{name}", {1 << bit}, 0)' for bit, name in enumerate(sought)
    )
    pairs: Any = connection.execute(
        f"""
        with old as (
            select *, row_number() over (partition by "{begins}" order by {ROW}) as nth from went
        ),

        new as (
            select *, row_number() over (partition by "{begins}" order by {AT}) as nth
            from (select {AT}, {texts} from {found.name} as mart inner join came on mart.rowid = came.{AT})
        )

        select new.{AT}, old.{ROW}, cast({moved or 0} as bigint) as moved
        from new
        inner join old on new."{begins}" is not distinct from old."{begins}" and new.nth = old.nth
        """
    ).fetchnumpy()
    return dict(pairs)


def _as_text(told: str, kind: str) -> str:
    """What SQLite makes of a value as a text."""
    return f"cast({f'cast({told} as integer)' if kind == 'BOOLEAN' else told} as varchar)"


def _mart_table(stem: str, kinds: dict[str, str]) -> sa.Table:
    """The database table of a mart of such columns."""
    published = schema.METADATA.tables.get(stem)
    name = f"mart_{stem}" if published is None else stem
    number = sa.Column(ROW, sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=False)
    told = [sa.Column(one, _kind(kind) if published is None else published.c[one].type) for one, kind in kinds.items()]
    table = sa.Table(name, sa.MetaData(), number, sa.Column(SAID, sa.BigInteger, nullable=False), *told)
    for column in told:
        if (column.name.endswith("_id") and column.name not in FEW) or column.name in SORTED_BY:
            sa.Index(f"ix_{name}_{column.name}", column)
    return table


def _columns(database: sa.Connection, name: str) -> list[str]:
    """The columns of a table, none if there is none."""
    inspector = sa.inspect(database)
    return [column["name"] for column in inspector.get_columns(name)] if inspector.has_table(name) else []


def _held(database: sa.Connection, name: str) -> Numbered:
    """The rows of a mart's table, by what was kept of them where the table is as it was then."""
    query = sa.select(schema.MART_ROWS.c.held).where(schema.MART_ROWS.c.name == name)
    kept = database.execute(query).scalar()
    if kept is not None:
        said, at = np.frombuffer(kept, dtype=np.int64).reshape(2, -1)
        stands = database.exec_driver_sql(f'select count(*), max({ROW}) from "{name}"').fetchall()[0]
        if tuple(stands) == (len(at), at.max(initial=0) or None):
            return Numbered(said, at)
    held: Any = database.exec_driver_sql(f'select {SAID}, {ROW} from "{name}"').cursor
    rows = np.array(held.fetchall(), dtype=np.int64).reshape(-1, len(OWN))
    return _by_number(*rows.T)


def _rows_of(found: Differing, stands: np.ndarray) -> bytes:
    """What is kept of a table's rows once those that are new stand in it, so that the next run need not read them."""
    come = _by_number(found.new.said, stands)
    before = np.searchsorted(found.stays.said, come.said)
    parts = np.insert(found.stays.said, before, come.said), np.insert(found.stays.at, before, come.at)
    return np.concatenate(parts).astype(np.int64).tobytes()


def _forget(database: sa.Connection, name: str) -> None:
    database.execute(sa.delete(schema.MART_ROWS).where(schema.MART_ROWS.c.name == name))


def _take_away(database: sa.Connection, table: sa.Table, gone: np.ndarray, *, everything: bool = False) -> None:
    if not len(gone):
        return
    if everything:
        database.execute(sa.delete(table))
    elif database.dialect.name == "sqlite":
        database.exec_driver_sql(f'delete from "{table.name}" where {ROW} = ?', [(one,) for one in gone.tolist()])
    else:
        database.exec_driver_sql(f'delete from "{table.name}" where {ROW} = any(%s)', (gone.tolist(),))


def _as_kept(table: sa.Table, kinds: dict[str, str], dialect: str) -> dict[str, str]:
    """What gives every column as the database's driver takes it."""
    wanted = {name: name for name in OWN}
    for name, kind in kinds.items():
        told, money = f'mart."{name}"', isinstance(table.c[name].type, schema.Money)
        if kind in ("DOUBLE", "FLOAT"):
            told = f"nullif({told}, 'nan'::double)"
        if dialect == "sqlite":
            if money:
                told = f"round(cast({told} as double), {schema.MONEY_DECIMALS})"
            elif kind == "TIMESTAMP WITH TIME ZONE":
                told = f"strftime(make_timestamp(epoch_us({told})), '%Y-%m-%d %H:%M:%S.%f')"
            elif kind == "DATE":
                told = f"cast({told} as varchar)"
        wanted[name] = told
    return wanted


def _copy_in(database: sa.Connection, table: sa.Table, rows: Sequence[Row]) -> None:
    """Appends rows to a table of PostgreSQL by the quickest way that it has."""
    names = ", ".join(f'"{column.name}"' for column in table.columns)
    driver: Any = database.connection.dbapi_connection
    with driver.cursor() as cursor, cursor.copy(f'copy "{table.name}" ({names}) from stdin') as stream:
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
    return [connection.execute(f"select * from {name}").df() for name in names]


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
