"""The ledger: every currency balances, nothing is posted twice, a liability rolls forward without a gap."""

from __future__ import annotations

import dataclasses
import datetime as dt
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models import ledger
from models.decisions import settling
from models.ledger import ACCOUNTS, PAYABLE, Entry, LedgerRefused
from sql import relations, schema
from sql.decided import register, register_tables
from sql.desk_schema import LEDGER_ENTRIES
from sql.warehouse import Warehouse
from tests.builders import lake
from tests.payout_world import DAY, START, feed, request, settlement, trade

GOOD = [*trade(1, 1, "600"), *trade(2, 2, "700")]
T0 = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
ENTRIES = st.lists(
    st.builds(
        lambda n, sides, currency, minor, day: Entry(
            f"e{n}", sides[0], sides[1], currency, minor, T0 + dt.timedelta(days=day), f"s{n}", ""
        ),
        st.integers(0, 10_000),
        st.lists(st.sampled_from(ACCOUNTS), min_size=2, max_size=2, unique=True),
        st.sampled_from(("EUR", "JPY")),
        st.integers(1, 10**12),
        st.integers(0, 30),
    ),
    unique_by=lambda entry: entry.entry_id,
    max_size=30,
)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(ENTRIES, st.integers(0, 30), st.integers(0, 30))
def test_books_balance_and_roll_forward(entries: list[Entry], first: int, days: int) -> None:
    warehouse = Warehouse.open(_home())
    since, until = T0 + dt.timedelta(days=first), T0 + dt.timedelta(days=first + days)
    with warehouse.database.begin() as connection:
        assert ledger.post(connection, entries) == len(entries)
        assert ledger.post(connection, entries) == 0
        held = ledger.balances(connection)
        rolled = ledger.roll_forward(connection, since, until)
    for currency in ("EUR", "JPY"):
        assert sum(minor for (_, one), minor in held.items() if one == currency) == 0
    for one in rolled:
        due = [e.minor * ((e.credit == PAYABLE) - (e.debit == PAYABLE)) for e in _of(entries, one.currency, until)]
        assert one.opening + one.accrued - one.settled == one.closing == sum(due)
    warehouse.database.dispose()


def _of(entries: list[Entry], currency: str, until: dt.datetime) -> list[Entry]:
    return [entry for entry in entries if entry.currency == currency and entry.happened_at < until]


def _home() -> str:
    import tempfile

    return tempfile.mkdtemp(prefix="ledger-")


def test_the_same_id_with_another_amount_is_refused(warehouse: Warehouse) -> None:
    entry = Entry("e1", "cash", "fees", "EUR", 100, T0, "p1", "")
    with warehouse.database.begin() as connection:
        ledger.post(connection, [entry])
        with pytest.raises(LedgerRefused, match="already posted as 100 EUR, not 101"):
            ledger.post(connection, [dataclasses.replace(entry, minor=101)])


@pytest.mark.parametrize("statement", [sa.update(LEDGER_ENTRIES).values(minor=1), sa.delete(LEDGER_ENTRIES)])
def test_entries_are_never_changed(warehouse: Warehouse, statement: sa.Executable) -> None:
    with warehouse.database.begin() as connection:
        ledger.post(connection, [Entry("e1", "cash", "fees", "EUR", 100, T0, "p1", "")])
    with pytest.raises(sa.exc.DatabaseError, match="append-only"), warehouse.database.begin() as connection:
        connection.execute(statement)


@pytest.mark.parametrize(("debit", "credit", "minor"), [("cash", "cash", 1), ("cash", "fees", 0), ("cash", "fees", -1)])
def test_the_database_refuses_entries_that_move_nothing(
    warehouse: Warehouse, debit: str, credit: str, minor: int
) -> None:
    entry = dataclasses.asdict(Entry("e1", debit, credit, "EUR", minor, T0, "p1", ""))
    with pytest.raises(sa.exc.IntegrityError), warehouse.database.begin() as connection:
        connection.execute(sa.insert(LEDGER_ENTRIES).values(**entry))


