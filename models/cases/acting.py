"""What people do with cases. Every act is one transaction: moves, answers and audit records, or nothing.

Two who act on the same case are told apart by the version they saw: the first wins, the second is told who and what.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from models import access, audit
from models.access import Person
from models.audit import Record
from models.cases import terms
from models.cases.machine import (
    CONFIRMED_CODES,
    DISMISSED_CODES,
    NEEDS_HOLDER,
    NEEDS_REASON,
    SILENT_CODES,
    Case,
    CaseRefused,
    Move,
    Overtaken,
    case_of,
    possible,
    told,
    write,
)
from models.cases.opening import begun, number
from models.risk_score import FLAG
from sql import schema
from sql.case_schema import CASE_MOVES, CASE_NOTES, CASES, DISPOSITIONS, OPEN, OWNER_STANDING, SCORE_EVIDENCE
from sql.desk_schema import PEOPLE

Key = tuple[str, str, str]
"""A piece of evidence: subject_kind, subject_id, detector."""


def act(
    database: sa.Engine,
    person: Person,
    case_id: str,
    action: str,
    seen: int,
    *,
    reason: str = "",
    reason_code: str | None = None,
    assignee: str | None = None,
    holds: Collection[Key] | None = None,
    at: dt.datetime | None = None,
) -> Case:
    """Does one thing to a case and gives where it then stands.

    `seen` is the version that the person looked at. `assignee` is for `assign`. `holds` are the pieces of evidence that
    a confirmation rests on (default: every flag). Raises Overtaken when the case has moved since, CaseRefused when the
    machine does not allow it, AccessRefused when the person may not do it; nothing is written then.
    """
    now = at or dt.datetime.now(dt.UTC)
    with database.begin() as connection:
        audit.lock(connection)
        case = case_of(connection, case_id)
        _allowed(connection, person, case)
        _not_overtaken(connection, case, seen)
        said = reason.strip()
        if action not in possible(case):
            raise CaseRefused(f"{case_id} is {told(case.state)}: it cannot be moved by {told(action)}.")
        if action in NEEDS_REASON and not said:
            raise CaseRefused(f"To {told(action)} a case, say why.")
        changes = _changes(connection, person, case, action, reason_code, assignee)
        if case.state == "new" and action != "take":
            case = _moved(connection, Move(case, "take", person, changes={"assignee": person.name}), now)
        if action in NEEDS_HOLDER and case.assignee != person.name:
            raise CaseRefused(f"{case_id} is with {case.assignee}: take it over first.")
        after = _moved(connection, Move(case, action, person, said, reason_code, changes), now)
        _answer(connection, after, action, holds, person, now)
        return after


def _moved(connection: sa.Connection, move: Move, now: dt.datetime) -> Case:
    return write(connection, [move], terms.in_force(now).version, _stands_at(connection), now)[0]


def _stands_at(connection: sa.Connection) -> dt.datetime | None:
    """The instant at which the newest run stands."""
    query = sa.select(schema.RUNS.c.as_of).order_by(schema.RUNS.c.run_id.desc()).limit(1)
    found: dt.datetime | None = connection.execute(query).scalar()
    return found


def _allowed(connection: sa.Connection, person: Person, case: Case) -> None:
    """Who decides on risk at every desk where the owner has accounts may act."""
    for desk in desks_of(connection, case.owner_id) or [None]:
        access.require(person, "risk.decide", desk)


def desks_of(connection: sa.Connection, owner_id: str) -> list[str | None]:
    """Every desk at which an owner has accounts."""
    held = sa.select(OWNER_STANDING.c.desk_id).where(OWNER_STANDING.c.owner_id == owner_id)
    found: list[str | None] = sorted(connection.execute(held).scalars())
    return found


def _not_overtaken(connection: sa.Connection, case: Case, seen: int) -> None:
    if case.version == seen:
        return
    query = sa.select(CASE_MOVES.c.person, CASE_MOVES.c.action).where(CASE_MOVES.c.case_id == case.case_id)
    who, what = connection.execute(query.order_by(CASE_MOVES.c.version.desc()).limit(1)).one()
    raise Overtaken(f"{case.case_id} was moved meanwhile by {who} ({told(what)}): it is {told(case.state)} now.")


def _changes(
    connection: sa.Connection,
    person: Person,
    case: Case,
    action: str,
    reason_code: str | None,
    assignee: str | None,
) -> dict[str, Any]:
    """What a move changes besides the state; CaseRefused for a reason or an assignee that cannot be."""
    codes = {"confirm": CONFIRMED_CODES, "dismiss": DISMISSED_CODES}.get(action)
    if codes is not None and reason_code not in codes:
        raise CaseRefused(f"To {action} a case, choose a reason of the list.")
    if action in ("freeze", "unfreeze") and case.to_freeze == (action == "freeze"):
        raise CaseRefused(f"A freeze is {'already' if case.to_freeze else 'not'} recommended in {case.case_id}.")
    always: dict[str, dict[str, Any]] = {
        "take": {"assignee": person.name},
        "reopen": {"assignee": person.name, "reason_code": None},
        "release": {"assignee": None},
        "confirm": {"reason_code": reason_code},
        "dismiss": {"reason_code": reason_code, "to_freeze": False},
        "freeze": {"to_freeze": True},
        "unfreeze": {"to_freeze": False},
    }
    if action == "assign":
        return {"assignee": _may_have(connection, assignee)}
    if action == "reopen":
        _none_open(connection, case)
    return always.get(action, {})


def _none_open(connection: sa.Connection, case: Case) -> None:
    """CaseRefused where another case about the owner is open."""
    query = sa.select(CASES.c.case_id).where(CASES.c.owner_id == case.owner_id, CASES.c.state.in_(OPEN))
    other = connection.execute(query).scalar()
    if other is not None:
        raise CaseRefused(f"{other} is about {case.owner_id} and open: go on there.")


def _may_have(connection: sa.Connection, assignee: str | None) -> str:
    """Somebody who may decide on risk; those without a local account are the identity provider's to know."""
    if not assignee:
        raise CaseRefused("To assign a case, say to whom.")
    row = connection.execute(sa.select(PEOPLE.c.role, PEOPLE.c.active).where(PEOPLE.c.name == assignee)).first()
    if row is not None and not (row[1] and Person(assignee, row[0]).may("risk.decide")):
        raise CaseRefused(f"{assignee} does not decide on cases.")
    return assignee


