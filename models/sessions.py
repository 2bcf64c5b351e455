"""Who is signed in where: a browser keeps a random token, the database its hash and whose it is."""

from __future__ import annotations

import datetime as dt
import hashlib
import secrets

import sqlalchemy as sa

from models.access import Person, person_of
from sql.desk_schema import PEOPLE, SESSIONS

LASTS = dt.timedelta(hours=12)


def begin(connection: sa.Connection, person: Person, now: dt.datetime) -> str:
    """Opens a session and gives the token that its browser shall keep; sessions that ended are forgotten."""
    token = secrets.token_urlsafe(32)
    connection.execute(sa.delete(SESSIONS).where(SESSIONS.c.ends_at <= now))
    row = {"token_hash": _hashed(token), "person": person.name, "began_at": now, "ends_at": now + LASTS}
    connection.execute(sa.insert(SESSIONS).values(**row))
    return token


def resume(connection: sa.Connection, token: str, now: dt.datetime) -> Person | None:
    """The person of a token, as their account stands now; None for one unknown, ended, or of an account put out."""
    held = sa.select(PEOPLE).join(SESSIONS, SESSIONS.c.person == PEOPLE.c.name)
    mine = held.where(SESSIONS.c.token_hash == _hashed(token), SESSIONS.c.ends_at > now, PEOPLE.c.active)
    row = connection.execute(mine).mappings().first()
    return person_of(dict(row)) if row is not None else None


def end(connection: sa.Connection, token: str) -> None:
    """Forgets a session, so that its token is worth nothing."""
    connection.execute(sa.delete(SESSIONS).where(SESSIONS.c.token_hash == _hashed(token)))


def _hashed(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
