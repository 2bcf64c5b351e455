"""Transfers that the payment provider tells of move the requests that they pay; what does not fit is held and named.

Each version of a transfer's record moves its request once, in one transaction with the event that says so: a run that
is killed has taken in whole transfers or none, and the next one goes on with the rest.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import duckdb
import sqlalchemy as sa

from models import access, audit, ledger
from models.access import Person
from models.audit import Record
from models.decisions import desk
from models.decisions.desk import SYSTEM, State
from models.decisions.machine import MoveRefused
from models.money import to_minor, written
from models.payouts.policy import in_force
from sql import relations, schema
from sql.decided import register_tables
from sql.desk_schema import PAYOUT_STATES, PAYOUT_TRANSFERS, RECONCILIATION_MARKS, SETTLEMENT_EVENTS

BATCH_TRANSFERS = 50
TABLES = (PAYOUT_STATES, PAYOUT_TRANSFERS, SETTLEMENT_EVENTS, RECONCILIATION_MARKS)
"""What the SQL files read of the desk, as `decided.<table>`."""
SIDES = {"transfer": "settlement", "request": "payout"}
VERDICTS = ("matched", "disputed", "explained", "open")
PARTED = ("disputed", "explained")
"""What a person says of a transfer that pays no request."""
PATHS: dict[str, dict[str, tuple[str, ...]]] = {
    "sent": {"queued": ("send",), "sent": (), "settled": ()},
    "settled": {"queued": ("send", "settle"), "sent": ("settle",), "settled": ()},
    "failed": {"queued": ("fail",), "sent": ("fail",), "failed": ()},
    "returned": {"queued": ("send", "return"), "sent": ("return",), "settled": ("return",), "returned": ()},
}
"""Per status that a transfer is told with, and state of its request, the moves that follow."""


@dataclass(frozen=True)
class Transfer:
    """One version of a transfer as it was told, and the destination that its request asks for (None: not known)."""

    settlement_id: str
    version: int
    payout_id: str
    status: str
    amount: Decimal
    fee: Decimal | None
    currency: str
    destination: str | None
    asked_destination: str | None
    settled_at: dt.datetime


@dataclass(frozen=True)
class Taken:
    """What became of a transfer: it moved its request, or is held, and the sentence that says so."""

    settlement_id: str
    outcome: str
    told: str


def to_take_in(connection: duckdb.DuckDBPyConnection, database: sa.Connection) -> list[Transfer]:
    """Transfers told of requests that stand on the desk, and not yet taken in, oldest first."""
    register_tables(connection, database, *TABLES)
    relations.build(connection, "facts.desk_transfers")
    rows = connection.sql("select * from facts.desk_transfers order by settled_at, settlement_id").to_arrow_table()
    return [Transfer(**row) for row in rows.to_pylist()]


def take_in(database: sa.Engine, told: Sequence[Transfer], at: dt.datetime | None = None) -> list[Taken]:
    """Moves the requests that transfers pay, in parts of BATCH_TRANSFERS; tells of each what became."""
    done: list[Taken] = []
    for start in range(0, len(told), BATCH_TRANSFERS):
        with database.begin() as connection:
            audit.lock(connection)
            done += [taken for one in told[start : start + BATCH_TRANSFERS] if (taken := _one(connection, one, at))]
    return done


def _one(connection: sa.Connection, told: Transfer, at: dt.datetime | None) -> Taken | None:
    """Takes in one transfer; None when that was done before."""
    there = _outcomes(connection, told)
    if "moved" in there:
        return None
    try:
        with connection.begin_nested():
            state = _move(connection, told, at)
        taken = Taken(told.settlement_id, "moved", f"{told.payout_id} is {state.state}.")
        _note(connection, told, taken, state.transfers, at)
    except MoveRefused as refused:
        taken = Taken(told.settlement_id, "held", str(refused))
        if "held" not in there:
            _note(connection, told, taken, None, at)
    return taken


def _outcomes(connection: sa.Connection, told: Transfer) -> set[str]:
    events = SETTLEMENT_EVENTS.c
    query = sa.select(events.outcome).where(events.settlement_id == told.settlement_id, events.version == told.version)
    return set(connection.execute(query).scalars())


def _note(connection: sa.Connection, told: Transfer, taken: Taken, attempt: int | None, at: dt.datetime | None) -> None:
    """Writes down what a transfer did, so that it does it once."""
    now = at or dt.datetime.now(dt.UTC)
    row = {"settlement_id": told.settlement_id, "version": told.version, "payout_id": told.payout_id}
    row |= {"attempt": attempt, "status": told.status, "outcome": taken.outcome, "told": taken.told}
    connection.execute(sa.insert(SETTLEMENT_EVENTS).values(**row, happened_at=now))
    record = Record(
        SYSTEM.name, f"transfer {taken.outcome}", f"settlement:{told.settlement_id}", taken.told, SYSTEM.role, None, row
    )
    audit.append(connection, record, at=now)


def _move(connection: sa.Connection, told: Transfer, at: dt.datetime | None) -> State:
    """Moves a request as its transfer was told; MoveRefused with what does not fit."""
    state = desk.state_of(connection, told.payout_id)
    path = None if state is None else PATHS[told.status].get(state.state)
    if state is None or path is None:
        stands = "is not on the desk" if state is None else f"is {state.state.replace('_', ' ')}"
        raise MoveRefused(f"It was told as {told.status}, but {told.payout_id} {stands}.")
    _belongs(connection, told, state)
    fee = 0
    if told.status != "failed":
        fee = _fits(told, state)
    said = f"Transfer {told.settlement_id} was told as {told.status}."
    if path:
        booked_at = desk.booked_at(connection, state, told.settled_at)
        ledger.taken_over(connection, told.settlement_id, told.payout_id, booked_at)
    for action in path:
        state = desk.told_by_transfer(
            connection, told.payout_id, action, said, told.settled_at, fee if action == "settle" else 0, at=at
        )
    return state


def _belongs(connection: sa.Connection, told: Transfer, state: State) -> None:
    """A transfer belongs to one attempt of its request, and an attempt to one transfer."""
    events = SETTLEMENT_EVENTS.c
    query = sa.select(events.settlement_id, events.attempt).where(
        events.payout_id == state.payout_id, events.outcome == "moved"
    )
    found = {(row[0], row[1]) for row in connection.execute(query)}
    older = {attempt for settlement, attempt in found if settlement == told.settlement_id} - {state.transfers}
    if older:
        raise MoveRefused(f"It belongs to attempt {min(older)} of {state.payout_id}, which was sent again since.")
    others = {settlement for settlement, attempt in found if attempt == state.transfers} - {told.settlement_id}
    if others:
        raise MoveRefused(f"{state.payout_id} would be paid twice: {min(others)} is the transfer of this attempt.")


def _fits(told: Transfer, state: State) -> int:
    """Whether currency, destination and amount are those that are due; returns the fee that the firm bears."""
    if told.currency != state.currency:
        raise MoveRefused(f"It was sent in {told.currency}, {state.payout_id} is due in {state.currency}.")
    if told.destination and told.asked_destination and told.destination != told.asked_destination:
        raise MoveRefused(f"It went to another destination than {state.payout_id} asks for.")
    due, near = state.trader_minor or 0, int(in_force(told.settled_at).review["transfer_minor_units"])
    sent, fee = to_minor(told.amount, told.currency), to_minor(told.fee or 0, told.currency)
    if abs(sent - due) <= near:
        return fee
    if min(abs(sent + fee - due), abs(sent - fee - due)) <= near:
        return 0
    said = f"{written(sent, state.currency)} {state.currency} was sent, {written(due, state.currency)} is due"
    raise MoveRefused(f"{said} for {state.payout_id}.")


def mark(
    database: sa.Engine,
    person: Person,
    side: str,
    record_id: str,
    verdict: str,
    reason: str,
    *,
    desk_id: str | None,
    told: Transfer | None = None,
    seen: int = 0,
    at: dt.datetime | None = None,
) -> Taken | None:
    """Says what a leftover is. A transfer that is `matched` (with `told`) moves its request at once; what became of it.

    `seen` is the place of the mark that the person looked at (0: none). Raises MoveRefused without a reason, or when
    somebody else has marked the record meanwhile; AccessRefused when the person may not, or not at that desk.
    """
    access.require(person, "settlements.match", desk_id)
    if not reason.strip():
        raise MoveRefused("Say why.")
    if side not in SIDES or verdict not in VERDICTS or (verdict == "matched") != (told is not None):
        raise MoveRefused(f"A {side} is not marked as {verdict}.")
    with database.begin() as connection:
        place, _ = audit.lock(connection)
        _not_marked(connection, side, record_id, seen)
        if told is not None:
            _request_of(connection, told.payout_id, desk_id)
        row = {"side": side, "record_id": record_id, "verdict": verdict, "payout_id": told and told.payout_id}
        now = at or dt.datetime.now(dt.UTC)
        values = {"mark_id": uuid.uuid4().hex, "person": person.name, "reason": reason.strip(), "marked_at": now}
        connection.execute(sa.insert(RECONCILIATION_MARKS).values(**row, **values, place=place + 1))
        subject, why = f"{SIDES[side]}:{record_id}", reason.strip()
        audit.append(connection, Record(person.name, f"marked {verdict}", subject, why, person.role, None, row), at=now)
        state = desk.state_of(connection, told.payout_id) if told else None
        return _one(connection, told, at) if told and state else None


def _not_marked(connection: sa.Connection, side: str, record_id: str, seen: int) -> None:
    newest = marks(connection, side, record_id)
    if newest and newest[-1].place != seen:
        last = newest[-1]
        raise MoveRefused(f"{record_id} was marked {last.verdict} meanwhile by {last.person}.")


def _request_of(connection: sa.Connection, payout_id: str, desk_id: str | None) -> None:
    """A transfer is put with a request of the desk that the person was asked about."""
    reviews, accounts = schema.PAYOUT_REVIEWS, schema.ACCOUNT_STATUS
    joined = sa.select(accounts.c.desk_id).join(reviews, reviews.c.account_id == accounts.c.account_id)
    found = connection.execute(joined.where(reviews.c.payout_id == payout_id)).first()
    if found is None or found[0] != desk_id:
        raise MoveRefused(f"{payout_id} is no request of that desk.")


def marks(connection: sa.Connection, side: str, *record_ids: str) -> Sequence[Any]:
    """Marks of some records (without ids: of all), oldest first, with verdict, person, place, reason and payout_id."""
    table = RECONCILIATION_MARKS.c
    query = sa.select(table.record_id, table.verdict, table.person, table.place, table.reason, table.payout_id)
    query = query.where(table.side == side).order_by(table.place)
    return connection.execute(query.where(table.record_id.in_(record_ids)) if record_ids else query).fetchall()
