"""Steps that no verdict causes: who is asked for identification, and who is offered to come back."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest

from pipelines.live import steps
from sql import schema
from sql.decided import register
from sql.warehouse import Warehouse
from tests.test_score_same import land

NOW = dt.datetime(2026, 3, 31, 12, tzinfo=dt.UTC)
TICK = dt.timedelta(microseconds=1)


def days(number: float) -> dt.timedelta:
    return dt.timedelta(days=number)


def feed(**people: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """A trader each, with a challenge and its account; `bought`, `asked` (a payout), `kyc`, `checked`, `agreed`."""
    rows: dict[str, list[dict[str, Any]]] = {
        name: [] for name in ("traders", "challenges", "accounts", "payouts", "consents")
    }
    for name, told in people.items():
        bought = told.get("bought", NOW - days(60))
        who = {"trader_id": f"T-{name}", "desk_id": "D1", "challenge_id": f"C-{name}"}
        rows["traders"].append(
            {"trader_id": f"T-{name}", "full_name": name, "kyc_status": told.get("kyc", "verified"),
             "kyc_checked_at": told.get("checked", ""), "registered_at": NOW - days(400)}
        )  # fmt: skip
        rows["challenges"].append(who | {"product": "p", "purchased_at": bought, "fee": "100", "currency": "USD"})
        if told.get("opened", True):
            rows["accounts"].append(
                who | {"account_id": name, "stage": "funded", "platform": "mt5", "login": name, "currency": "USD",
                       "initial_balance": "100000", "opened_at": bought}
            )  # fmt: skip
        if "asked" in told:
            rows["payouts"].append(
                {"payout_id": f"P-{name}", "account_id": name, "requested_at": told["asked"], "amount": "10"}
            )
        rows["consents"] += [
            {"trader_id": f"T-{name}", "occurred_at": NOW - days(50) + days(place), "given": given}
            for place, given in enumerate(told.get("agreed", ()))
        ]
    return rows


@pytest.fixture
def engine(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[duckdb.DuckDBPyConnection]:
    """The engine over a firm of the people that a test names."""
    house = Warehouse.open(tmp_path / "home")
    land(house, feed(**request.param), "firm")
    with house.engine(NOW) as connection:
        for table in (schema.ACCOUNT_STATUS, schema.RISK_SCORES):
            register(connection, table, pd.DataFrame(columns=[column.name for column in table.columns]))
        yield connection


def asked(connection: duckdb.DuckDBPyConnection) -> set[tuple[str, str, str, str]]:
    return {(one.name, one.about, one.account_id, one.rule) for one in steps.due(connection)}


PEOPLE = {
    "on": {"kyc": "none", "bought": NOW - days(7) + TICK},
    "over": {"kyc": "none", "bought": NOW - days(7)},
    "early": {"kyc": "expired", "bought": NOW - days(1), "opened": False},
    "under_way": {"kyc": "pending", "bought": NOW - days(1), "asked": NOW - days(1)},
    "known": {"kyc": "verified", "bought": NOW - days(1)},
    "paid": {"kyc": "rejected", "asked": NOW - days(2)},
    "fresh": {"kyc": "verified", "checked": NOW - days(367), "asked": NOW - days(2)},
    "stale": {"kyc": "verified", "checked": NOW - days(367) - TICK, "asked": NOW - days(2)},
}


@pytest.mark.parametrize("engine", [PEOPLE], indirect=True)
def test_identification_is_asked_for_at_purchase_and_again_at_a_payout(engine: duckdb.DuckDBPyConnection) -> None:
    assert asked(engine) == {
        ("ask_kyc", "C-on", "on", "purchase"),
        ("ask_kyc", "C-early", "C-early", "purchase"),
        ("ask_kyc", "P-paid", "paid", "payout"),
        ("ask_kyc", "P-stale", "stale", "payout"),
    }


GONE: dict[str, dict[str, Any]] = {
    name: {"agreed": ["yes"]} for name in ("back", "soon", "long", "still", "passed", "risky", "again")
}
GONE |= {"never_said": {}, "no_more": {"agreed": ["yes", "no"]}}
GONE["again"]["bought"] = NOW - days(19)
ENDED = {name: ("breached", NOW - days(20)) for name in GONE}
ENDED |= {"soon": ("breached", NOW - days(14) + TICK), "long": ("breached", NOW - days(44))}
ENDED |= {
    "back": ("expired", NOW - days(14)),
    "still": ("active", NOW - days(20)),
    "passed": ("passed", NOW - days(20)),
}


@pytest.mark.parametrize("engine", [GONE], indirect=True)
def test_who_left_may_be_written_to_and_is_not_suspected_is_offered_to_come_back(
    engine: duckdb.DuckDBPyConnection,
) -> None:
    status = pd.DataFrame(
        {"account_id": name, "trader_id": f"T-{name}", "desk_id": "D1", "status": state, "status_at": at}
        for name, (state, at) in ENDED.items()
    )
    scores = pd.DataFrame([{"account_id": "risky", "trader_id": "T-risky", "band": "high"}])
    for table, frame in ((schema.ACCOUNT_STATUS, status), (schema.RISK_SCORES, scores)):
        register(engine, table, frame.reindex(columns=[column.name for column in table.columns]).astype(object))
    assert asked(engine) == {("offer_winback", "back", "back", "win_back")}
