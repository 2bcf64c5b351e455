"""How many executions and observations accounts have, counted on from what a run left for the next.

A count goes on by the rows that landed since. Where another version of a record is among these, its account, which had
counted the record before, is counted from the start.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import duckdb

from sql import kept_files, relations
from sql.kept_files import Rests

NAME = "facts.account_records"
FILE = "account_records.parquet"
KEPT_FROM_RECORDS = 1_000_000
"""Fewer are counted in a moment, and nothing is kept."""
MOST_ANEW = 0.1
"""Once more of the records landed since, everything is kept afresh."""
DATED = {"deals": "executed_at", "equity": "observed_at"}

_RECOUNTED = """
    select distinct '{dataset}' as dataset, account_id
    from lake.{dataset}
    where _version > 1 and ({landed} or {at} > timestamptz '{as_of}')
"""
_LANDED = """
    select '{dataset}' as dataset, account_id, count(*) as records, max({at}) as newest_at
    from staging.{dataset}
    where {landed}
    group by account_id
    union all
    -- what had landed and lay ahead of the run
    select '{dataset}', account_id, count(*), max({at})
    from staging.{dataset}
    where {at} > timestamptz '{as_of}' and not {landed}
    group by account_id
"""
_OF_RECOUNTED = """
    select '{dataset}' as dataset, account_id, count(*) as records, max({at}) as newest_at
    from staging.{dataset}
    semi join (select account_id from recounted where dataset = '{dataset}') as again using (account_id)
    group by account_id
"""
_COUNTED_ON = """
    create table facts.account_records as
    with added as (
        select dataset, account_id, cast(sum(records) as bigint) as records, max(newest_at) as newest_at
        from (select * from landed anti join recounted using (dataset, account_id) union all ({of_recounted}))
        group by dataset, account_id
    ),

    kept as (
        select * from read_parquet(?) anti join recounted using (dataset, account_id)
    )

    select
        dataset,
        account_id,
        coalesce(kept.records, 0) + coalesce(added.records, 0) as records,
        greatest(kept.newest_at, added.newest_at) as newest_at
    from kept
    full join added using (dataset, account_id)
"""


def build(connection: duckdb.DuckDBPyConnection, kept_in: Path) -> None:
    """Builds `facts.account_records`, where it can on from what a folder keeps, and leaves there what the next goes on
    from."""
    path, now = kept_in / FILE, kept_files.rests(connection, _code(), *DATED)
    if sum(sum(loads.values()) for loads in now["loads"].values()) < KEPT_FROM_RECORDS:
        return relations.build(connection, NAME)
    before = kept_files.read(connection, path)
    if before is not None and kept_files.goes_on(before, now):
        if _counted_on(connection, path, before, now) > MOST_ANEW:
            kept_files.leave(connection, path, NAME, now)
        return None
    relations.build(connection, NAME)
    if before is None or before["as_of"] <= now["as_of"]:
        kept_files.leave(connection, path, NAME, now)
    return None


@cache
def _code() -> str:
    return kept_files.code(__file__, ("staging.deals", "staging.equity", NAME))


def _counted_on(connection: duckdb.DuckDBPyConnection, path: Path, before: Rests, now: Rests) -> float:
    """Counts on from what is kept; the share of records that were counted."""
    relations.build(connection, *(f"staging.{dataset}" for dataset in DATED))

    def of_both(query: str) -> str:
        return " union all ".join(query.format_map(_named(dataset, before, now)) for dataset in DATED)

    connection.execute(f"create or replace temp table recounted as {of_both(_RECOUNTED)}")
    connection.execute(f"create or replace temp table landed as {of_both(_LANDED)}")
    connection.execute(_COUNTED_ON.format(of_recounted=of_both(_OF_RECOUNTED)), [str(path)])
    query = f"select (select sum(records) from landed) / sum(records) from {NAME}"
    share = float(connection.execute(query).fetchall()[0][0] or 0)
    connection.execute("drop table landed; drop table recounted")
    return share


def _named(dataset: str, before: Rests, now: Rests) -> dict[str, str]:
    """What the queries have to be told of a dataset."""
    loads = [load for load in now["loads"][dataset] if load not in before["loads"][dataset]]
    landed = f"_load_id in ({', '.join(loads)})" if loads else "false"
    return {"dataset": dataset, "at": DATED[dataset], "landed": landed, "as_of": before["as_of"]}
