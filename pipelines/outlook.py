"""What would end or pass one live account, worked out when somebody asks: it moves with every trade of the account."""

from __future__ import annotations

from typing import Any

from models.catalogue import Rulebook
from pipelines.score import register_terms
from sql import duck, relations, schema
from sql.decided import register_of
from sql.warehouse import Warehouse

NAME = "facts.outlook"
READS = ("daily_loss", "max_loss", "profit_target", "consistency")
"""The rules whose terms it reads."""


def outlook(warehouse: Warehouse, rulebook: Rulebook, account_id: str) -> dict[str, Any] | None:
    """The row of `facts.outlook` of an account as it stands in the database; None where it does not live."""
    with duck.connect({"threads": 1}) as connection:
        relations.prepare(connection, None)
        register_terms(connection, rulebook, rules=READS)
        with warehouse.database.connect() as database:
            register_of(connection, database, [account_id], schema.ACCOUNT_STATUS, schema.ACCOUNT_DAYS)
        relations.build(connection, NAME)
        found = connection.sql(f"from {NAME}").df()
    return None if found.empty else {str(name): value for name, value in found.iloc[0].items()}
