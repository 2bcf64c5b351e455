"""The audit log: an append-only chain in which each record's hash covers the one before it.

hash = SHA-256(previous hash ‖ body), body = the record as canonical JSON (sorted keys, no spaces, UTF-8); the chain
of hashes is that of Haber and Stornetta (1991). An edited, deleted, inserted or re-ordered record breaks it; a cut
tail shows against the head that is kept apart.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from sql.desk_schema import AUDIT_HEAD, AUDIT_LOG

START = "0" * 64
WRITE_ROWS = 10_000
READ_ROWS = 50_000


@dataclass(frozen=True)
class Record:
    """What happened: who did what to whom, before and after, and why."""

    actor: str
    action: str
    subject: str
    reason: str = ""
    role: str = ""
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Broken:
    """The first record at which the chain does not hold, and what is wrong with it."""

    seq: int
    what: str


def canonical(record: Record, at: dt.datetime) -> str:
    """A record as the one text that is hashed."""
    body = vars(record) | {"at": at.astimezone(dt.UTC).isoformat(timespec="microseconds")}
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_plain)


def _plain(value: Any) -> str:
    """Values beyond JSON's own; TypeError for what has no one form."""
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).isoformat()
    if isinstance(value, dt.date):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} cannot be kept in the audit log")


def _digest(previous: str, body: str) -> str:
    return hashlib.sha256(previous.encode() + body.encode()).hexdigest()


def lock(connection: sa.Connection) -> tuple[int, str]:
    """Locks the chain for this transaction and gives its end: records written and the last hash."""
    held = connection.execute(sa.update(AUDIT_HEAD).values(seq=AUDIT_HEAD.c.seq))
    if not held.rowcount:
        _begin(connection)
        connection.execute(sa.update(AUDIT_HEAD).values(seq=AUDIT_HEAD.c.seq))
    row = connection.execute(sa.select(AUDIT_HEAD.c.seq, AUDIT_HEAD.c.hash)).one()
    return int(row[0]), str(row[1])


def _begin(connection: sa.Connection) -> None:
    """Makes the head; two that begin at once make one."""
    insert: Any = _insert_of(connection)(AUDIT_HEAD).values(one=1, seq=0, hash=START)
    connection.execute(insert.on_conflict_do_nothing())


def _insert_of(connection: sa.Connection) -> Any:
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects.postgresql import insert as postgres_insert

        return postgres_insert
    from sqlalchemy.dialects.sqlite import insert as sqlite_insert

    return sqlite_insert


def append(connection: sa.Connection, *records: Record, at: dt.datetime | None = None) -> int:
    """Appends records in this transaction, in the order given; returns the place of the last.

    They are there when the caller's transaction commits, and only then.
    """
    seq, digest = lock(connection)
    instant = at or dt.datetime.now(dt.UTC)
    rows = []
    for record in records:
        body = canonical(record, instant)
        seq, digest = seq + 1, _digest(digest, body)
        rows.append({"seq": seq, "body": body, "hash": digest})
    for start in range(0, len(rows), WRITE_ROWS):
        connection.execute(sa.insert(AUDIT_LOG), rows[start : start + WRITE_ROWS])
    connection.execute(sa.update(AUDIT_HEAD).values(seq=seq, hash=digest))
    return seq


def verify(connection: sa.Connection) -> Broken | None:
    """Walks the whole chain and gives the first record at which it breaks, None when it holds."""
    place, previous = 0, START.encode()
    sha256 = hashlib.sha256
    for seq, body, digest in _chain(connection):
        place += 1
        if seq != place:
            return Broken(place, f"record {place} is missing, record {seq} follows")
        expected = sha256(previous + body).hexdigest().encode()
        if digest != expected:
            return Broken(place, "its content or its place does not fit its hash")
        previous = digest
    head = connection.execute(sa.select(AUDIT_HEAD.c.seq, AUDIT_HEAD.c.hash)).first()
    if head is None:
        return None if place == 0 else Broken(place, "the end of the chain is not recorded")
    if head[0] != place:
        return Broken(place + 1, f"{head[0]} records were written, {place} are there")
    return None if head[1].encode() == previous or place == 0 else Broken(place, "it is not the last record written")


def _chain(connection: sa.Connection) -> Iterator[tuple[int, bytes, bytes]]:
    """Records in order as bytes, read by the driver itself because there may be millions."""
    query = "select seq, body, hash from audit_log order by seq"
    driver: Any = connection.connection.driver_connection
    if connection.dialect.name == "sqlite":
        told, driver.text_factory = driver.text_factory, bytes
        try:
            yield from driver.execute(query)
        finally:
            driver.text_factory = told
        return
    with driver.cursor(name="audit_chain") as cursor:
        cursor.itersize = READ_ROWS
        cursor.execute(query)
        for seq, body, digest in cursor:
            yield seq, body.encode(), digest.encode()


def length(connection: sa.Connection) -> int:
    """How many records there are."""
    return int(connection.execute(sa.select(sa.func.count()).select_from(AUDIT_LOG)).scalar_one())


def recent(
    connection: sa.Connection, limit: int = 200, offset: int = 0, among: Any = None, **equal: str | None
) -> list[dict[str, Any]]:
    """Records from the newest on as mappings (seq, at, actor, action, subject, before, after, reason, …).

    `equal` filters by actor, action or subject, `among` by a select of subjects; None does not filter.
    """
    statement = sa.select(AUDIT_LOG.c.seq, AUDIT_LOG.c.body).order_by(AUDIT_LOG.c.seq.desc())
    statement = statement if among is None else statement.where(AUDIT_LOG.c.subject.in_(among))
    for name, value in equal.items():
        if value is not None:
            statement = statement.where(AUDIT_LOG.c[name] == value)
    found: Iterable[Any] = connection.execute(statement.limit(limit).offset(offset))
    return [{"seq": seq} | json.loads(body) for seq, body in found]
