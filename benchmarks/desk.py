"""The desk measured: the audit chain, decisions in a batch, and matching of public bank transactions.

    python -m benchmarks.desk [--transactions FOLDER]

FOLDER holds `transactions_origin.parquet` and `transactions_destination.parquet` of the public Splink data sets
(moj-analytical-services/splink_datasets); without it only the desk itself is measured.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import tempfile
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import sqlalchemy as sa

from benchmarks.measure import machine, table
from models import audit, settlements
from models.access import Person
from models.audit import Record
from models.decisions import desk
from sql import schema
from sql.desk_schema import DECISIONS, PAYOUT_STATES
from sql.warehouse import Warehouse, read_frame

RECORDS = 100_000
REQUESTS = 20_000


def chain(records: int = RECORDS) -> dict[str, float]:
    """Records appended and verified in a second, on SQLite, in one batch."""
    with tempfile.TemporaryDirectory() as home:
        warehouse = Warehouse.open(home)
        told = [
            Record("pavel", "payout approve", f"payout:Q{n}", "clean", "payout_reviewer", {"state": "in_review"})
            for n in range(records)
        ]
        begun = time.perf_counter()
        with warehouse.database.begin() as connection:
            audit.append(connection, *told)
        appended = time.perf_counter()
        with warehouse.database.connect() as connection:
            broken = audit.verify(connection)
        verified = time.perf_counter()
        warehouse.database.dispose()
    if broken is not None:
        raise RuntimeError(f"the chain breaks at {broken.seq}")
    return {"appended_per_s": records / (appended - begun), "verified_per_s": records / (verified - appended)}


def batch(requests: int = REQUESTS) -> dict[str, float]:
    """Clean requests approved in a second as the queue page does it, on SQLite, and the decisions that they make."""
    checks = json.dumps(
        [
            {
                "check": "split",
                "outcome": "passed",
                "numbers": {"split_pct": "80", "amount_usd": 100, "paid_before": 1},
            },
            {"check": "payee", "outcome": "passed", "numbers": {}},
            *({"check": f"check_{n}", "outcome": "passed", "sentence": "It holds.", "numbers": {}} for n in range(25)),
        ]
    )
    parts = {"trader_share": Decimal(80), "firm_share": Decimal(20), "deductions": Decimal(0)}
    review = {"amount": Decimal(100), "eligible": True, "recommendation": "approve", "checks": checks} | parts
    now = dt.datetime(2026, 11, 2, tzinfo=dt.UTC)
    account = {"desk_id": "D1", "product": "plan", "product_version": 1, "stage": "funded", "currency": "EUR"}
    account |= {"status": "active", "status_at": now, "as_of": now}
    ids = [f"Q{n}" for n in range(requests)]
    with tempfile.TemporaryDirectory() as home:
        warehouse = Warehouse.open(home)
        with warehouse.database.begin() as connection:
            rows = [{"payout_id": one, "account_id": f"A-{one}"} for one in ids]
            connection.execute(sa.insert(schema.PAYOUT_REVIEWS), [row | review for row in rows])
            known = [{"account_id": row["account_id"], "trader_id": f"T-{row['payout_id']}"} for row in rows]
            connection.execute(sa.insert(schema.ACCOUNT_STATUS), [row | account for row in known])
        begun = time.perf_counter()
        done = desk.approve_clean(warehouse.database, Person("pavel", "payout_reviewer"), ids)
        took = time.perf_counter() - begun
        with warehouse.database.connect() as connection:
            decisions = connection.execute(sa.select(sa.func.count()).select_from(DECISIONS)).scalar_one()
        warehouse.database.dispose()
    if not all(one.done for one in done):
        raise RuntimeError("not every clean request was approved")
    return {"requests_per_s": requests / took, "decisions_per_s": decisions / took}


def queue(requests: int = RECORDS) -> dict[str, float]:
    """What the queue and the review page ask of SQLite at so many requests, seconds each (best of 3)."""
    with tempfile.TemporaryDirectory() as home:
        warehouse = Warehouse.open(home)
        _fill(warehouse, requests)
        held, reviews, states = _QUEUE.c, schema.PAYOUT_REVIEWS.c, PAYOUT_STATES.c
        waiting = (held.waits == sa.true(), held.desk_id.in_(["D1", "D2"]))
        page = sa.select(_QUEUE).where(*waiting).order_by(sa.nulls_last(held.requested_at)).limit(200)
        ids = [f"Q{n}" for n in range(0, 400, 2)]
        asked = {
            "queue_count": [sa.select(sa.func.count()).select_from(sa.select(_QUEUE).where(*waiting).subquery())],
            "queue_page": [
                page,
                sa.select(schema.PAYOUT_REVIEWS).where(reviews.payout_id.in_(ids)),
                sa.select(PAYOUT_STATES).where(states.payout_id.in_(ids)),
            ],
            "review_page": [
                sa.select(_QUEUE).where(held.payout_id == "Q7"),
                sa.select(schema.PAYOUT_REVIEWS).where(reviews.payout_id == "Q7"),
                sa.select(DECISIONS).where(DECISIONS.c.payout_id == "Q7"),
                sa.select(_QUEUE).where(held.account_id == "A7").order_by(held.requested_at.desc()),
                sa.select(PAYOUT_STATES).order_by(states.updated_at.desc()).limit(500),
            ],
        }
        with warehouse.database.connect() as connection:
            took = {name: min(_took(connection, queries) for _ in range(3)) for name, queries in asked.items()}
        warehouse.database.dispose()
    return took


def _took(connection: sa.Connection, queries: list[sa.Select[Any]]) -> float:
    begun = time.perf_counter()
    for query in queries:
        read_frame(connection, query)
    return time.perf_counter() - begun


_QUEUE = sa.Table(
    "mart_payout_queue",
    sa.MetaData(),
    *(sa.Column(name, sa.Text, index=True) for name in ("payout_id", "account_id", "trader_id", "desk_id")),
    *(sa.Column(name, sa.Text) for name in ("trader_name", "currency", "state", "destination")),
    sa.Column("waits", sa.Boolean, index=True),
    sa.Column("requested_at", schema.Instant, index=True),
    sa.Column("amount", sa.Double),
)
"""The columns of the queue's mart that are filtered and sorted by, indexed as a scoring run indexes them."""


