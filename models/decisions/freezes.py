"""Freezes that analysts recommend: read as they stand, since a review knows of them only from its next run on."""

from __future__ import annotations

from collections.abc import Collection

import sqlalchemy as sa

from sql import schema
from sql.case_schema import CASES


def recommended(connection: sa.Connection, trader_ids: Collection[str]) -> dict[str, str]:
    """Cases in which a freeze is recommended now, by trader of their owners, among some traders."""
    cases, owners = CASES.c, schema.OWNERS.c
    trader = sa.func.coalesce(owners.trader_id, cases.trader_id)
    joined = sa.select(trader, cases.case_id).outerjoin(schema.OWNERS, cases.owner_id == owners.owner_id)
    found = connection.execute(joined.where(cases.to_freeze, trader.in_(trader_ids)).order_by(cases.opened_at))
    return {row[0]: row[1] for row in found}
