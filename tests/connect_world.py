"""What the tests of live connectors share: a home with two accounts, settings, and running a stream for a while."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import sqlalchemy as sa

from pipelines.connect import connectors
from pipelines.connect.kit.settings import Settings
from pipelines.connect.runner import Runner, Tally, run_connection
from pipelines.land import land_frame
from sql.connect_schema import CONNECTION_CURSORS, CONNECTION_FINDINGS, CONNECTIONS
from sql.warehouse import Warehouse

FAST = {
    "backoff_first_seconds": 0.01,
    "backoff_longest_seconds": 0.05,
    "land_every_seconds": 0.02,
    "poll_seconds": 0.02,
}


def home(folder: Path, platform: str, logins: dict[str, str]) -> Warehouse:
    """A warehouse that knows accounts of a platform by login."""
    warehouse = Warehouse.open(folder / "home")
    accounts = [
        {
            "account_id": account_id,
            "challenge_id": f"c-{account_id}",
            "trader_id": "t-1",
            "desk_id": "d-1",
            "stage": "evaluation_1",
            "platform": platform,
            "login": login,
            "currency": "USD",
            "initial_balance": "10000",
            "opened_at": pd.Timestamp("2026-01-01T00:00:00Z"),
        }
        for login, account_id in logins.items()
    ]
    land_frame(warehouse, "accounts", pd.DataFrame(accounts), file="accounts", quick=True)
    return warehouse


def settings(warehouse: Warehouse, **values: Any) -> Settings:
    """Settings of a connection that waits for nothing."""
    return Settings("test", {**FAST, **values}, home=warehouse.home)


def once(warehouse: Warehouse, connector: str, told: Settings, said: list[str] | None = None) -> Tally:
    """Catch up once."""
    opened = connectors()[connector].open_connector(told)
    return run_connection(warehouse, opened, told, True, (said if said is not None else []).append)


async def follow(
    warehouse: Warehouse, connector: str, told: Settings, until: Callable[[], bool], said: list[str] | None = None
) -> Tally:
    """Follow the stream until something holds; two minutes without it fail the test."""
    opened = connectors()[connector].open_connector(told)
    runner = Runner(warehouse, opened, told, (said if said is not None else []).append)
    task = asyncio.create_task(runner.run(once=False))
    try:
        async with asyncio.timeout(120):
            while not until():
                await asyncio.sleep(0.02)
                if task.done():
                    task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    return runner.tally


def deals(warehouse: Warehouse) -> dict[str, dict[str, Any]]:
    """The newest version of every deal in the lake, by its id, amounts as exact decimals."""
    with warehouse.engine() as connection:
        found = connection.execute("select * from lake.deals order by deal_id, _version")
        names = [column[0] for column in found.description or []]
        rows = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
    return {row["deal_id"]: row for row in rows}


def stored(warehouse: Warehouse, table: sa.Table) -> list[dict[str, Any]]:
    """The rows of a table of the connectors."""
    with warehouse.database.connect() as database:
        return [dict(row) for row in database.execute(sa.select(table)).mappings()]


def findings(warehouse: Warehouse, kind: str) -> dict[str, str]:
    """The open findings of a kind by subject."""
    rows = stored(warehouse, CONNECTION_FINDINGS)
    return {row["subject"]: row["detail"] for row in rows if row["kind"] == kind and row["settled_at"] is None}


def cursors(warehouse: Warehouse) -> dict[str, str]:
    """The stored cursors by the platform's key."""
    return {row["platform_id"]: row["resume_from"] for row in stored(warehouse, CONNECTION_CURSORS)}


def state(warehouse: Warehouse) -> dict[str, Any]:
    """How the connection fares."""
    return next(iter(stored(warehouse, CONNECTIONS)), {"state": None, "rows_landed": 0})
