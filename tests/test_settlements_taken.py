"""Transfers that the provider tells of move each request once; what does not fit is held, named and never paid."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
import sqlalchemy as sa

from models import audit, ledger
from models.access import AccessRefused, Person
from models.decisions import desk, settling
from models.decisions.machine import MoveRefused
from models.decisions.settling import Taken, Transfer
from sql import relations
from sql.desk_schema import DECISIONS, LEDGER_ENTRIES, PAYOUT_STATES, RECONCILIATION_MARKS, SETTLEMENT_EVENTS
from sql.warehouse import Warehouse
from tests.builders import lake
from tests.desk_world import AUDE, NOW, PAVEL, PETRA, add_request
from tests.killed import killed_at
from tests.payout_world import request, settlement

DAY = dt.timedelta(days=1)
LATER = NOW + DAY


def told(settlement_id: str = "S1", status: str = "settled", **said: Any) -> Transfer:
    """A transfer of what is due for Q1."""
    fields: dict[str, Any] = {
        "version": 1,
        "payout_id": "Q1",
        "amount": Decimal("800.00"),
        "fee": None,
        "currency": "EUR",
    } | {
        "destination": "iban",
        "asked_destination": "iban",
        "settled_at": LATER,
    }
    return Transfer(settlement_id=settlement_id, status=status, **(fields | said))


def queued(warehouse: Warehouse, *payout_ids: str) -> None:
    """Requests that one person has granted: 800.00 each are due."""
    for payout_id in payout_ids or ("Q1",):
        add_request(warehouse, payout_id)
        desk.act(warehouse.database, PAVEL, payout_id, "approve", at=NOW)


def taken(warehouse: Warehouse, *transfers: Transfer) -> list[Taken]:
    return settling.take_in(warehouse.database, transfers, at=LATER)


def state(warehouse: Warehouse, payout_id: str = "Q1") -> str:
    with warehouse.database.connect() as connection:
        held = desk.state_of(connection, payout_id)
    assert held is not None
    return held.state


def books(warehouse: Warehouse) -> dict[str, int]:
    """Debits less credits by account; the chain holds and the sum is nothing."""
    with warehouse.database.connect() as connection:
        held = {name: minor for (name, _), minor in ledger.balances(connection).items() if minor}
        assert audit.verify(connection) is None
    assert sum(held.values()) == 0
    return held


@pytest.mark.parametrize(
    ("statuses", "stands", "owed"),
    [
        (["sent"], "sent", 80_000),
        (["settled"], "settled", 0),
        (["sent", "settled"], "settled", 0),
        (["failed"], "failed", 80_000),
        (["sent", "returned"], "returned", 80_000),
        (["settled", "returned"], "returned", 80_000),
        (["returned"], "returned", 80_000),
    ],
)
def test_a_request_goes_where_its_transfer_went(
    warehouse: Warehouse, statuses: list[str], stands: str, owed: int
) -> None:
    queued(warehouse)
    versions = [told(status=status, version=number) for number, status in enumerate(statuses, 1)]
    assert [one.outcome for one in taken(warehouse, *versions)] == ["moved"] * len(versions)
    assert taken(warehouse, *versions) == [], "told again it does nothing"
    assert state(warehouse) == stands
    assert -books(warehouse).get(ledger.PAYABLE, 0) == owed
    with warehouse.database.connect() as connection:
        last = connection.execute(sa.select(DECISIONS.c.person).order_by(DECISIONS.c.version.desc())).scalars().first()
        told_of = connection.execute(
            sa.select(LEDGER_ENTRIES.c.happened_at).where(LEDGER_ENTRIES.c.memo == "payout paid")
        )
        assert set(told_of.scalars()) <= {LATER}, "money is booked when it moved"
    assert last == "highwater"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"amount": Decimal("799.98")}, "799.98 EUR was sent, 800.00 is due"),
        ({"amount": Decimal("-800.00")}, "-800.00 EUR was sent"),
        ({"currency": "USD"}, "sent in USD, Q1 is due in EUR"),
        ({"destination": "another"}, "another destination"),
        ({"payout_id": "Q2"}, "Q2 is not on the desk"),
    ],
)
def test_what_does_not_fit_is_held_by_name(warehouse: Warehouse, said: dict[str, Any], why: str) -> None:
    queued(warehouse)
    found = taken(warehouse, told(**said))
    assert [one.outcome for one in found] == ["held"]
    assert why in found[0].told
    assert state(warehouse) == "queued"
    assert -books(warehouse)[ledger.PAYABLE] == 80_000
    taken(warehouse, told(**said))
    with warehouse.database.connect() as connection:
        held = connection.execute(sa.select(SETTLEMENT_EVENTS.c.outcome)).scalars().all()
        assert held == ["held"]
        assert audit.recent(connection, 1)[0]["action"] == "transfer held"


@pytest.mark.parametrize(
    ("amount", "fee", "cost"), [("800.00", "2.50", 250), ("797.50", "2.50", 0), ("799.99", None, 0)]
)
def test_a_cost_is_the_firms_when_it_comes_on_top(
    warehouse: Warehouse, amount: str, fee: str | None, cost: int
) -> None:
    queued(warehouse)
    taken(warehouse, told(amount=Decimal(amount), fee=Decimal(fee) if fee else None))
    held = books(warehouse)
    assert held.get(ledger.TRANSFER_FEES, 0) == cost
    assert held[ledger.CASH] == -80_000 - cost


def test_paid_twice_is_held_and_a_failed_one_is_sent_again_under_another_id(warehouse: Warehouse) -> None:
    queued(warehouse)
    taken(warehouse, told("S1"))
    twice = taken(warehouse, told("S2"))
    assert "paid twice: S1" in twice[0].told
    taken(warehouse, told("S1", "returned", version=2))
    desk.act(warehouse.database, PAVEL, "Q1", "requeue", _version(warehouse), at=LATER)
    late = taken(warehouse, told("S1", "settled", version=3))
    assert "attempt 1" in late[0].told
    assert taken(warehouse, told("S3"))[0].outcome == "moved"
    assert state(warehouse) == "settled"
    assert books(warehouse)[ledger.CASH] == -80_000


def test_a_failed_transfer_that_is_told_as_settled_after_all_is_held(warehouse: Warehouse) -> None:
    queued(warehouse)
    taken(warehouse, told(status="failed"))
    assert "is failed" in taken(warehouse, told(version=2))[0].told
    assert -books(warehouse)[ledger.PAYABLE] == 80_000


def test_money_sent_before_anybody_granted_it_is_held_until_then(warehouse: Warehouse) -> None:
    add_request(warehouse)
    desk.act(warehouse.database, PAVEL, "Q1", "take", at=NOW)
    assert "is in review" in taken(warehouse, told())[0].told
    desk.act(warehouse.database, PAVEL, "Q1", "approve", _version(warehouse), at=LATER)
    assert taken(warehouse, told())[0].outcome == "moved"
    assert books(warehouse)[ledger.CASH] == -80_000


@pytest.mark.parametrize("before", [dt.timedelta(seconds=1), dt.timedelta(days=90)])
def test_what_is_owed_is_never_less_than_nothing(warehouse: Warehouse, before: dt.timedelta) -> None:
    """Money that left before its grant pays the debt once it stands: the books of no day owe less than nothing."""
    queued(warehouse)
    assert taken(warehouse, told(settled_at=NOW - before))[0].outcome == "moved"
    with warehouse.database.connect() as connection:
        for since in (NOW - 2 * before, NOW - before / 2, NOW):
            for one in ledger.roll_forward(connection, since, NOW + dt.timedelta(microseconds=1)):
                assert (one.opening, one.accrued, one.settled, one.closing) == (0, 80_000, 80_000, 0)
        assert ledger.roll_forward(connection, NOW - 2 * before, NOW) == []


def _version(warehouse: Warehouse) -> int:
    with warehouse.database.connect() as connection:
        held = desk.state_of(connection, "Q1")
    assert held is not None
    return held.version


def test_only_transfers_of_the_desk_that_moved_nothing_yet_are_taken_in(warehouse: Warehouse) -> None:
    queued(warehouse, "Q1", "Q2", "Q3")
    rows = {
        "payouts": [request(f"Q{n}", 1, "1000", f"A-Q{n}", "iban") for n in (1, 2, 3, 4)],
        "settlements": [
            settlement(1, "Q1", 2, "800"),
            settlement(2, "Q2-1", 2, "800", destination="iban"),
            settlement(3, "", 2, "800", reference="Q3-1"),
            settlement(4, "Q4", 2, "800"),
            settlement(5, "", 2, "800"),
        ],
    }
    assert _to_take_in(warehouse, rows) == {"S1": "Q1", "S2": "Q2", "S3": "Q3"}
    taken(warehouse, told("S1"))
    assert _to_take_in(warehouse, rows) == {"S2": "Q2", "S3": "Q3"}


def _to_take_in(warehouse: Warehouse, rows: dict[str, list[Any]]) -> dict[str, str]:
    with duckdb.connect(config={"threads": 1}) as connection, warehouse.database.connect() as database:
        lake(connection, rows)
        relations.prepare(connection, NOW)
        return {one.settlement_id: one.payout_id for one in settling.to_take_in(connection, database)}


def test_a_person_puts_a_leftover_with_its_request(warehouse: Warehouse) -> None:
    queued(warehouse)
    done = _mark(warehouse, PAVEL, told())
    assert done is not None
    assert done.outcome == "moved"
    assert state(warehouse) == "settled"
    with pytest.raises(MoveRefused, match=r"marked matched meanwhile by pavel"):
        _mark(warehouse, PETRA, told())
    with warehouse.database.connect() as connection:
        actions = [one["action"] for one in audit.recent(connection, 50)]
    assert "marked matched" in actions
    with pytest.raises(sa.exc.DatabaseError), warehouse.database.begin() as connection:
        connection.execute(sa.delete(RECONCILIATION_MARKS))


@pytest.mark.parametrize("by_hand", [True, False])
@pytest.mark.parametrize(("left", "status"), [(NOW - DAY, "settled"), (LATER, "settled"), (LATER, "returned")])
def test_money_in_question_that_pays_a_request_leaves_once_on_every_day(
    warehouse: Warehouse, left: dt.datetime, status: str, *, by_hand: bool
) -> None:
    asked_for = "" if by_hand else "Q1"
    question = ledger.Entry(
        "settlement:S1:question", ledger.IN_QUESTION, ledger.CASH, "EUR", 80_000, left, asked_for or "S1", "asked"
    )
    other = dataclasses.replace(question, entry_id="settlement:S1:2:question", subject_id="S1:2", minor=500)
    with warehouse.database.begin() as connection:
        ledger.restate(connection, [question, other], NOW)
    queued(warehouse)
    one = told(status=status, settled_at=left)
    done = [_mark(warehouse, PAVEL, one)] if by_hand else taken(warehouse, one)
    assert [each and each.outcome for each in done] == ["moved"]
    with warehouse.database.begin() as connection:
        query = sa.select(LEDGER_ENTRIES).order_by(LEDGER_ENTRIES.c.happened_at)
        cash = [
            (row.happened_at, row.minor * ((row.debit == ledger.CASH) - (row.credit == ledger.CASH)))
            for row in connection.execute(query)
        ]
        days = sorted({when for when, _ in cash if when >= left})
        gone = [sum(minor for when, minor in cash if when <= day) for day in days]
        assert gone == [-80_500 if status == "settled" else -500] * len(days)
        assert ledger.restate(connection, [other], LATER + DAY) == 0, "the next run finds nothing left to take back"


def _mark(warehouse: Warehouse, person: Person, one: Transfer | None, reason: str = "same amount") -> Taken | None:
    verdict = "matched" if one else "disputed"
    return settling.mark(
        warehouse.database, person, "transfer", "S1", verdict, reason, desk_id="prague", told=one, at=LATER
    )


def test_marks_need_a_reason_a_role_and_the_desk(warehouse: Warehouse) -> None:
    queued(warehouse)
    with pytest.raises(MoveRefused, match="Say why"):
        _mark(warehouse, PAVEL, told(), " ")
    for person in (AUDE, Person("pavel", "payout_reviewer", ("london",))):
        with pytest.raises(AccessRefused):
            _mark(warehouse, person, told())
    with pytest.raises(MoveRefused, match="no request of that desk"):
        _mark(warehouse, PAVEL, told(payout_id="Q9"))
    assert _mark(warehouse, PAVEL, None) is None
    assert state(warehouse) == "queued"


def many(count: int = settling.BATCH_TRANSFERS + 10) -> Sequence[Transfer]:
    """A settled transfer for each of many requests."""
    return [told(f"S{n}", payout_id=f"Q{n}") for n in range(count)]


def take_many_in(home: Path, url: str, _: Path) -> None:
    """Takes all of them in, in a process of its own."""
    settling.take_in(Warehouse.open(home, url).database, many())


def test_a_killed_import_loses_nothing_and_doubles_nothing(warehouse: Warehouse) -> None:
    """Guards that a part that was all written but for its commit is not there, and is taken in by the next import."""
    with warehouse.database.begin() as connection:
        _stand_queued(connection, len(many()))
    assert killed_at(2, take_many_in, warehouse, warehouse.home, commits=True)
    assert _settled(warehouse) == settling.BATCH_TRANSFERS
    settling.take_in(warehouse.database, many())
    assert _settled(warehouse) == len(many())
    with warehouse.database.connect() as connection:
        paid = connection.execute(sa.select(LEDGER_ENTRIES.c.subject_id).where(LEDGER_ENTRIES.c.memo == "payout paid"))
        assert sorted(paid.scalars()) == sorted(one.payout_id for one in many())
    assert books(warehouse)[ledger.CASH] == -80_000 * len(many())


def _stand_queued(connection: sa.Connection, count: int) -> None:
    """Many granted requests, approved by one person."""
    audit.lock(connection)
    for number in range(count):
        add_request(connection, f"Q{number}")
        desk.act_within(connection, PAVEL, f"Q{number}", "approve", at=NOW)


def _settled(warehouse: Warehouse) -> int:
    """Requests that are settled; each has its event."""
    with warehouse.database.connect() as connection:
        states, events = PAYOUT_STATES.c, SETTLEMENT_EVENTS.c
        moved = sa.select(sa.func.count()).where(events.outcome == "moved").scalar_subquery()
        done = sa.select(sa.func.count()).where(states.state == "settled").scalar_subquery()
        settled, noted = connection.execute(sa.select(done, moved)).one()
    assert settled == noted
    return int(settled)
