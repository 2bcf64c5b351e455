"""Tells which rows of a delivery are new, which change a record, and which were there already.

Rows that no other row contests (their key is new to the lake and stands once in the delivery) need no comparison; the
rest is compared column by column, as distinct values, with the row before it and with the newest version in the lake.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from sql.schema import Dataset

STREAM_ROWS = 100_000


@dataclass(frozen=True)
class Versions:
    """What is new in a delivery: rows to land, how many were there already, how many change an earlier version."""

    landed: int
    duplicates: int
    corrections: int


def compare(
    connection: duckdb.DuckDBPyConnection,
    dataset: Dataset,
    staged: Path,
    lake: list[str],
    untold: Collection[str] = (),
) -> Versions:
    """Compares staged rows (`_row` their order) with the lake's files and leaves the answer in the connection.

    A row equal to the version before it is a duplicate; a key whose last row equals the lake's newest version brings
    nothing new at all; every other row is a version of its own. In columns that are `untold`, empty in every row, a
    record stays as the lake's newest version has it.
    """
    connection.execute(f"create view staged as select * from read_parquet({_literal(f'{staged}/*.parquet')})")
    held = f"select * from read_parquet([{', '.join(_literal(file) for file in lake)}])" if lake else _EMPTY_LAKE
    connection.execute(f"create view held as {held}")
    for statement in (_contested(dataset), _newest(dataset), _told(dataset, sorted(untold)), _changed(dataset)):
        connection.execute(statement)
    total, told = _count(connection, "staged"), _count(connection, "told")
    changed, corrections = _count(connection, "changed"), _count(connection, "changed where _version > 1")
    landed = total - told + changed
    return Versions(landed, total - landed, corrections)


_EMPTY_LAKE = "select *, 0 as _version from staged where false"


def stream(connection: duckdb.DuckDBPyConnection, dataset: Dataset, load_id: int) -> pa.RecordBatchReader:
    """The rows to land after `compare`, in the order of the delivery, with load, line and version."""
    rows = connection.sql(
        f"""
        select {_columns(dataset, "staged", load_id)}, 1::integer as _version
        from staged
        where {_hash(dataset)} not in (select hash from contested)
        union all
        select {_columns(dataset, "told", load_id)}, changed._version::integer as _version
        from told join changed using (_row)
        """
    )
    return rows.to_arrow_reader(STREAM_ROWS)


def _columns(dataset: Dataset, relation: str, load_id: int) -> str:
    named = [f"{relation}.{name}" for name in dataset.names]
    return ", ".join([*named, f"{load_id}::bigint as _load_id", f"{relation}._line"])


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _count(connection: duckdb.DuckDBPyConnection, relation: str) -> int:
    # All rows are fetched: a result left open would block the connection's next statement.
    return int(connection.execute(f"select count(*) from {relation}").fetchall()[0][0])


def _hash(dataset: Dataset, relation: str = "") -> str:
    return f"hash({', '.join(f'{relation}.{name}' if relation else name for name in dataset.key)})"


def _joined(dataset: Dataset, one: str, other: str) -> str:
    return " and ".join(f"{one}.{name} = {other}.{name}" for name in dataset.key)


def _same(dataset: Dataset, one: str, other: str) -> str:
    """Every column outside the key is the same in both, missing values included."""
    values = [name for name in dataset.names if name not in dataset.key]
    return " and ".join(f"{one}.{name} is not distinct from {other}.{name}" for name in values)


def _contested(dataset: Dataset) -> str:
    """Hashes of keys that stand more than once in the delivery or are in the lake; a collision costs a comparison."""
    return f"""
        create table contested as
        with keyed as materialized (select {_hash(dataset)} as hash from staged),
        found as (
            select hash, true as is_repeated from keyed group by hash having count(*) > 1
            union all
            select {_hash(dataset)}, false from held where {_hash(dataset)} in (select hash from keyed)
        )
        select hash, bool_or(is_repeated) as is_repeated from found group by hash
    """


def _newest(dataset: Dataset) -> str:
    """The lake's newest version of every contested key."""
    key = ", ".join(dataset.key)
    return f"""
        create view newest as
        with corrected as (select {key}, max(_version) as newest from held where _version > 1 group by {key})
        select held.*
        from held
        join contested on contested.hash = {_hash(dataset, "held")}
        left join corrected using ({key})
        where corrected.newest is null or held._version = corrected.newest
    """


def _told(dataset: Dataset, untold: list[str]) -> str:
    """Rows of contested keys, in untold columns with what is known of their records."""
    kept = f" replace ({', '.join(f'newest.{name} as {name}' for name in untold)})" if untold else ""
    known = f"left join newest on {_joined(dataset, 'newest', 'staged')}" if untold else ""
    return f"""
        create view told as
        select staged.*{kept}, contested.is_repeated
        from staged join contested on contested.hash = {_hash(dataset, "staged")}
        {known}
    """


def _changed(dataset: Dataset) -> str:
    """Rows that are a version of their own: keys that stand once in the delivery, then those that repeat, in order."""
    key = ", ".join(dataset.key)
    return f"""
        create table changed as
        with ordered as (
            select _row, {key},
                lag(_row) over (partition by {key} order by _row) as before_row,
                lead(_row) over (partition by {key} order by _row) is null as is_last
            from told
            where is_repeated
        ),
        compared as (
            select ordered.*, newest._version as held_version,
                newest._version is not null and {_same(dataset, "told", "newest")} as as_held,
                prior._row is not null and {_same(dataset, "told", "prior")} as as_before
            from ordered
            join told on told._row = ordered._row
            left join newest on {_joined(dataset, "newest", "ordered")}
            left join told as prior on prior._row = ordered.before_row
        ),
        settled as (
            select *, bool_or(is_last and as_held) over (partition by {key}) as is_settled from compared
        )
        select told._row, coalesce(newest._version, 0) + 1 as _version
        from told left join newest on {_joined(dataset, "newest", "told")}
        where not told.is_repeated
            and (newest._version is null or not ({_same(dataset, "told", "newest")}))
        union all
        select _row, coalesce(held_version, 0) + row_number() over (partition by {key} order by _row)
        from settled
        where not is_settled and not (case when before_row is null then as_held else as_before end)
    """
