"""The steps of some challenges, worked out when somebody asks: few are ever looked at, and those are few rows."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import pandas as pd

from sql import relations, schema
from sql.decided import register_of
from sql.warehouse import Warehouse

NAME = "facts.lifecycle"
READS = ("challenges", "accounts", "payouts", "settlements")
"""The datasets that it reads."""
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
        accounts = [one for (one,) in connection.execute("select account_id from staging.accounts").fetchall()]
        with warehouse.database.connect() as database:
            register_of(connection, database, accounts, schema.ACCOUNT_STATUS, schema.VERDICTS)
        relations.build(connection, NAME)
        query = f"from {NAME} where list_contains(?, challenge_id) order by challenge_id, sequence"
        return connection.execute(query, [list(challenges)]).df()
