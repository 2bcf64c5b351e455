"""What would end or pass one live account, worked out when somebody asks: it moves with every trade of the account."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from models.catalogue import Rulebook
from pipelines.score import register_terms
from sql import duck, relations, schema
from sql.decided import register
from sql.warehouse import Warehouse, read_frame

NAME = "facts.outlook"
READS = ("daily_loss", "max_loss", "profit_target", "consistency")
"""The rules whose terms it reads."""


def outlook(warehouse: Warehouse, rulebook: Rulebook, account_id: str) -> dict[str, Any] | None:
    """The row of `facts.outlook` of an account as it stands in the database; None where it does not live."""
    with duck.connect({"threads": 1}) as connection:
        relations.prepare(connection, None)
        register_terms(connection, rulebook, rules=READS)
        with warehouse.database.connect() as database:
            for table in (schema.ACCOUNT_STATUS, schema.ACCOUNT_DAYS):
                register(
                    connection, table, read_frame(database, sa.select(table).where(table.c.account_id == account_id))
                )
        relations.build(connection, NAME)
        found = connection.sql(f"from {NAME}").df()
    return None if found.empty else {str(name): value for name, value in found.iloc[0].items()}
