"""A firm with one funded account for tests of payout reviews: its feed, its terms, and the review of its requests."""

from __future__ import annotations

import datetime as dt
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import sqlalchemy as sa

from dashboards.kit import reads
from models import catalogue
from models.payouts import desk_of, published, spells
from models.payouts.facts import Desk, Request
from pipelines.score import judge, judged_accounts, register_instruments, register_terms
from sql import relations, schema
from sql.decided import register
from tests.builders import Row, lake

START = dt.datetime(2026, 3, 2, 8, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
NOW = START + 60 * DAY
TERMS = """split = { percent = 80 }
payout = { first_after_days = 14, cycle_days = 14, minimum = 100 }"""


def product(funded: str = TERMS, name: str = "plan") -> str:
    """A product with one funded stage."""
    return f"""id = "{name}"
name = "{name}"
[[versions]]
version = 1
effective_from = 2025-01-01T00:00:00Z
clock = {{ zone = "UTC", reset = "00:00", calendar = "crypto" }}
[versions.stages.funded]
max_loss = {{ percent = 10 }}
{funded}
"""


def trade(number: int, day: float, profit: str, hours: float = 1.0, account: str = "A1", **more: Any) -> list[Row]:
    """A position opened `day` days after the start, closed some hours later."""
    at = START + day * DAY
    common = {"account_id": account, "position_id": f"P{number}", "kind": "trade", "symbol": "EURUSD", "volume": "1"}
    opened = {"deal_id": f"{number}1", "entry": "in", "side": "buy", "price": "1.1", "executed_at": at, "profit": "0"}
    closed = {"deal_id": f"{number}2", "entry": "out", "side": "sell", "price": "1.2", "profit": profit}
    closed_at = {"executed_at": at + dt.timedelta(hours=hours)}
    return [{**common, **opened, **more}, {**common, **closed, **closed_at, **more}]


def operation(number: int, day: float, amount: str, comment: str = "", account: str = "A1") -> Row:
    """A balance operation."""
    return {"account_id": account, "deal_id": f"9{number}", "kind": "balance", "profit": amount, "comment": comment} | {
        "executed_at": START + day * DAY
    }


def request(payout_id: str, day: float, amount: str, account: str = "A1", destination: str = "bank_1") -> Row:
    """A request `day` days after the start."""
    at = START + day * DAY
    return {"payout_id": payout_id, "account_id": account, "requested_at": at, "amount": amount, "method": "bank"} | {
        "destination": destination
    }


def settlement(number: int, payout_id: str, day: float, amount: str, **more: Any) -> Row:
    """A settled transfer."""
    row = {"settlement_id": f"S{number}", "payout_id": payout_id, "destination": "bank_1", "amount": amount}
    return (
        row
        | {"currency": "USD", "settled_at": START + day * DAY, "status": "settled", "reference": f"R{number}"}
        | more
    )


def feed(deals: Sequence[Row], payouts: Sequence[Row], accounts: int = 1, **more: Any) -> dict[str, list[Row]]:
    """The firm's feed: accounts A1, A2 … of traders T1, T2 …, observed as often as their balance changed."""
    rows: dict[str, list[Row]] = {
        "desks": [{"desk_id": "D1", "name": "Desk", "currency": "USD", "time_zone": "UTC"}],
        "traders": [],
        "challenges": [],
        "accounts": [],
        "deals": list(deals),
        "payouts": list(payouts),
        "logins": [{"trader_id": "T1", "occurred_at": START + 60 * DAY, "ip": "10.0.0.1"}],
        "rates": [{"currency": "USD", "day": "2026-01-01", "rate_to_usd": "1"}],
        "equity": _observed(deals),
    }
    for number in range(1, accounts + 1):
        who = {"trader_id": f"T{number}"}
        rows["traders"].append(
            who
            | {"full_name": f"Ann Trader{number}", "kyc_status": "verified", "country": "CZ"}
            | {"kyc_checked_at": START, "registered_at": START}
        )
        bought = {"challenge_id": f"C{number}", "desk_id": "D1", "product": "plan", "purchased_at": START}
        rows["challenges"].append(bought | who | {"fee": "99.00", "currency": "USD"})
        account = {"account_id": f"A{number}", "challenge_id": f"C{number}", "desk_id": "D1", "stage": "funded"}
        rows["accounts"].append(
            account | who | {"platform": "mt5", "login": str(number), "currency": "USD"}
            | {"initial_balance": "10000.00", "opened_at": START}
        )  # fmt: skip
    return rows | {name: list(listed) for name, listed in more.items()}


def _observed(deals: Sequence[Row]) -> list[Row]:
    """The balance after each money event, as a platform shows it a second later."""
    rows: list[Row] = []
    balances: dict[str, float] = {}
    for deal in sorted(deals, key=lambda one: str(one["executed_at"])):
        account = deal["account_id"]
        balances[account] = balances.get(account, 10_000.0) + float(deal["profit"])
        at = deal["executed_at"] + dt.timedelta(seconds=1)
        rows.append(
            {"account_id": account, "observed_at": at}
            | dict.fromkeys(("balance", "equity"), f"{balances[account]:.2f}")
        )
    return rows


ASKED: dict[str, tuple[list[Request], Desk]] = {}
"""What was asked of firms that were walked before, by all that makes a firm; a review has to be made anew."""


def asked(
    folder: Path,
    rows: dict[str, list[Row]],
    terms: str | None = TERMS,
    signals: Sequence[Row] = (),
    decided: Mapping[sa.Table, Sequence[Row]] | None = None,
) -> tuple[list[Request], Desk]:
    """Walks a firm; its requests and what their desks know.

    Without `terms` the folder holds its products; `decided` are rows of tables in which people answered.
    """
    settings = [one for one in os.environ.items() if one[0].startswith("HIGHWATER_")]
    made_of = repr((rows, terms, signals, decided, settings))
    if terms is None or made_of not in ASKED:
        folder.mkdir(parents=True, exist_ok=True)
        if terms is not None:
            (folder / "plan.toml").write_text(product(terms), encoding="utf-8")
        with world(folder, rows, signals, decided) as connection:
            requests = spells.show(connection, catalogue.load(folder), NOW)
            ASKED[made_of] = requests, desk_of(connection, requests, NOW)
    return ASKED[made_of]


def reviewed(
    folder: Path, rows: dict[str, list[Row]], terms: str | None = TERMS, **more: Any
) -> dict[str, dict[str, Any]]:
    """Walks and reviews a firm; the published reviews by request, checks by name."""
    records: list[dict[str, Any]] = reads.records(published(*asked(folder, rows, terms, **more)))
    told = {row["payout_id"]: row for row in records}
    for row in told.values():
        row["checks"] = {check["check"]: check for check in json.loads(row["checks"])}
    return told


@contextmanager
def world(
    folder: Path,
    rows: dict[str, list[Row]],
    signals: Sequence[Row] = (),
    decided: Mapping[sa.Table, Sequence[Row]] | None = None,
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A firm of the products in a folder, walked and ready for review."""
    rulebook, as_of = catalogue.load(folder), NOW
    with duckdb.connect(config={"threads": 1}) as connection:
        lake(connection, rows)
        relations.prepare(connection, as_of)
        register_terms(connection, rulebook)
        register_instruments(connection)
        relations.build(connection, "facts.accounts")
        judged = judge(connection, judged_accounts(connection), rulebook, as_of)
        register(connection, schema.ACCOUNT_STATUS, judged.status)
        register(connection, schema.VERDICTS, judged.verdicts)
        register(connection, schema.ACCOUNT_DAYS, judged.days)
        empty = (schema.OWNERS, schema.COPY_PAIRS, schema.COPY_RINGS)
        for table, held in (*((one, ()) for one in empty), (schema.SIGNALS, signals), *(decided or {}).items()):
            columns = [column.name for column in table.columns]
            register(connection, table, pd.DataFrame(list(held), columns=columns))
        yield connection
