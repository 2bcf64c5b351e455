"""The ledger: every currency balances, nothing is posted twice, a liability rolls forward without a gap."""

from __future__ import annotations

import dataclasses
import datetime as dt

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models import ledger
from models.ledger import ACCOUNTS, PAYABLE, Entry, LedgerRefused
from sql.desk_schema import LEDGER_ENTRIES
from sql.warehouse import Warehouse

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
