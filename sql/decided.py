"""Decided tables as DuckDB reads them (`decided.<table>`), and frames back into the tables that hold them."""

from __future__ import annotations

from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import sqlalchemy as sa

from sql import schema
from sql.warehouse import read_frame

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
    arrays = [_array(frame, field) for field in fields]
    return pa.Table.from_arrays(arrays, schema=fields)


def _array(frame: pd.DataFrame, field: pa.Field) -> pa.Array:
    if field.name not in frame.columns:
        return pa.nulls(len(frame), field.type)
    values = frame[field.name]
    if pa.types.is_floating(field.type):
        values = pd.to_numeric(values.astype(object).where(values.notna(), None)).astype("float64")
    return pa.array(values, field.type, from_pandas=True)


def register(connection: duckdb.DuckDBPyConnection, table: sa.Table, frame: pd.DataFrame) -> None:
    """Shows a frame to SQL as `decided.<table>`."""
    view = f"decided_{table.name}"
    connection.register(view, as_arrow(table, frame))
    connection.execute(f"create or replace table decided.{table.name} as select * from {view}")
    connection.unregister(view)


def register_tables(connection: duckdb.DuckDBPyConnection, database: sa.Connection, *tables: sa.Table) -> None:
    """Shows tables of the database to SQL as they stand in this transaction, in one order on every database."""
    for table in tables:
        columns = [
            sa.type_coerce(c, sa.Double()).label(c.name) if isinstance(c.type, schema.Money) else c for c in table.c
        ]
        frame = read_frame(database, sa.select(*columns))
        order = [c.name for c in table.primary_key.columns] or [c.name for c in table.c]
        register(connection, table, frame.sort_values(order, kind="stable", ignore_index=True))
