"""Who is who and who trades together: identity and coordination over the facts of a run."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pandas as pd
import sqlalchemy as sa

from models.coordination import find_coordination, held, kept
from models.coordination.entries import Openings, openings
from pipelines.identity import identify
from sql import kept_trades, relations

NAMES = ("account_id", "instrument", "side", "open_reason", "magic")


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
    frame: pd.DataFrame = connection.execute(f"select * from staging.{dataset}").df()
    return frame


def _frame(connection: duckdb.DuckDBPyConnection, trades: str, *others: str) -> pd.DataFrame:
    """What is read of trades, with names as categories: millions of texts would take longer to read than to search."""
    for name in NAMES:
        told = f"select distinct {name}::varchar from {trades} where {name} is not null order by 1"
        connection.execute(f"drop type if exists told_{name}")
        connection.execute(f"create type told_{name} as enum ({told})")
    columns = [f"{name}::varchar::told_{name} as {name}" for name in NAMES]
    columns += ["lots", "opened_at", "closed_at", *others]
    frame: pd.DataFrame = connection.execute(f"select {', '.join(columns)} from {trades}").df()
    return frame


def read_openings(connection: duckdb.DuckDBPyConnection, kept_in: Path | None) -> Openings:
    """The trades of the firm; of those that `sql.kept_trades` goes on from, what an earlier run read of them."""
    base = kept_trades.base(connection)
    if kept_in is None or base is None:
        relations.build(connection, "facts.trades")
        return openings(_frame(connection, "facts.trades"))
    path = kept_in / "openings.npz"
    before = held.load(path, base)
    if before is None:
        file = str(kept_in / kept_trades.FILE).replace("'", "''")
        trades = _frame(connection, f"read_parquet('{file}', file_row_number = true)", "file_row_number")
        before = held.hold(openings(trades), trades["file_row_number"].to_numpy())
        held.save(before, base, path)
    replaced = connection.execute("select row from trades_replaced").df()["row"].to_numpy()
    return held.goes_on(before, replaced, openings(_frame(connection, "trades_added")))


def survey(
    connection: duckdb.DuckDBPyConnection, database: sa.Connection, as_of: dt.datetime, kept_in: Path | None = None
) -> Surveillance:
    """Resolves owners with the analysts' judgements and the last run's names, then finds coordination.

    `kept_in` is the folder in which one run leaves for the next what it found out; it may be deleted.
    """
    identity = identify(connection, database, as_of, kept_in / "identity.duckdb" if kept_in else None)
    accounts = staged(connection, "accounts")
    owner_of = accounts[["account_id", "trader_id"]].merge(identity.owners[["trader_id", "owner_id"]], "left")
    counted = kept_in / "coordination.npz" if kept_in else None
    before = kept.load(counted) if counted else None
    found = find_coordination(
        read_openings(connection, kept_in),
        owners=owner_of[["account_id", "owner_id"]].dropna(),
        news=staged(connection, "news"),
        accounts=accounts[["account_id", "trader_id", "platform", "server"]],
        before=before,
        keeping=counted is not None,
    )
    if counted and found.kept is not None and found.kept is not before:
        kept.save(found.kept, counted)
    return Surveillance(identity.links, identity.owners, found.pairs, found.rings, [*identity.log, *found.log])
