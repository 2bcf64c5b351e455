"""Brings a database that an earlier Highwater made up to today's tables, without losing a row.

Tables that are missing are made; columns that are missing are added, empty. What cannot be added in place (a column
that must have a value, in a table that has rows) is refused by name. A fingerprint of the tables is kept in the
database, so that opening one that is up to date costs a single read.
"""

from __future__ import annotations

import hashlib
from typing import Any

import sqlalchemy as sa

from sql import schema

STATE = sa.Table(
    "schema_state",
    schema.METADATA,
    sa.Column("fingerprint", sa.String(64), primary_key=True, comment="of the tables that this database has"),
    comment="which tables this database was last brought up to",
)


class UpkeepRefused(Exception):
    """A table that cannot be brought up to date in place."""


def fingerprint() -> str:
    """A hash of every table's columns, their types and whether they may be empty."""
    told = [
        f"{table.name}.{column.name} {column.type!r} {column.nullable}"
        for table in schema.METADATA.sorted_tables
        for column in table.columns
    ]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()


def is_current(engine: sa.Engine) -> bool:
    """Whether the database has today's tables, by one read."""
    try:
        with engine.connect() as connection:
            return connection.execute(sa.select(STATE.c.fingerprint)).scalars().all() == [fingerprint()]
    except sa.exc.DBAPIError:
        return False


def bring_up(engine: sa.Engine) -> None:
    """Makes what is missing; UpkeepRefused names the column that cannot be added, and then nothing is changed."""
    with engine.begin() as connection:
        known = sa.inspect(connection)
        present = set(known.get_table_names())
        lacking = {
            table: [column for column in table.columns if column.name not in held]
            for table in schema.METADATA.sorted_tables
            if table.name in present
            for held in [{column["name"] for column in known.get_columns(table.name)}]
        }
        filled = {table: columns for table, columns in lacking.items() if columns and _has_rows(connection, table)}
        for table, columns in filled.items():
            _check(table, columns)
        for table, columns in lacking.items():
            if table in filled:
                _add(connection, table, columns)
            elif columns:
                # without rows it is made anew, so that it gets all its constraints
                table.drop(connection)
        schema.METADATA.create_all(connection)
        connection.execute(sa.delete(STATE))
        connection.execute(sa.insert(STATE).values(fingerprint=fingerprint()))


def _has_rows(connection: sa.Connection, table: sa.Table) -> bool:
    return connection.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).first() is not None


def _check(table: sa.Table, columns: list[sa.Column[Any]]) -> None:
    for column in columns:
        if not column.nullable:
            raise UpkeepRefused(
                f"its table {table.name} was made by an earlier Highwater and lacks {column.name}, which every row must"
                " have: land the feeds in a new home"
            )


def _add(connection: sa.Connection, table: sa.Table, columns: list[sa.Column[Any]]) -> None:
    for column in columns:
        kind = column.type.compile(dialect=connection.dialect)
        name = connection.dialect.identifier_preparer.quote(column.name)
        connection.execute(sa.text(f"alter table {table.name} add column {name} {kind}"))
