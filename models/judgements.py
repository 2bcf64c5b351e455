"""What analysts decided about two traders: one person or not; identity is bound by it from the next run on."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa

from models import access, audit
from models.access import Person
from models.audit import Record
from sql.schema import JUDGEMENTS
from sql.warehouse import read_frame

SAID = {"same": "same person", "different": "not the same"}


class JudgementRefused(Exception):
    """A judgement that cannot be kept; the sentence says why."""


def judge(
    database: sa.Engine,
    person: Person,
    traders: tuple[str, str],
    said: str,
    reason: str,
    desks: tuple[str | None, ...] = (),
    at: dt.datetime | None = None,
) -> None:
    """Keeps what a person said of two traders (`same` or `different`) with its audit record, in one transaction.

    A later judgement of the same two replaces the earlier one, which the audit log keeps. `desks` are those at which
    the two have accounts: the person must see each. Raises JudgementRefused or AccessRefused; nothing is kept then.
    """
    one, other = sorted(traders)
    if one == other:
        raise JudgementRefused("Two different traders are needed.")
    if said not in SAID:
        raise JudgementRefused(f"A judgement is one of {', '.join(SAID)}.")
    if not reason.strip():
        raise JudgementRefused("A judgement needs a reason.")
    for desk in desks or (None,):
        access.require(person, "risk.decide", desk, any_desk=not desks)
    now = at or dt.datetime.now(dt.UTC)
    with database.begin() as connection:
        audit.lock(connection)
        before = _replaced(connection, one, other)
        connection.execute(
            sa.insert(JUDGEMENTS).values(
                trader_a=one,
                trader_b=other,
                judgement=said,
                reason=reason.strip(),
                decided_by=person.name,
                decided_at=now,
            )
        )
        subject, after = f"traders:{one},{other}", {"judgement": said}
        record = Record(person.name, "judged identity", subject, reason.strip(), person.role, before, after)
        audit.append(connection, record, at=now)


def _replaced(connection: sa.Connection, one: str, other: str) -> dict[str, str] | None:
    """Takes away what was said of two traders, in whichever order they were named; gives it back."""
    both = sa.or_(
        sa.and_(JUDGEMENTS.c.trader_a == one, JUDGEMENTS.c.trader_b == other),
        sa.and_(JUDGEMENTS.c.trader_a == other, JUDGEMENTS.c.trader_b == one),
    )
    held = read_frame(connection, sa.select(JUDGEMENTS).where(both).order_by(JUDGEMENTS.c.decided_at.desc()))
    if held.empty:
        return None
    connection.execute(sa.delete(JUDGEMENTS).where(both))
    last = held.iloc[0]
    return {"judgement": str(last["judgement"]), "decided_by": str(last["decided_by"])}
