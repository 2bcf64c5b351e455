"""A small desk for tests: reviewed requests in the database, and the people who act on them."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from contextlib import nullcontext
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from models.access import Person
from sql import schema
from sql.warehouse import Warehouse

NOW = dt.datetime(2026, 11, 2, 9, tzinfo=dt.UTC)
RITA = Person("rita", "risk_analyst")
PAVEL = Person("pavel", "payout_reviewer")
PETRA = Person("petra", "payout_reviewer")
MARIA = Person("maria", "manager")
AUDE = Person("aude", "auditor")


def checks(
    *,
    usd: float | None = 500.0,
    paid_before: int = 1,
    payee: str = "passed",
    paid: bool = False,
    stripped: Sequence[str] = (),
) -> str:
    """The checks of a review that decide who must agree, and what rules have taken."""
    taken = [{"trade_id": one, "rule": "holding_time", "taken": "100.00"} for one in stripped]
    return json.dumps(
        [
            {
                "check": "split",
                "outcome": "passed",
                "numbers": {"split_pct": "80", "amount_usd": usd} | {"paid_before": paid_before},
            },
            {"check": "payee", "outcome": payee, "numbers": {}},
            {"check": "stripped_trades", "outcome": "failed" if taken else "passed", "numbers": {"trades": taken}},
            {"check": "transfer", "outcome": "passed" if paid else "not_applicable", "numbers": {"paid": paid}},
        ]
    )


def add_request(
    place: Warehouse | sa.Connection,
    payout_id: str = "Q1",
    *,
    amount: str = "1000.00",
    deductions: str = "0",
    recommendation: str = "approve",
    desk: str = "prague",
    split: int = 80,
    **said: Any,
) -> str:
    """A reviewed request of an account of its own; returns its id."""
    payable = Decimal(amount) - Decimal(deductions)
    trader = payable * split / 100
    review = {
        "payout_id": payout_id,
        "account_id": f"A-{payout_id}",
        "amount": Decimal(amount),
        "eligible": recommendation != "reject",
        "recommendation": recommendation,
        "trader_share": trader,
        "firm_share": payable - trader,
        "deductions": Decimal(deductions),
        "checks": checks(**said),
    }
    account = {
        "account_id": f"A-{payout_id}",
        "trader_id": f"T-{payout_id}",
        "desk_id": desk,
        "product": "plan",
        "product_version": 1,
        "stage": "funded",
        "currency": "EUR",
        "platform": "mt5",
        "status": "active",
        "status_at": NOW,
        "as_of": NOW,
    }
    known = {column.name for column in schema.ACCOUNT_STATUS.columns}
    rows = {schema.PAYOUT_REVIEWS: review, schema.ACCOUNT_STATUS: {k: v for k, v in account.items() if k in known}}
    with nullcontext(place) if isinstance(place, sa.Connection) else place.database.begin() as connection:
        for table, row in rows.items():
            connection.execute(sa.insert(table).values(**row))
    return payout_id
