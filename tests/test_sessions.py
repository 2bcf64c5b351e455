"""Signed in stays signed in: for twelve hours, with this browser, while the account may, and not after signing out."""

from __future__ import annotations

import datetime as dt

import pytest
import sqlalchemy as sa

from models import access, sessions
from models.access import Person
from sql.desk_schema import SESSIONS
from sql.warehouse import Warehouse

NOW = dt.datetime(2026, 3, 2, 9, tzinfo=dt.UTC)
ADAM = Person("adam", "admin")
JUST = dt.timedelta(microseconds=1)


@pytest.fixture
def token(warehouse: Warehouse) -> str:
    """Ann's session of prague's desk."""
    with warehouse.database.begin() as connection:
        access.add_person(connection, ADAM, "ann", "long enough", "payout_reviewer", ("prague",))
        return sessions.begin(connection, Person("ann", "payout_reviewer", ("prague",)), NOW)


def resumed(warehouse: Warehouse, token: str, now: dt.datetime = NOW) -> Person | None:
    with warehouse.database.connect() as connection:
        return sessions.resume(connection, token, now)


def test_a_token_is_its_person_until_it_ends(warehouse: Warehouse, token: str) -> None:
    ann = Person("ann", "payout_reviewer", ("prague",))
    assert resumed(warehouse, token) == ann
    assert resumed(warehouse, token, NOW + sessions.LASTS - JUST) == ann
    assert resumed(warehouse, token, NOW + sessions.LASTS) is None
    assert resumed(warehouse, token[:-1]) is None
    assert resumed(warehouse, "") is None


def test_the_account_decides_as_it_stands_now(warehouse: Warehouse, token: str) -> None:
    with warehouse.database.begin() as connection:
        access.change_person(connection, ADAM, "ann", "moved", role="auditor", desks=["tokyo"])
    assert resumed(warehouse, token) == Person("ann", "auditor", ("tokyo",))
    with warehouse.database.begin() as connection:
        access.change_person(connection, ADAM, "ann", "left", active=False)
    assert resumed(warehouse, token) is None


def test_a_session_that_was_left_is_over(warehouse: Warehouse, token: str) -> None:
    with warehouse.database.begin() as connection:
        other = sessions.begin(connection, Person("ann", "payout_reviewer"), NOW)
        sessions.end(connection, token)
    assert resumed(warehouse, token) is None
    assert resumed(warehouse, other) is not None


def test_the_database_keeps_no_token_and_forgets_what_ended(warehouse: Warehouse, token: str) -> None:
    with warehouse.database.begin() as connection:
        held = connection.execute(sa.select(SESSIONS.c.token_hash)).scalars().all()
        assert token not in held and len(held) == 1
        sessions.begin(connection, Person("ann", "payout_reviewer"), NOW + sessions.LASTS)
        assert len(connection.execute(sa.select(SESSIONS)).all()) == 1
