"""A granted request whose account ends before its money is sent is held until another person has looked."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

import pytest
import sqlalchemy as sa

from models import audit
from models.decisions import desk, holds
from models.decisions.desk import State
from models.decisions.holds import Hold
from models.decisions.machine import MoveRefused
from sql import schema
from sql.desk_schema import PAYOUT_RELEASES, PAYOUT_TRANSFERS
from sql.warehouse import Warehouse
from tests.desk_world import NOW, PAVEL, PETRA
from tests.test_decisions import moved, owed
from tests.test_settlements_taken import queued, state, taken, told

BREACHED_AT = NOW + dt.timedelta(hours=6)


def ends(warehouse: Warehouse, status: str = "breached", at: dt.datetime = BREACHED_AT) -> None:
    """A run says that Q1's account has ended."""
    table = schema.ACCOUNT_STATUS
    with warehouse.database.begin() as connection:
        of = sa.update(table).where(table.c.account_id == "A-Q1")
        connection.execute(of.values(status=status, status_at=at))


def held(warehouse: Warehouse) -> Mapping[str, Hold]:
    with warehouse.database.connect() as connection:
        return holds.held(connection)


def release(warehouse: Warehouse) -> State:
    return moved(warehouse, PETRA, "Q1", "release", reason="the breach is the day after his withdrawal")


def test_money_is_held_from_a_breach_until_somebody_else_releases_it(warehouse: Warehouse) -> None:
    queued(warehouse)
    assert held(warehouse) == {}
    ends(warehouse)
    assert held(warehouse)["Q1"].told == "its account was breached on 2026-11-02 15:00 UTC, after it was granted"
    for person in (PAVEL, PETRA):
        with pytest.raises(MoveRefused, match="Q1 is held: its account was breached"):
            moved(warehouse, person, "Q1", "send")
    with pytest.raises(MoveRefused, match="pavel granted Q1: somebody else"):
        moved(warehouse, PAVEL, "Q1", "release")
    with pytest.raises(MoveRefused, match="say why"):
        moved(warehouse, PETRA, "Q1", "release", reason=" ")
    assert desk.open_to(PAVEL, "queued", None, held(warehouse)["Q1"]) == ["release", "withhold"]
    release(warehouse)
    assert held(warehouse) == {} and state(warehouse) == "queued"
    with warehouse.database.connect() as connection:
        last = audit.recent(connection, 1)[0]
        assert (last["actor"], last["action"], last["subject"]) == ("petra", "payout release", "payout:Q1")
        assert last["before"]["held"].startswith("its account was breached") and audit.verify(connection) is None
        assert connection.execute(sa.select(PAYOUT_RELEASES.c.reason)).scalars().all() == [last["reason"]]
    with pytest.raises(MoveRefused, match="not held"):
        release(warehouse)
    assert moved(warehouse, PAVEL, "Q1", "send").state == "sent"
    ends(warehouse, "closed")
    assert held(warehouse) == {}, "what has gone cannot be held"


def test_another_end_of_the_account_is_held_anew_and_a_correction_ends_a_hold(warehouse: Warehouse) -> None:
    queued(warehouse)
    ends(warehouse)
    release(warehouse)
    ends(warehouse, "closed")
    assert "was closed" in held(warehouse)["Q1"].told
    ends(warehouse, "active")
    assert held(warehouse) == {}


def test_what_who_granted_knew_is_not_held_against_it(warehouse: Warehouse) -> None:
    """Also sent again after a failure it rests on what was known at the grant."""
    queued(warehouse)
    ends(warehouse)
    moved(warehouse, PETRA, "Q1", "withhold")
    assert state(warehouse) == "cancelled" and owed(warehouse) == 0
    with warehouse.database.connect() as connection:
        assert connection.execute(sa.select(PAYOUT_TRANSFERS.c.account_status)).scalars().all() == ["active"]
    queued(warehouse, "Q2")
    with warehouse.database.begin() as connection:
        table = schema.ACCOUNT_STATUS
        connection.execute(sa.update(table).where(table.c.account_id == "A-Q2").values(status="closed"))
    for action in ("fail", "requeue"):
        moved(warehouse, PAVEL, "Q2", action)
    assert set(held(warehouse)) == {"Q2"}, "who granted it cannot free it by sending again"


def test_a_transfer_told_of_a_held_request_is_taken_in_only_if_it_left_before(warehouse: Warehouse) -> None:
    queued(warehouse)
    ends(warehouse)
    late = taken(warehouse, told(status="settled", settled_at=BREACHED_AT + dt.timedelta(seconds=1)))
    assert [one.outcome for one in late] == ["held"] and "Q1 is held" in late[0].told
    assert state(warehouse) == "queued"
    release(warehouse)
    assert [one.outcome for one in taken(warehouse, told(status="settled"))] == ["moved"], "released, it is taken in"
    assert state(warehouse) == "settled"


@pytest.mark.parametrize("hours", [6, -1])
def test_a_transfer_that_left_before_the_breach_is_no_matter_of_it(warehouse: Warehouse, hours: int) -> None:
    """Whether it left at that very instant or before its own grant."""
    queued(warehouse)
    ends(warehouse)
    sent = told(status="sent", settled_at=NOW + dt.timedelta(hours=hours))
    assert [one.outcome for one in taken(warehouse, sent)] == ["moved"]