def _answer(
    connection: sa.Connection,
    case: Case,
    action: str,
    holds: Collection[Key] | None,
    person: Person,
    now: dt.datetime,
) -> None:
    """Keeps what an act says about each piece of evidence."""
    if action in ("confirm", "dismiss"):
        rows = _answers(connection, case, action, holds)
    elif action == "reopen":
        rows = _withdrawn(connection, case)
    else:
        return
    common = {"case_id": case.case_id, "version": case.version, "person": person.name, "decided_at": now}
    if rows:
        connection.execute(sa.insert(DISPOSITIONS), [row | common for row in rows])


def _answers(connection: sa.Connection, case: Case, action: str, holds: Collection[Key] | None) -> list[dict[str, Any]]:
    """Answers everything known: what a confirmation rests on holds, the rest does not by itself."""
    table = SCORE_EVIDENCE
    found = connection.execute(sa.select(table).where(table.c.owner_id == case.owner_id)).mappings().all()
    keys = [(row["subject_kind"], row["subject_id"], row["detector"]) for row in found]
    chosen = {key for key, row in zip(keys, found, strict=True) if row["strength"] >= FLAG} if holds is None else holds
    strange = sorted(set(chosen) - set(keys))
    if strange:
        raise CaseRefused(f"{strange[0][2]} of {strange[0][1]} is no evidence in {case.case_id}.")
    outcomes = ["confirmed" if action == "confirm" and key in chosen else "dismissed" for key in keys]
    return [_one(row, outcome, str(case.reason_code)) for row, outcome in zip(found, outcomes, strict=True)]


def _one(row: Any, outcome: str, reason_code: str) -> dict[str, Any]:
    """An answer about a piece of evidence, with how much of it was seen."""
    named = {name: row[name] for name in ("subject_kind", "subject_id", "detector", "strength")}
    seen = {"seen_until": row["last_at"], "seen_amount": row["amount"]}
    counts = outcome == "confirmed" or reason_code not in SILENT_CODES
    return named | seen | {"outcome": outcome, "reason_code": reason_code, "counts": counts}


