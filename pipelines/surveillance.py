"""Who is who and who trades together: identity and coordination over the facts of a run."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pandas as pd
import sqlalchemy as sa

from models.coordination import find_coordination, kept
from pipelines.identity import identify
from sql import relations


@dataclass(frozen=True)
class Surveillance:
    """Links, owners, copying pairs and rings in published columns, and what was remarked on the way."""

    links: pd.DataFrame
    owners: pd.DataFrame
    pairs: pd.DataFrame
    rings: pd.DataFrame
    log: list[str]


def staged(connection: duckdb.DuckDBPyConnection, dataset: str) -> pd.DataFrame:
    """The newest records of a dataset as a frame."""
    relations.build(connection, f"staging.{dataset}")
    frame: pd.DataFrame = connection.sql(f"select * from staging.{dataset}").df()
    return frame


def _trades(connection: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    """The trades of the firm, with names as categories: millions of texts would take longer to read than to search."""
    relations.build(connection, "facts.trades")
    for name in ("account_id", "instrument", "side"):
        told = f"select distinct {name}::varchar from facts.trades where {name} is not null order by 1"
        connection.execute(f"drop type if exists told_{name}")
        connection.execute(f"create type told_{name} as enum ({told})")
    columns = ", ".join(f"{name}::varchar::told_{name} as {name}" for name in ("account_id", "instrument", "side"))
    trades: pd.DataFrame = connection.sql(f"select {columns}, lots, opened_at, closed_at from facts.trades").df()
    return trades


def survey(
    connection: duckdb.DuckDBPyConnection, database: sa.Connection, as_of: dt.datetime, kept_in: Path | None = None
) -> Surveillance:
    """Resolves owners with the analysts' judgements and the last run's names, then finds coordination.

    `kept_in` is the folder in which one run leaves for the next what it found out; it may be deleted.
    """
    identity = identify(connection, database, as_of, kept_in / "identity.duckdb" if kept_in else None)
    accounts = staged(connection, "accounts")
    owner_of = accounts[["account_id", "trader_id"]].merge(identity.owners[["trader_id", "owner_id"]], "left")
    trades = _trades(connection)
    counted = kept_in / "coordination.npz" if kept_in else None
    before = kept.load(counted) if counted else None
    found = find_coordination(
        trades,
        owners=owner_of[["account_id", "owner_id"]].dropna(),
        news=staged(connection, "news"),
        accounts=accounts[["account_id", "platform"]],
        before=before,
        keeping=counted is not None,
    )
    if counted and found.kept is not None and found.kept is not before:
        kept.save(found.kept, counted)
    return Surveillance(identity.links, identity.owners, found.pairs, found.rings, [*identity.log, *found.log])