def _fill(warehouse: Warehouse, requests: int) -> None:
    """Requests of which one in ten waits, each reviewed, half of them on the desk."""
    now = dt.datetime(2026, 11, 2, tzinfo=dt.UTC)
    checks = json.dumps(
        [{"check": f"check_{n}", "outcome": "passed", "sentence": "It holds.", "numbers": {}} for n in range(25)]
    )
    _QUEUE.create(warehouse.database)
    rows = [
        {"payout_id": f"Q{n}", "account_id": f"A{n}", "trader_id": f"T{n}", "desk_id": f"D{n % 4}"}
        | {"waits": n % 10 == 0, "requested_at": now - dt.timedelta(minutes=n), "amount": 100.0, "currency": "EUR"}
        for n in range(requests)
    ]
    with warehouse.database.begin() as connection:
        connection.execute(sa.insert(_QUEUE), rows)
        told = [{"payout_id": row["payout_id"], "account_id": row["account_id"], "checks": checks} for row in rows]
        common = {"amount": Decimal(100), "eligible": True, "recommendation": "approve"}
        connection.execute(sa.insert(schema.PAYOUT_REVIEWS), [row | common for row in told])
        stands = {"currency": "EUR", "state": "requested", "version": 1, "profit_minor": 1, "approvals_needed": 1}
        stands |= {"policy_version": 1, "transfers": 0, "updated_at": now}
        names = ("payout_id", "account_id", "desk_id")
        connection.execute(
            sa.insert(PAYOUT_STATES), [{name: row[name] for name in names} | stands for row in rows[: requests // 2]]
        )


def bank(folder: Path) -> dict[str, float]:
    """Precision and recall on the public bank transactions; the right side is shuffled, ids are not looked at."""
    sides = [pd.read_parquet(folder / f"transactions_{name}.parquet") for name in ("origin", "destination")]
    sides[1] = sides[1].sample(frac=1, random_state=1)
    begun = time.perf_counter()
    found = settlements.match(*(_side(one) for one in sides))
    took = time.perf_counter() - begun
    joined = sides[0].merge(sides[1], on="ground_truth")
    truth = list(zip(joined["unique_id_x"], joined["unique_id_y"], strict=True))
    precision, recall = settlements.precision_recall(found.pairs, truth)
    return {"records": len(sides[0]), "precision": precision, "recall": recall, "seconds": took}


def _side(rows: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "id": rows["unique_id"],
            "at": pd.to_datetime(rows["transaction_date"], utc=True),
            "amount": rows["amount"],
            "text": rows["memo"],
            "currency": "GBP",
            "known": None,
        }
    )


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--transactions", type=Path, help="folder of the public bank transactions")
    given = parser.parse_args()
    rows = [[f"{name.replace('_', ' ')}, ms", f"{1000 * value:,.0f}"] for name, value in queue().items()]
    rows += [
        [f"audit chain: records {name.replace('_per_s', '')} a second", f"{v:,.0f}"] for name, v in chain().items()
    ]
    rows += [[f"batch approval: {name.replace('_per_s', '')} a second", f"{v:,.0f}"] for name, v in batch().items()]
    if given.transactions:
        rows += [[f"bank: {name}", f"{value:,.3f}"] for name, value in bank(given.transactions).items()]
    print(table([f"{RECORDS:,} requests, {RECORDS:,} records, SQLite", "measured"], rows))
    print(f"\n{machine('sqlalchemy')}. Repeat: `python -m benchmarks.desk`.")


if __name__ == "__main__":
    main()
