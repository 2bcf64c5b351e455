"""Shows what was settled to the marts, and what was held or refused on the way."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import duckdb
import pandas as pd
import pyarrow as pa
import sqlalchemy as sa

from models.attribution import Attributed
from models.commissions.settle import COLUMNS, Settled, settle_all
from sql import relations, schema
from sql.decided import register
from sql.one_line import one_line

_TYPES: dict[str, pa.DataType] = {
    "level": pa.int64(),
    "amount": pa.float64(),
    "happened_at": pa.timestamp("us", tz="UTC"),
    "due_at": pa.timestamp("us", tz="UTC"),
    "plan_version": pa.int64(),
    "source": pa.int64(),
}


def record(
    connection: duckdb.DuckDBPyConnection,
    database: sa.Connection,
    as_of: dt.datetime,
    given: Attributed,
    suspects: pd.DataFrame | None = None,
) -> Settled:
    """Settles commissions and shows `decided.commissions`, `commission_entries`, `partner_places` and `held_back`;
    writes nothing."""
    settled = settle_all(connection, database, as_of, given=given, suspects=suspects)
    settled = replace(settled, log=[*settled.log, *unrated(connection)])
    register(connection, schema.COMMISSIONS, settled.commissions)
    arrays = [pa.array(settled.entries[name], _TYPES.get(name, pa.string()), from_pandas=True) for name in COLUMNS]
    connection.register("settled_entries", pa.Table.from_arrays(arrays, names=list(COLUMNS)))
    connection.execute("create or replace table decided.commission_entries as select * from settled_entries")
    connection.unregister("settled_entries")
    places = [pa.array(settled.places[name], pa.string(), from_pandas=True) for name in settled.places]
    connection.register("settled_places", pa.Table.from_arrays(places, names=list(settled.places)))
    connection.execute("create or replace table decided.partner_places as select * from settled_places")
    connection.unregister("settled_places")
    connection.execute("create or replace table decided.held_back (place integer, told varchar)")
    for place, told in enumerate(settled.log):
        connection.execute("insert into decided.held_back values (?, ?)", [place, one_line(told)])
    return settled


def unrated(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Currencies whose money cannot be turned into another, a sentence each."""
    relations.build(connection, "checks.unrated")
    rows = connection.execute("select currency, rated_since, told from checks.unrated order by currency").fetchall()
    return [
        f"no rate for {currency}{f' before {since}' if since else ''} ({told}): commissions that need one are held"
        " and other amounts stay out of sums in another currency until one lands"
        for currency, since, told in rows
    ]