def _withdrawn(connection: sa.Connection, case: Case) -> list[dict[str, Any]]:
    """Takes back the newest answers of a case, which somebody looks at again."""
    table = DISPOSITIONS
    last = sa.select(sa.func.max(table.c.version)).where(table.c.case_id == case.case_id).scalar_subquery()
    query = sa.select(table).where(table.c.case_id == case.case_id, table.c.version == last)
    found = [dict(row) for row in connection.execute(query).mappings()]
    return [row | {"outcome": "withdrawn", "counts": False} for row in found if row["outcome"] != "withdrawn"]


def open_case(database: sa.Engine, person: Person, trader_id: str, reason: str, at: dt.datetime | None = None) -> Case:
    """Opens a case by hand about the owner of a trader, and gives it to the person.

    CaseRefused without a reason, for a trader without a judged account, or where the owner has a case already: a
    decided one is reopened instead.
    """
    now = at or dt.datetime.now(dt.UTC)
    if not reason.strip():
        raise CaseRefused("To open a case, say why.")
    with database.begin() as connection:
        audit.lock(connection)
        owner = owner_of(connection, trader_id)
        accounts = _accounts(connection, owner)
        if not accounts:
            raise CaseRefused(f"No account of {trader_id} is judged.")
        for desk in sorted({row["desk_id"] for row in accounts}):
            access.require(person, "risk.decide", desk)
        held = connection.execute(sa.select(CASES.c.case_id, CASES.c.state).where(CASES.c.owner_id == owner)).all()
        there = sorted((one for one in held if one[1] != "joined"), key=lambda one: (one[1] not in OPEN, one[0]))
        if there:
            raise CaseRefused(f"{there[0][0]} is about {owner} already: it is {told(there[0][1])}.")
        _stand(connection, owner, accounts)
        case = begun(_next(connection), owner, trader_id, _stands_at(connection) or now)
        opened = _moved(connection, Move(None, "open", person, reason.strip(), changes=case), now)
        return _moved(connection, Move(opened, "take", person, changes={"assignee": person.name}), now)


def _next(connection: sa.Connection) -> int:
    return 1 + max((number(one) for one in connection.execute(sa.select(CASES.c.case_id)).scalars()), default=0)


def owner_of(connection: sa.Connection, trader_id: str) -> str:
    """The owner behind a trader; the trader where nobody else is."""
    query = sa.select(schema.OWNERS.c.owner_id).where(schema.OWNERS.c.trader_id == trader_id)
    return str(connection.execute(query).scalar() or trader_id)


def _accounts(connection: sa.Connection, owner: str) -> list[dict[str, Any]]:
    """Judged accounts of an owner with their scores."""
    accounts, owners, scores = schema.ACCOUNT_STATUS, schema.OWNERS, schema.RISK_SCORES
    members = sa.select(owners.c.trader_id).where(owners.c.owner_id == owner)
    query = sa.select(accounts.c.account_id, accounts.c.desk_id, scores.c.score).outerjoin(
        scores, scores.c.account_id == accounts.c.account_id
    )
    mine = sa.or_(accounts.c.trader_id == owner, accounts.c.trader_id.in_(members))
    return [dict(row) for row in connection.execute(query.where(mine).order_by(accounts.c.account_id)).mappings()]


def _stand(connection: sa.Connection, owner: str, accounts: list[dict[str, Any]]) -> None:
    """Where an owner without evidence stands until the next run."""
    if desks_of(connection, owner):
        return
    for desk in sorted({row["desk_id"] for row in accounts}):
        here = sorted((one for one in accounts if one["desk_id"] == desk), key=lambda one: -(one["score"] or 0))
        first = {"account_id": here[0]["account_id"], "score": here[0]["score"], "accounts": len(here)}
        connection.execute(sa.insert(OWNER_STANDING).values(owner_id=owner, desk_id=desk, **first))


def note(database: sa.Engine, person: Person, case_id: str, text: str, at: dt.datetime | None = None) -> None:
    """Leaves a note on a case; CaseRefused for an empty one."""
    now = at or dt.datetime.now(dt.UTC)
    with database.begin() as connection:
        audit.lock(connection)
        case = case_of(connection, case_id)
        _allowed(connection, person, case)
        if not text.strip():
            raise CaseRefused("A note needs words.")
        row = {"note_id": uuid.uuid4().hex, "case_id": case_id, "person": person.name, "written_at": now}
        connection.execute(sa.insert(CASE_NOTES).values(note=text.strip(), **row))
        record = Record(person.name, "case note", f"case:{case_id}", role=person.role, after={"note": text.strip()})
        audit.append(connection, record, at=now)
