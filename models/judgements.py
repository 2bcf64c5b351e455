"""What analysts decided by themselves: two traders are one person or not, accounts trade as a ring or may.

Identity is bound by the former from the next run on; the latter answers the evidence that the score, payout checks and
pages read, as the answer of a case does.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import sqlalchemy as sa

from models import access, audit
from models.access import Person
from models.audit import Record
from models.cases.machine import DISMISSED_CODES, SILENT_CODES
from models.risk_score import ScoreTerms
from sql.case_schema import CASE_MOVES, DISPOSITIONS, TRADING_JUDGEMENTS
from sql.schema import COPY_PAIRS, COPY_RINGS, JUDGEMENTS
from sql.warehouse import read_frame

SAID = {"same": "same person", "different": "not the same"}
SAID_OF_TRADING = {"ring": "a ring", "allowed": "allowed", "dismissed": "dismissed"}
GROWN = ScoreTerms().grown


class JudgementRefused(Exception):
    """A judgement that cannot be kept; the sentence says why."""


@dataclass(frozen=True)
class Together:
    """A pair or a group of accounts as somebody looked at it; `amount` is its matched entries, or its accounts."""

    kind: str
    name: str
    relation: str
    accounts: tuple[str, ...]
    amount: float


@dataclass(frozen=True)
class Judged:
    """A judgement of accounts that trade together, and what it was made of."""

    judgement_id: str
    together: Together
    said: str
    reason_code: str
    reason: str
    person: str
    decided_at: dt.datetime

    def covers(self, found: Together) -> bool:
        """Whether it is about what a run found: most of those accounts, and not half as many again as it has seen.

        Once they are a ring, more of it says nothing new.
        """
        mine, theirs = set(self.together.accounts), set(found.accounts)
        if (self.together.kind, self.together.relation) != (found.kind, found.relation):
            return False
        if self.together.kind == "pair":
            return mine == theirs and (self.said == "ring" or found.amount < GROWN * self.together.amount)
        mostly = 2 * len(mine & theirs) > len(theirs)
        return mostly and (self.said == "ring" or len(mine | theirs) < GROWN * len(mine))


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
    _allowed(person, reason, desks)
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


def withdraw(
    database: sa.Engine,
    person: Person,
    traders: tuple[str, str],
    reason: str,
    desks: tuple[str | None, ...] = (),
    at: dt.datetime | None = None,
) -> None:
    """Takes back what was said of two traders, so that evidence alone decides from the next run on."""
    one, other = sorted(traders)
    _allowed(person, reason, desks)
    with database.begin() as connection:
        audit.lock(connection)
        before = _replaced(connection, one, other)
        if before is None:
            raise JudgementRefused(f"Nothing was said of {one} and {other}.")
        subject = f"traders:{one},{other}"
        record = Record(person.name, "withdrew identity", subject, reason.strip(), person.role, before)
        audit.append(connection, record, at=at or dt.datetime.now(dt.UTC))


def _allowed(person: Person, reason: str, desks: tuple[str | None, ...]) -> None:
    """A reason is needed, and the right to decide on risk at every desk concerned."""
    if not reason.strip():
        raise JudgementRefused("A judgement needs a reason.")
    for desk in desks or (None,):
        access.require(person, "risk.decide", desk, any_desk=not desks)


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


def judge_trading(
    database: sa.Engine,
    person: Person,
    seen: Together,
    said: str,
    reason: str,
    desks: tuple[str | None, ...] = (),
    reason_code: str | None = None,
    at: dt.datetime | None = None,
) -> str:
    """Keeps what a person said of a pair or a group (`SAID_OF_TRADING`), answers its evidence, and gives its id.

    Every pair of a group is answered with it. An earlier judgement about the same accounts is withdrawn by it.
    `reason_code` says why one is dismissed. `desks` as in `judge`. Raises JudgementRefused, also when the newest run
    has found other accounts than were `seen`, or AccessRefused; nothing is kept then.
    """
    if said not in SAID_OF_TRADING:
        raise JudgementRefused(f"A judgement is one of {', '.join(SAID_OF_TRADING)}.")
    _allowed(person, reason, desks)
    code = {"ring": "coordination", "allowed": "allowed"}.get(said, str(reason_code))
    if said == "dismissed" and code not in DISMISSED_CODES:
        raise JudgementRefused("To dismiss, choose a reason of the list.")
    now = at or dt.datetime.now(dt.UTC)
    with database.begin() as connection:
        audit.lock(connection)
        if set(_accounts(connection, seen)) != set(seen.accounts):
            raise JudgementRefused(f"The newest run holds others in {seen.name}: look again.")
        pairs = _pairs(connection, seen)
        earlier = [one for one in in_force(connection) if one.covers(seen)]
        for one in earlier:
            _take_back(connection, one, person, f"replaced: {reason.strip()}", now, kept=set(pairs["subject_id"]))
        judgement_id = f"J-{1 + _last(connection)}"
        judged = Judged(judgement_id, seen, said, code, reason.strip(), person.name, now)
        connection.execute(sa.insert(TRADING_JUDGEMENTS).values(_row(judged, 1)))
        _answer(connection, judged, pairs)
        before = {"judgement": earlier[0].said, "decided_by": earlier[0].person} if earlier else None
        after = {"judgement": said, "reason_code": code, "accounts": list(seen.accounts)}
        subject = f"{seen.kind}:{seen.name}"
        record = Record(person.name, f"judged {seen.kind}", subject, reason.strip(), person.role, before, after)
        audit.append(connection, record, at=now)
    return judgement_id


def withdraw_trading(
    database: sa.Engine,
    person: Person,
    judgement_id: str,
    reason: str,
    desks: tuple[str | None, ...] = (),
    at: dt.datetime | None = None,
) -> None:
    """Takes back a judgement of a pair or a group with the answers it gave; the evidence speaks again."""
    _allowed(person, reason, desks)
    now = at or dt.datetime.now(dt.UTC)
    with database.begin() as connection:
        audit.lock(connection)
        held = [one for one in in_force(connection) if one.judgement_id == judgement_id]
        if not held:
            raise JudgementRefused(f"{judgement_id} is withdrawn already, or there is none.")
        _take_back(connection, held[0], person, reason.strip(), now)
        together, before = held[0].together, {"judgement": held[0].said, "decided_by": held[0].person}
        subject = f"{together.kind}:{together.name}"
        record = Record(person.name, f"withdrew {together.kind}", subject, reason.strip(), person.role, before)
        audit.append(connection, record, at=now)


def in_force(connection: sa.Connection) -> list[Judged]:
    """Judgements of pairs and groups that nobody has taken back, the newest first."""
    table, later = TRADING_JUDGEMENTS, TRADING_JUDGEMENTS.alias()
    withdrawn = sa.exists().where(later.c.judgement_id == table.c.judgement_id, later.c.version == 2)
    query = sa.select(table).where(~withdrawn).order_by(table.c.decided_at.desc(), table.c.judgement_id.desc())
    return [_judged(row) for row in connection.execute(query).mappings()]


def pair_reason(pairs: Any) -> sa.ColumnElement[str]:
    """What a pair of a table is called in the score: its relation, `own` before it where one owner has both."""
    own = sa.case((pairs.c.same_owner.is_(sa.true()), sa.literal("own ")), else_=sa.literal(""))
    named: sa.ColumnElement[str] = own + pairs.c.relation
    return named


def answered_pair(pairs: Any) -> sa.ColumnElement[bool]:
    """Whether an answer, of a case or a judgement, covers a pair of `copy_pairs` or of its mart."""
    newest = _newest_answers().subquery()
    mine = sa.and_(
        newest.c.subject_id == pairs.c.account_a + "|" + pairs.c.account_b,
        newest.c.detector == pair_reason(pairs),
        newest.c.place == 1,
    )
    silent = sa.and_(newest.c.outcome == "dismissed", pairs.c.matched < GROWN * newest.c.seen_amount)
    return sa.exists().where(mine, sa.or_(newest.c.outcome == "confirmed", silent))


def _newest_answers() -> sa.Select[Any]:
    """Answers about pairs, the one that holds about each first (`place` 1)."""
    held = DISPOSITIONS.c
    order = (held.decided_at.desc(), held.case_id.desc(), held.version.desc())
    place = sa.func.row_number().over(partition_by=(held.subject_id, held.detector), order_by=order).label("place")
    return sa.select(DISPOSITIONS, place).where(held.subject_kind == "pair")


def answer_in_case(connection: sa.Connection, subject_id: str, reason: str) -> dict[str, Any] | None:
    """The answer that holds about a pair where a case gave it, with the words said there."""
    newest = _newest_answers().where(DISPOSITIONS.c.subject_id == subject_id, DISPOSITIONS.c.detector == reason)
    held, moves = newest.subquery(), CASE_MOVES.c
    joined = sa.select(held, moves.reason).join(
        CASE_MOVES, (moves.case_id == held.c.case_id) & (moves.version == held.c.version)
    )
    row = connection.execute(joined.where(held.c.place == 1, held.c.outcome != "withdrawn")).mappings().first()
    return None if row is None else dict(row)


def _judged(row: Any) -> Judged:
    accounts = tuple(json.loads(row["accounts"]))
    together = Together(row["subject_kind"], row["subject_id"], row["relation"], accounts, row["amount"])
    said = (row["said"], row["reason_code"], row["reason"], row["person"], row["decided_at"])
    return Judged(row["judgement_id"], together, *said)


def _row(judged: Judged, version: int) -> dict[str, Any]:
    seen = judged.together
    return {
        "judgement_id": judged.judgement_id,
        "version": version,
        "subject_kind": seen.kind,
        "subject_id": seen.name,
        "relation": seen.relation,
        "accounts": json.dumps(sorted(seen.accounts)),
        "amount": seen.amount,
        "said": judged.said,
        "reason_code": judged.reason_code,
        "reason": judged.reason,
        "person": judged.person,
        "decided_at": judged.decided_at,
    }


def _last(connection: sa.Connection) -> int:
    named = connection.execute(sa.select(TRADING_JUDGEMENTS.c.judgement_id)).scalars()
    return max((int(name.removeprefix("J-")) for name in named), default=0)


def _accounts(connection: sa.Connection, seen: Together) -> Iterable[str]:
    """The accounts that the newest run holds in a pair or group."""
    if seen.kind == "group":
        return connection.execute(
            sa.select(COPY_RINGS.c.account_id).where(
                COPY_RINGS.c.ring_id == seen.name, COPY_RINGS.c.kind == seen.relation
            )
        ).scalars()
    return [
        name
        for _, *ends in _pairs(connection, seen)[["subject_id", "account_a", "account_b"]].to_numpy()
        for name in ends
    ]


def _pairs(connection: sa.Connection, seen: Together) -> pd.DataFrame:
    """The pairs that a judgement answers: the one it is about, or all inside the group."""
    held = COPY_PAIRS.c
    key = (held.account_a + "|" + held.account_b).label("subject_id")
    query = sa.select(COPY_PAIRS, key, pair_reason(COPY_PAIRS).label("detector"))
    if seen.kind == "pair":
        one, other = sorted(seen.accounts)
        return read_frame(
            connection,
            query.where(
                held.account_a.in_((one, other)), held.account_b.in_((one, other)), held.relation == seen.relation
            ),
        )
    inside = sa.select(COPY_RINGS.c.account_id).where(COPY_RINGS.c.ring_id == seen.name)
    return read_frame(connection, query.where(held.account_a.in_(inside), held.account_b.in_(inside)))


def _answer(connection: sa.Connection, judged: Judged, pairs: pd.DataFrame) -> None:
    """Answers the evidence of the pairs, with how much of it was seen."""
    confirmed = judged.said == "ring"
    rows = [
        {
            "case_id": judged.judgement_id,
            "version": 1,
            "subject_kind": "pair",
            "subject_id": row["subject_id"],
            "detector": row["detector"],
            "outcome": "confirmed" if confirmed else "dismissed",
            "reason_code": judged.reason_code,
            "counts": confirmed or judged.reason_code not in SILENT_CODES,
            "strength": row["strength"],
            "seen_amount": row["matched"],
            "person": judged.person,
            "decided_at": judged.decided_at,
        }
        for row in pairs.to_dict(orient="records")
    ]
    if rows:
        connection.execute(sa.insert(DISPOSITIONS), rows)


def _take_back(
    connection: sa.Connection,
    judged: Judged,
    person: Person,
    reason: str,
    now: dt.datetime,
    kept: Iterable[str] = (),
) -> None:
    """Writes that a judgement holds no longer, with the answers that it gave and nobody has replaced (`kept`: will)."""
    taken = Judged(judged.judgement_id, judged.together, "withdrawn", judged.reason_code, reason, person.name, now)
    connection.execute(sa.insert(TRADING_JUDGEMENTS).values(_row(taken, 2)))
    newest = _newest_answers().subquery()
    held = connection.execute(
        sa.select(newest).where(newest.c.place == 1, newest.c.case_id == judged.judgement_id)
    ).mappings()
    common = {"version": 2, "outcome": "withdrawn", "counts": False, "person": person.name, "decided_at": now}
    columns = DISPOSITIONS.c.keys()
    rows = [
        {name: row[name] for name in columns} | common
        for row in held
        if row["subject_id"] not in set(kept) and row["outcome"] != "withdrawn"
    ]
    if rows:
        connection.execute(sa.insert(DISPOSITIONS), rows)


def covering(judged: Sequence[Judged], found: Together) -> Judged | None:
    """The newest judgement that is about what a run found, None when it is open."""
    return next((one for one in judged if one.covers(found)), None)
