"""Marts: the SQL files behind the pages, computed once a run and kept as tables of the database."""

from __future__ import annotations

from typing import Any

import duckdb
import pandas as pd
import sqlalchemy as sa

from sql import relations, schema
from sql.warehouse import read_frame, replace_rows

# Beside ids, what pages filter and sort by.
SORTED_BY = ("status", "state", "place", "status_at", "requested_at", "waits")


def publish(connection: duckdb.DuckDBPyConnection, database: sa.Connection) -> None:
    """Builds every mart and puts it in its table: a published one of that name, else `mart_<name>`."""
    for name in relations.names("marts"):
        relations.build(connection, name)
        stem = name.split(".")[1]
        frame = connection.sql(f"select * from {name}").df()
        table = schema.METADATA.tables.get(stem)
        replace_rows(database, table if table is not None else _mart_table(database, connection, name), frame)


def _mart_table(database: sa.Connection, connection: duckdb.DuckDBPyConnection, name: str) -> sa.Table:
    """The database table of a mart, made anew when the mart's columns have changed."""
    columns = [(row[0], row[1]) for row in connection.execute(f"describe {name}").fetchall()]
    wanted = [sa.Column(column, _kind(kind)) for column, kind in columns]
    table = sa.Table(f"mart_{name.split('.')[1]}", sa.MetaData(), *wanted)
    inspector = sa.inspect(database)
    if inspector.has_table(table.name):
        there = [column["name"] for column in inspector.get_columns(table.name)]
        if there == [column for column, _ in columns]:
            return table
        table.drop(database)
    table.create(database)
    for column in wanted:
        if column.name.endswith("_id") or column.name in SORTED_BY:
            sa.Index(f"ix_{table.name}_{column.name}", column).create(database)
    return table


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


def read(database: sa.Connection, name: str, **equal: Any) -> pd.DataFrame:
    """Rows of a mart of the last run whose columns have the values given; empty when there is no such mart yet."""
    inspector = sa.inspect(database)
    if not inspector.has_table(f"mart_{name}"):
        return pd.DataFrame()
    columns = [
        sa.column(held["name"], schema.Instant() if isinstance(held["type"], sa.DateTime) else held["type"])
        for held in inspector.get_columns(f"mart_{name}")
    ]
    table = sa.table(f"mart_{name}", *columns)
    wanted = [table.c[column] == value for column, value in equal.items() if value is not None]
    return read_frame(database, sa.select(table).where(*wanted))


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """A frame's rows as records."""
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict(orient="records")]
