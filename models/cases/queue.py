"""Cases as people read them: by money at stake x probability, within their desks, and what is known of each."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pandas as pd
import sqlalchemy as sa

from models.access import Person
from models.cases.acting import owner_of
from models.cases.machine import Case
from sql import schema
from sql.case_schema import (
    CASE_MOVES,
    CASE_NOTES,
    CASES,
    DISPOSITIONS,
    OPEN,
    OWNER_STANDING,
    RISK_SCORE_HISTORY,
    SCORE_EVIDENCE,
)
from sql.warehouse import read_frame

COLUMNS = [column.name for column in CASES.columns]


def _standing(person: Person, desk: str | None) -> sa.Subquery:
    """What a person sees of each owner: the highest score and all that is at stake at their desks."""
    table = OWNER_STANDING.c
    stake = sa.func.sum(table.stake_usd)
    chance = sa.func.coalesce(sa.func.max(table.score), 0) / 100
    select = sa.select(
        table.owner_id,
        sa.func.max(table.score).label("score"),
        stake.label("stake_usd"),
        (sa.func.coalesce(stake, 0) * chance).label("priority"),
        sa.func.sum(table.accounts).label("accounts"),
    ).group_by(table.owner_id)
    if person.desks is not None:
        select = select.where(table.desk_id.in_(person.desks))
    return (select if desk is None else select.where(table.desk_id == desk)).subquery()


def _listed(
    person: Person, states: Collection[str], assignee: str | None, desk: str | None, back: bool
) -> sa.Select[Any]:
    standing, renewed_at = _standing(person, desk), _renewed_at()
    came_back = sa.and_(CASES.c.state == "new", renewed_at.is_not(None))
    shown = [standing.c[name] for name in ("score", "stake_usd", "priority", "accounts")]
    told = (came_back.label("came_back"), sa.func.coalesce(renewed_at, CASES.c.opened_at).label("since_at"))
    select = sa.select(CASES, *shown, *told).join(standing, standing.c.owner_id == CASES.c.owner_id)
    select = select.where(CASES.c.state.in_(states), *([came_back] if back else []))
    return select if assignee is None else select.where(CASES.c.assignee == assignee)


def _renewed_at() -> sa.ScalarSelect[Any]:
    """The instant of the run that last brought a decided case back, none for one that never came back."""
    renewed = sa.and_(CASE_MOVES.c.case_id == CASES.c.case_id, CASE_MOVES.c.action == "renew")
    return sa.select(sa.func.max(CASE_MOVES.c.as_of)).where(renewed).correlate(CASES).scalar_subquery()


def queue(
    connection: sa.Connection,
    person: Person,
    *,
    states: Collection[str] = OPEN,
    assignee: str | None = None,
    desk: str | None = None,
    back: bool = False,
    limit: int = 50,
    offset: int = 0,
) -> pd.DataFrame:
    """Cases that a person sees, first by stake_usd x score (`priority`, US dollars); where that is the same, those that
    came back before the others, then by score, then the longest before people. `back` leaves those that came back.

    Columns are those of `cases`, score (0-100), stake_usd, priority, accounts, came_back (decided before, brought back
    by new evidence, and nobody has taken it since), since_at (when it came or came back), and age_hours from then up to
    the newest run.
    """
    listed = _listed(person, states, assignee, desk, back)
    order: list[Any] = [sa.literal_column(name).desc() for name in ("priority", "came_back")]
    order += [sa.nulls_last(sa.literal_column("score").desc()), sa.literal_column("since_at"), CASES.c.case_id]
    found = read_frame(connection, listed.order_by(*order).limit(limit).offset(offset))
    newest = sa.select(schema.RUNS.c.as_of).order_by(schema.RUNS.c.run_id.desc()).limit(1)
    stands_at = connection.execute(newest).scalar()
    since = pd.to_datetime(found["since_at"], utc=True)
    age = (pd.Timestamp(stands_at) - since).dt.total_seconds() / 3600 if stands_at else float("nan")
    return found.assign(age_hours=age)


def how_many(
    connection: sa.Connection,
    person: Person,
    *,
    states: Collection[str] = OPEN,
    assignee: str | None = None,
    desk: str | None = None,
    back: bool = False,
) -> int:
    """How many cases `queue` has."""
    listed = _listed(person, states, assignee, desk, back).subquery()
    return int(connection.execute(sa.select(sa.func.count()).select_from(listed)).scalar_one())


def trader_of(connection: sa.Connection, asked: str) -> str:
    """The trader behind the name of a case, an account or an owner; what is none of these is held to be a trader."""
    case = connection.execute(sa.select(CASES.c.trader_id).where(CASES.c.case_id == asked)).scalar()
    accounts = schema.ACCOUNT_STATUS.c
    account = connection.execute(sa.select(accounts.trader_id).where(accounts.account_id == asked)).scalar()
    members = sa.select(sa.func.min(schema.OWNERS.c.trader_id)).where(schema.OWNERS.c.owner_id == asked)
    return str(case or account or connection.execute(members).scalar() or asked)


def case_about(connection: sa.Connection, trader_id: str) -> Case | None:
    """The case about the owner of a trader: the open one, else the newest; None when there is none."""
    owner = owner_of(connection, trader_id)
    mine = sa.and_(CASES.c.owner_id == owner, CASES.c.state != "joined")
    newest = sa.select(CASES).where(mine).order_by(CASES.c.state.in_(OPEN).desc(), CASES.c.opened_at.desc())
    row = connection.execute(newest.limit(1)).mappings().first()
    return Case(**row) if row else None


def moves(connection: sa.Connection, case_id: str) -> pd.DataFrame:
    """Every move of a case, the newest first."""
    query = sa.select(CASE_MOVES).where(CASE_MOVES.c.case_id == case_id)
    return read_frame(connection, query.order_by(CASE_MOVES.c.version.desc()))


def notes(connection: sa.Connection, case_id: str) -> pd.DataFrame:
    """Notes on a case, in order."""
    query = sa.select(CASE_NOTES).where(CASE_NOTES.c.case_id == case_id)
    return read_frame(connection, query.order_by(CASE_NOTES.c.written_at))


def answers(connection: sa.Connection, case_id: str) -> pd.DataFrame:
    """What was answered in a case about each piece of evidence, the newest answers first."""
    query = sa.select(DISPOSITIONS).where(DISPOSITIONS.c.case_id == case_id)
    return read_frame(connection, query.order_by(DISPOSITIONS.c.version.desc(), DISPOSITIONS.c.strength.desc()))


def answered(connection: sa.Connection, subjects: Collection[str]) -> pd.DataFrame:
    """The answer that holds about each signal of some accounts and traders, with `fresh`: the newest run found evidence
    that no answer it knew covers."""
    held, found = DISPOSITIONS.c, SCORE_EVIDENCE.c
    key = ("subject_kind", "subject_id", "detector")
    order = (held.decided_at.desc(), held.case_id.desc(), held.version.desc())
    place = sa.func.row_number().over(partition_by=[held[name] for name in key], order_by=order).label("place")
    mine = held.subject_kind.in_(("account", "trader")) & held.subject_id.in_(subjects)
    newest = sa.select(DISPOSITIONS, place).where(mine).subquery()
    scored = sa.and_(*(found[name] == newest.c[name] for name in key))
    query = sa.select(newest, sa.func.coalesce(found.fresh, sa.false()).label("fresh"))
    query = query.outerjoin(SCORE_EVIDENCE, scored).where(newest.c.place == 1, newest.c.outcome != "withdrawn")
    return read_frame(connection, query)


def evidence(connection: sa.Connection, owner_id: str) -> pd.DataFrame:
    """What counts in the scores of an owner's accounts, the weightiest first."""
    table = SCORE_EVIDENCE
    weight = (table.c.strength * table.c.weight).desc()
    query = sa.select(table).where(table.c.owner_id == owner_id)
    return read_frame(connection, query.order_by(weight, table.c.subject_id, table.c.detector))


def scores(connection: sa.Connection, accounts: Collection[str], limit: int = 200) -> pd.DataFrame:
    """Every score that was kept of some accounts, the newest first."""
    table = RISK_SCORE_HISTORY
    query = sa.select(table).where(table.c.account_id.in_(accounts))
    return read_frame(connection, query.order_by(table.c.run_id.desc(), table.c.score.desc()).limit(limit))
