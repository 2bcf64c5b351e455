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


def _listed(person: Person, states: Collection[str], assignee: str | None, desk: str | None) -> sa.Select[Any]:
    standing = _standing(person, desk)
    shown = [standing.c[name] for name in ("score", "stake_usd", "priority", "accounts")]
    select = sa.select(CASES, *shown).join(standing, standing.c.owner_id == CASES.c.owner_id)
    select = select.where(CASES.c.state.in_(states))
    return select if assignee is None else select.where(CASES.c.assignee == assignee)


def _came_back() -> sa.ColumnElement[bool]:
    """Whether a case that nobody has taken was decided before and brought back by new evidence."""
    renewed = sa.and_(CASE_MOVES.c.case_id == CASES.c.case_id, CASE_MOVES.c.action == "renew")
    return sa.and_(CASES.c.state == "new", sa.exists().where(renewed))


def queue(
    connection: sa.Connection,
    person: Person,
    *,
    states: Collection[str] = OPEN,
    assignee: str | None = None,
    desk: str | None = None,
    limit: int = 50,
    offset: int = 0,
) -> pd.DataFrame:
    """Cases that a person sees, first by stake_usd x score (`priority`, US dollars), then by score, then the oldest.

    Columns are those of `cases`, score (0-100), stake_usd, priority, accounts, came_back (decided before, new again by
    new evidence), and age_hours up to the newest run.
    """
    listed = _listed(person, states, assignee, desk).add_columns(_came_back().label("came_back"))
    order: list[Any] = [sa.literal_column("priority").desc(), sa.nulls_last(sa.literal_column("score").desc())]
    found = read_frame(
        connection, listed.order_by(*order, CASES.c.opened_at, CASES.c.case_id).limit(limit).offset(offset)
    )
    newest = sa.select(schema.RUNS.c.as_of).order_by(schema.RUNS.c.run_id.desc()).limit(1)
    stands_at = connection.execute(newest).scalar()
    opened = pd.to_datetime(found["opened_at"], utc=True)
    age = (pd.Timestamp(stands_at) - opened).dt.total_seconds() / 3600 if stands_at else float("nan")
    return found.assign(age_hours=age)


def how_many(
    connection: sa.Connection,
    person: Person,
    *,
    states: Collection[str] = OPEN,
    assignee: str | None = None,
    desk: str | None = None,
) -> int:
    """How many cases `queue` has."""
    listed = _listed(person, states, assignee, desk).subquery()
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
