"""The steps of some challenges, worked out when somebody asks: few are ever looked at, and those are few rows."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import duckdb
import pandas as pd
import sqlalchemy as sa

from sql import relations, schema
from sql.decided import register
from sql.warehouse import Warehouse, read_frame

NAME = "facts.lifecycle"
READS = ("challenges", "accounts", "payouts", "settlements")
OF_CHALLENGES = {
    "challenges": "list_has_any(?, [challenge_id, reset_of])",
    "accounts": "list_contains(?, challenge_id)",
}
"""The records of challenges, with those that they were restarted as."""


def lifecycle(warehouse: Warehouse, challenges: Sequence[str], as_of: dt.datetime) -> pd.DataFrame:
    """The rows of `facts.lifecycle` of some challenges in their order, as accounts stand in the database."""
    with warehouse.engine(as_of, memory="1GB", datasets=READS) as connection:
        for dataset, wanted in OF_CHALLENGES.items():
            told = relations.text(f"staging.{dataset}")
            connection.execute(f"create table staging.{dataset} as from ({told}) where {wanted}", [list(challenges)])
        _register_ends(connection, warehouse)
        relations.build(connection, NAME)
        query = f"from {NAME} where list_contains(?, challenge_id) order by challenge_id, sequence"
        return connection.execute(query, [list(challenges)]).df()


def _register_ends(connection: duckdb.DuckDBPyConnection, warehouse: Warehouse) -> None:
    """Shows what the database says of the accounts."""
    accounts = [one for (one,) in connection.execute("select account_id from staging.accounts").fetchall()]
    with warehouse.database.connect() as database:
        for table in (schema.ACCOUNT_STATUS, schema.VERDICTS):
            held = read_frame(database, sa.select(table).where(table.c.account_id.in_(accounts)))
            register(connection, table, held)
