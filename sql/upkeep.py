"""Brings a database that an earlier Highwater made up to today's tables, without losing a row.

Tables that are missing are made; columns that are missing are added, empty. What cannot be added in place (a column
that must have a value, in a table that has rows) is refused by name, and so is one that another version asks of every
row. Tables of marts are left alone: every run makes those anew whose columns are others. A fingerprint of the tables is
kept in the database, so that opening one that is up to date costs a single read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from sql import relations, schema

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
        kept = set(known.get_table_names()) - {name.split(".")[1] for name in relations.names("marts")}
        held = {table: known.get_columns(table.name) for table in schema.METADATA.sorted_tables if table.name in kept}
        lacking = {
            table: [column for column in table.columns if column.name not in {one["name"] for one in columns}]
            for table, columns in held.items()
        }
        strange = {table: _unknown(table, columns) for table, columns in held.items()}
        differing = [table for table in held if lacking[table] or strange[table]]
        filled = {table: lacking[table] for table in differing if _has_rows(connection, table)}
        for table in filled:
            _refuse(table, strange[table])
        for table, columns in filled.items():
            _check(table, columns)
        for table in differing:
            if table in filled:
                _add(connection, table, filled[table])
            else:
                # without rows it is made anew, so that it gets all its constraints
                table.drop(connection)
        schema.METADATA.create_all(connection)
        connection.execute(sa.delete(STATE))
        connection.execute(sa.insert(STATE).values(fingerprint=fingerprint()))


def _unknown(table: sa.Table, held: Sequence[Mapping[str, Any]]) -> list[str]:
    """Columns that each row must fill and that today's table does not have."""
    filled = [column["name"] for column in held if not column["nullable"] and column["default"] is None]
    return [name for name in filled if name not in table.columns]


def _refuse(table: sa.Table, unknown: list[str]) -> None:
    for name in unknown:
        raise UpkeepRefused(
            f"its table {table.name} has {name}, which every row must have and this Highwater does not know: another"
            " version made it; use that one, or land the feeds in a new home"
        )


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
