"""Decided tables as DuckDB reads them (`decided.<table>`), and frames back into the tables that hold them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from sql import schema
from sql.warehouse import read_frame, replace_rows

_ARROW: tuple[tuple[type[Any], pa.DataType], ...] = (
    (schema.Instant, pa.timestamp("us", tz="UTC")),
    (schema.Money, pa.float64()),
    (sa.Double, pa.float64()),
    (sa.BigInteger, pa.int64()),
    (sa.Integer, pa.int64()),
    (sa.Boolean, pa.bool_()),
    (sa.Date, pa.date32()),
)


def arrow_schema(table: sa.Table) -> pa.Schema:
    """The Arrow types of a table's columns; amounts become floats, which judge but never pay."""
    return pa.schema([pa.field(column.name, _arrow_type(column)) for column in table.columns])


def _arrow_type(column: sa.Column[Any]) -> pa.DataType:
    return next((arrow for kind, arrow in _ARROW if isinstance(column.type, kind)), pa.string())


def as_arrow(table: sa.Table, frame: pd.DataFrame) -> pa.Table:
    """A frame in the types of a table, columns that it lacks empty."""
    fields = arrow_schema(table)
    if frame.empty:
        return fields.empty_table()
    arrays = [_array(frame, field) for field in fields]
    return pa.Table.from_arrays(arrays, schema=fields)


def _array(frame: pd.DataFrame, field: pa.Field) -> pa.Array:
    if field.name not in frame.columns:
        return pa.nulls(len(frame), field.type)
    values = frame[field.name]
    if pa.types.is_floating(field.type) and values.dtype != np.float64:
        values = pd.to_numeric(values.astype(object).where(values.notna(), None)).astype("float64")
    if pa.types.is_date(field.type):
        # a column without a day is one of floats that are none
        values = values.astype(object)
    return pa.array(values, field.type, from_pandas=True)


def register(connection: duckdb.DuckDBPyConnection, table: sa.Table, frame: pd.DataFrame) -> None:
    """Shows a frame to SQL as `decided.<table>`."""
    _show(connection, table, as_arrow(table, frame))


def _show(connection: duckdb.DuckDBPyConnection, table: sa.Table, shown: pa.Table) -> None:
    # read by the name of the variable: to register it would take longer than all the rest
    connection.execute(f"create or replace table decided.{table.name} as from shown")


def register_tables(connection: duckdb.DuckDBPyConnection, database: sa.Connection, *tables: sa.Table) -> None:
    """Shows tables of the database to SQL as they stand in this transaction, in one order on every database."""
    for table in tables:
        _show(connection, table, _in_order(table, _held(database, table)))


def register_of(
    connection: duckdb.DuckDBPyConnection, database: sa.Connection, accounts: Sequence[str], *tables: sa.Table
) -> None:
    """Shows what tables of the database say of some accounts to SQL."""
    for table in tables:
        register(connection, table, read_frame(database, sa.select(table).where(table.c.account_id.in_(accounts))))


def _held(database: sa.Connection, table: sa.Table) -> pa.Table:
    columns = [sa.type_coerce(c, sa.Double()).label(c.name) if isinstance(c.type, schema.Money) else c for c in table.c]
    return as_arrow(table, read_frame(database, sa.select(*columns)))


def _in_order(table: sa.Table, rows: pa.Table) -> pa.Table:
    return rows.sort_by([(name, "ascending") for name in [c.name for c in table.primary_key] or table.c.keys()])


class Draft:
    """What a run is going to write, shown to SQL as it will stand; until `write` nobody waits for the run.

    Reads by the connection that it is given; what it has been told is written in the order of telling.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, database: sa.Connection) -> None:
        self._connection, self._database = connection, database
        self._held: dict[str, pa.Table] = {}
        self._writes: list[Callable[[sa.Connection], None]] = []

    def replace(self, table: sa.Table, frame: pd.DataFrame, where: Mapping[str, list[str]] | None = None) -> None:
        """Puts a frame in the place of a table's rows, as `replace_rows` does."""
        self.show(table, frame, where)
        self.then(lambda database: replace_rows(database, table, frame, where))

    def show(
        self,
        table: sa.Table,
        frame: pd.DataFrame,
        where: Mapping[str, list[str]] | None = None,
        staying: Callable[[pa.Table], pa.Array] | None = None,
    ) -> None:
        """Shows a table as it will stand; who calls it writes by `then`. Of the rows not in `where` some may stay."""
        rows = as_arrow(table, _as_kept(table, frame))
        if where is not None:
            others = self._others(table, where)
            rows = pa.concat_tables([others if staying is None else others.filter(staying(others)), rows])
        self._held[table.name] = rows
        _show(self._connection, table, _in_order(table, rows))

    def _others(self, table: sa.Table, where: Mapping[str, list[str]]) -> pa.Table:
        """The rows of a table that stay when those whose column holds one of the given values go."""
        held = self._held.get(table.name)
        held = _held(self._database, table) if held is None else held
        for name, values in where.items():
            held = held.filter(pc.invert(pc.is_in(held[name], pa.array(values, held[name].type))))
        return held

    def then(self, write: Callable[[sa.Connection], None]) -> None:
        """Notes what else is to be written."""
        self._writes.append(write)

    def write(self, database: sa.Connection) -> None:
        """Writes everything."""
        for write in self._writes:
            write(database)


def _as_kept(table: sa.Table, frame: pd.DataFrame) -> pd.DataFrame:
    """A frame with amounts as near as the database keeps them."""
    amounts = [c.name for c in table.c if isinstance(c.type, schema.Money) and c.name in frame.columns]
    return frame.assign(**{name: np.array([_kept(value) for value in frame[name].tolist()]) for name in amounts})


def _kept(amount: Any) -> float:
    return math.nan if amount is None or amount != amount else round(float(amount), schema.MONEY_DECIMALS)
