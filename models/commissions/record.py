"""Shows what was settled to the marts."""

from __future__ import annotations

import datetime as dt

import duckdb
import pandas as pd
import pyarrow as pa
import sqlalchemy as sa

from models.attribution import Attributed
from models.commissions.settle import COLUMNS, Settled, settle_all
from sql import schema
from sql.decided import register

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
    """Settles commissions and registers `decided.commissions` and `decided.commission_entries`; writes nothing."""
    settled = settle_all(connection, database, as_of, given=given, suspects=suspects)
    register(connection, schema.COMMISSIONS, settled.commissions)
    arrays = [pa.array(settled.entries[name], _TYPES.get(name, pa.string()), from_pandas=True) for name in COLUMNS]
    connection.register("settled_entries", pa.Table.from_arrays(arrays, names=list(COLUMNS)))
    connection.execute("create or replace table decided.commission_entries as select * from settled_entries")
    connection.unregister("settled_entries")
    return settled
