"""What each move of a case needs, the reasons of the list, and the one place that writes moves."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from models import audit
from models.access import Person
from models.audit import Record
from sql.case_schema import CASE_MOVES, CASES, MOVES, OPEN

SYSTEM = Person("highwater", "automation")
CONFIRMED_CODES = {
    "coordination": "Trades as one with others",
    "account_passing": "Somebody else trades the account",
    "exploitation": "Exploits the feed, the platform or news",
    "prohibited_style": "A way of trading that the terms forbid",
    "payout_gaming": "Games the payout",
    "identity": "Not who or where they say, or more records than allowed",
    "payment": "Chargeback or payment fraud",
    "other": "Something else, told in words",
}
DISMISSED_CODES = {
    "innocent": "Ordinary trading",
    "allowed": "Allowed by the terms or agreed",
    "same_source": "The same robot, signal or news as others",
    "household": "One household, office or network",
    "data": "Error in the data",
    "not_enough": "Not enough to say",
}
SILENT_CODES = ("data", "not_enough")
"""Reasons that say nothing about whether a detector was right."""
BY_PEOPLE = (
    "take",
    "assign",
    "release",
    "wait",
    "resume",
    "freeze",
    "unfreeze",
    "confirm",
    "dismiss",
    "reopen",
)
NEEDS_REASON = ("release", "wait", "freeze", "unfreeze", "confirm", "dismiss", "reopen")
NEEDS_HOLDER = ("release", "wait", "resume", "confirm", "dismiss")
"""Moves that only the assignee makes: whoever else wants to takes the case over first."""


class CaseRefused(Exception):
    """Something that cannot be done to a case; the sentence says why."""


class Overtaken(CaseRefused):
    """Somebody else has moved the case since it was looked at."""


@dataclass(frozen=True)
class Case:
    """Where a case stands."""

    case_id: str
    owner_id: str
    trader_id: str
    state: str
    version: int
    assignee: str | None
    to_freeze: bool
    reason_code: str | None
    joined_to: str | None
    opened_at: dt.datetime

    @property
    def is_open(self) -> bool:
        """Whether it waits for an answer."""
        return self.state in OPEN


@dataclass(frozen=True)
class Move:
    """One move to write: what it moves (None opens), by whom, and what changes besides the state."""

    case: Case | None
    action: str
    person: Person
    reason: str = ""
    reason_code: str | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)

    def after(self) -> Case:
        """The case after the move; CaseRefused when its state has no such move."""
        if self.case is None:
            begun: dict[str, Any] = {"state": "new", "version": 1, "assignee": None, "to_freeze": False}
            return Case(**begun | {"reason_code": None, "joined_to": None} | dict(self.changes))
        state = self.case.state
        if self.action not in MOVES[state]:
            raise CaseRefused(f"{self.case.case_id} is {told(state)}: it cannot be moved by {told(self.action)}.")
        moved = {"state": MOVES[state][self.action], "version": self.case.version + 1}
        return Case(**vars(self.case) | moved | dict(self.changes))


def told(name: str) -> str:
    """A name as it is written in a sentence."""
    return name.replace("_", " ")


def possible(case: Case) -> list[str]:
    """What a person can do to a case as it stands, by name; who acts on a new one takes it first."""
    states = ("new", "in_review") if case.state == "new" else (case.state,)
    held = {action for state in states for action in MOVES[state]} - ({"release"} if case.state == "new" else set())
    return [action for action in BY_PEOPLE if action in held]


def case_of(connection: sa.Connection, case_id: str) -> Case:
    """A case as it stands; CaseRefused when there is none."""
    row = connection.execute(sa.select(CASES).where(CASES.c.case_id == case_id)).mappings().first()
    if row is None:
        raise CaseRefused(f"There is no case {case_id}.")
    return Case(**row)


def write(
    connection: sa.Connection, moves: Sequence[Move], terms_version: int, as_of: dt.datetime | None, at: dt.datetime
) -> list[Case]:
    """Writes moves, each with the state it leads to and its audit record, in this transaction; gives the cases after.

    Of one case at most one move at a time. The caller has locked the audit chain. Raises Overtaken when a case is no
    longer what the move was made for.
    """
    if not moves:
        return []
    after = [move.after() for move in moves]
    rows = [_row(move, case, terms_version, as_of, at) for move, case in zip(moves, after, strict=True)]
    connection.execute(sa.insert(CASE_MOVES), rows)
    begun = [vars(case) for move, case in zip(moves, after, strict=True) if move.case is None]
    if begun:
        connection.execute(sa.insert(CASES), begun)
    for move, case in zip(moves, after, strict=True):
        if move.case is not None:
            _update(connection, move.case, case)
    audit.append(connection, *(_record(move, case) for move, case in zip(moves, after, strict=True)), at=at)
    return after


def _update(connection: sa.Connection, before: Case, after: Case) -> None:
    held = sa.and_(CASES.c.case_id == before.case_id, CASES.c.version == before.version)
    done = connection.execute(sa.update(CASES).where(held).values(**vars(after)))
    if done.rowcount != 1:
        raise Overtaken(f"{before.case_id} was moved meanwhile by somebody else.")


def _row(move: Move, after: Case, terms_version: int, as_of: dt.datetime | None, at: dt.datetime) -> dict[str, Any]:
    return {
        "case_id": after.case_id,
        "version": after.version,
        "version_before": move.case.version if move.case else None,
        "action": move.action,
        "from_state": move.case.state if move.case else None,
        "to_state": after.state,
        "person": move.person.name,
        "role": move.person.role,
        "assignee": after.assignee,
        "reason": move.reason,
        "reason_code": move.reason_code,
        "terms_version": terms_version,
        "as_of": as_of,
        "happened_at": at,
    }


def _record(move: Move, after: Case) -> Record:
    shown = ("owner_id", "state", "version", "assignee", "to_freeze", "reason_code", "joined_to")
    before = {name: getattr(move.case, name) for name in shown} if move.case else None
    now = {name: getattr(after, name) for name in shown}
    person = move.person
    return Record(
        person.name, f"case {told(move.action)}", f"case:{after.case_id}", move.reason, person.role, before, now
    )