FEEDS = st.lists(
    st.tuples(st.integers(0, 6), st.integers(0, 500), st.sampled_from([("cash", "fees"), ("refunds", "cash")])),
    max_size=8,
    unique_by=lambda one: one[0],
)


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(FEEDS, min_size=1, max_size=4))
def test_corrected_feeds_are_restated_without_changing_a_row(deliveries: list[list[Any]]) -> None:
    warehouse = Warehouse.open(_home())
    rows_before: list[Any] = []
    for place, told in enumerate(deliveries):
        wanted = [Entry(f"payment:{n}", sides[0], sides[1], "EUR", minor, T0, f"{n}", "") for n, minor, sides in told]
        at = T0 + dt.timedelta(days=place)
        with warehouse.database.begin() as connection:
            ledger.restate(connection, wanted, at)
            assert ledger.restate(connection, wanted, at) == 0
            held = ledger.balances(connection)
            rows = connection.execute(sa.select(LEDGER_ENTRIES)).fetchall()
        assert set(rows_before) <= set(rows), "what was posted stays as it is"
        rows_before = list(rows)
        for name in ("cash", "fees", "refunds"):
            due = sum(e.minor * ((e.debit == name) - (e.credit == name)) for e in wanted)
            assert held.get((name, "EUR"), 0) == due
    warehouse.database.dispose()


def test_the_feeds_money_is_booked_by_a_run_and_paid_twice_is_in_question(tmp_path: Path) -> None:
    rows = feed(
        GOOD,
        [request("Q1", 20, "1000"), request("Q2", 40, "1000")],
        settlements=[
            settlement(1, "Q1", 22, "800", fee="2"),
            settlement(2, "Q1", 23, "800"),
            settlement(3, "Q2", 42, "800", status="returned"),
            settlement(4, "", 43, "55", destination="nobody"),
            settlement(5, "", 44, "-12", destination="nobody"),
        ],
        payments=[
            {"payment_id": f"Y{n}", "trader_id": "T1", "kind": kind, "amount": "99", "currency": "USD"}
            | {"occurred_at": START}
            for n, kind in enumerate(("purchase", "refund", "chargeback", "purchase"))
        ],
    )
    held = booked(tmp_path, rows)
    assert held == {
        "cash": 2 * 9_900 - 2 * 9_900 - 80_000 - 200 - 80_000 - 5_500 + 1_200,
        "fees": -19_800,
        "refunds": 9_900,
        "chargebacks": 9_900,
        "traders' profit": 100_000,
        "firm's share": -20_000,
        "transfer fees": 200,
        "transfers in question": 80_000 + 5_500 - 1_200,
    }
    assert sum(held.values()) == 0


def booked(folder: Path, rows: dict[str, list[Any]]) -> dict[str, int]:
    """Balances by account after the feeds of a firm were booked, twice."""
    warehouse = Warehouse.open(folder / "home")
    with duckdb.connect(config={"threads": 1}) as connection, warehouse.database.begin() as database:
        lake(connection, rows)
        relations.prepare(connection, START + 60 * DAY)
        reviews = [
            {"payout_id": name, "trader_share": 800.0, "firm_share": 200.0, "account_id": "A1"} for name in ("Q1", "Q2")
        ]
        register(connection, schema.PAYOUT_REVIEWS, pd.DataFrame(reviews))
        register_tables(connection, database, *settling.TABLES)
        earned = "select '' as partner_id, '' as challenge_id, '' as event, 1 as level, 0.0 as amount,"
        connection.execute(
            f"create table decided.commission_entries as {earned} 'USD' as currency, now() as happened_at"
        )
        assert ledger.restate(database, ledger.from_feeds(connection), START) > 0
        assert ledger.restate(database, ledger.from_feeds(connection), START) == 0
        held = {name: minor for (name, _), minor in ledger.balances(database).items() if minor}
    warehouse.database.dispose()
    return held
