"""Sends what the outbox holds to the firm's platform: signed, in order, again after a while, never silently given up.

The body is signed with HMAC-SHA256 over `timestamp.body`; the receiver checks it, refuses old timestamps and treats the
same `id` as the same action. What fails `ATTEMPTS_MAX` times is dead and waits for a person.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from typing import Any

import requests
import sqlalchemy as sa

from pipelines.live.secrets import derived
from sql.live_schema import OUTBOX, WEBHOOKS
from sql.warehouse import Warehouse

ATTEMPTS_MAX = 8
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 600.0
TIMEOUT_SECONDS = 5.0
AT_ONCE_MAX = 100
DERIVED = "derived:"
MODES = ("observe", "ask", "enforce")
Post = Callable[[str, bytes, dict[str, str]], int]


class OutboxRefused(Exception):
    """A choice about the outbox that cannot be made, with the sentence that says why."""


def connect(warehouse: Warehouse, desk_id: str, url: str, mode: str) -> str:
    """Says where a desk's platform takes actions and how far they go; returns the secret that signs them, once."""
    if mode not in MODES:
        raise OutboxRefused(f"{mode!r} is no mode; the modes are {', '.join(MODES)}")
    if not url.startswith(("https://", "http://")):
        raise OutboxRefused(f"{url!r} is no address of the web")
    salt = DERIVED + secrets.token_hex(8)
    with warehouse.database.begin() as database:
        database.execute(sa.delete(WEBHOOKS).where(WEBHOOKS.c.desk_id == desk_id))
        database.execute(sa.insert(WEBHOOKS).values(desk_id=desk_id, url=url, secret=salt, mode=mode))
    return signing_secret(warehouse, desk_id, salt)


def signing_secret(warehouse: Warehouse, desk_id: str, held: str) -> str:
    """What signs a desk's actions; `held` is what the database keeps of it."""
    return derived(warehouse, "webhook", f"{desk_id}.{held}") if held.startswith(DERIVED) else held


def listed(warehouse: Warehouse, state: str | None = None) -> list[dict[str, Any]]:
    """Actions, newest first, those of one state where it is named."""
    query = sa.select(OUTBOX).order_by(OUTBOX.c.created_at.desc(), OUTBOX.c.outbox_id)
    with warehouse.database.connect() as database:
        rows = database.execute(query if state is None else query.where(OUTBOX.c.state == state)).mappings()
        return [dict(row) for row in rows]


def decide(warehouse: Warehouse, outbox_id: str, *, send: bool, who: str) -> None:
    """A person's answer to an action that asks or is dead: sent (again), or declined."""
    now = dt.datetime.now(dt.UTC)
    values = {"state": "waiting", "attempts": 0, "next_at": now} if send else {"state": "declined", "settled_at": now}
    statement = sa.update(OUTBOX).where(OUTBOX.c.outbox_id == outbox_id, OUTBOX.c.state.in_(("asked", "dead")))
    with warehouse.database.begin() as database:
        if not database.execute(statement.values(**values, said=f"{'sent' if send else 'declined'} by {who}")).rowcount:
            raise OutboxRefused(f"{outbox_id} waits for nobody's decision")


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """The signature of a body sent at a timestamp (seconds since 1970)."""
    return hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()


def post(url: str, body: bytes, headers: dict[str, str]) -> int:
    """Sends one body; returns the status that came back. Redirects are not followed."""
    return requests.post(url, data=body, headers=headers, timeout=TIMEOUT_SECONDS, allow_redirects=False).status_code


def deliver(warehouse: Warehouse, now: dt.datetime, send: Post = post) -> int:
    """Sends every action that is due, oldest first and per account in order; returns how many were taken.

    An action waits while an earlier one of its account is still on its way, so a restore never overtakes its freeze.
    """
    taken = 0
    held: set[str] = set()
    for row in _waiting(warehouse):
        if row["account_id"] in held:
            continue
        if row["next_at"] > now:
            held.add(row["account_id"])
            continue
        outcome = _try(row | {"secret": signing_secret(warehouse, row["desk_id"], row["secret"])}, send)
        _note(warehouse, row, outcome, now)
        taken += outcome is None
        if outcome is not None:
            held.add(row["account_id"])
    return taken


def _waiting(warehouse: Warehouse) -> list[dict[str, Any]]:
    query = (
        sa.select(OUTBOX, WEBHOOKS.c.url, WEBHOOKS.c.secret)
        .join(WEBHOOKS, WEBHOOKS.c.desk_id == OUTBOX.c.desk_id)
        .where(OUTBOX.c.state == "waiting")
        .order_by(OUTBOX.c.created_at, OUTBOX.c.outbox_id)
        .limit(AT_ONCE_MAX)
    )
    with warehouse.database.connect() as database:
        return [dict(row) for row in database.execute(query).mappings()]


def _try(row: dict[str, Any], send: Post) -> str | None:
    """None when the action was taken, else what was said."""
    body, timestamp = row["body"].encode(), int(time.time())
    headers = {
        "Content-Type": "application/json",
        "Idempotency-Key": row["outbox_id"],
        "X-Highwater-Timestamp": str(timestamp),
        "X-Highwater-Signature": signature(row["secret"], timestamp, body),
    }
    try:
        status = send(row["url"], body, headers)
    except (requests.RequestException, OSError) as error:
        return type(error).__name__
    return None if 200 <= status < 300 else f"status {status}"


def _note(warehouse: Warehouse, row: dict[str, Any], outcome: str | None, now: dt.datetime) -> None:
    attempts = row["attempts"] + 1
    values: dict[str, Any] = {"attempts": attempts, "said": outcome or "taken"}
    if outcome is None:
        values |= {"state": "sent", "settled_at": now}
    elif attempts >= ATTEMPTS_MAX:
        values |= {"state": "dead", "settled_at": now}
    else:
        pause = min(FIRST_PAUSE_SECONDS * 4 ** (attempts - 1), LONGEST_PAUSE_SECONDS)
        values["next_at"] = now + dt.timedelta(seconds=pause)
    with warehouse.database.begin() as database:
        database.execute(sa.update(OUTBOX).where(OUTBOX.c.outbox_id == row["outbox_id"]).values(**values))
