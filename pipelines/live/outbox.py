"""Sends what the outbox holds to the firm's platform: signed, in order, again after a while, never silently given up.

The body is signed with HMAC-SHA256 over `timestamp.body`; the receiver checks it, refuses old timestamps and treats the
same `id` as the same action. What fails `ATTEMPTS_MAX` times is dead and waits for a person.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import json
import secrets
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import requests
import sqlalchemy as sa

from models import audit
from models.access import Person, require
from pipelines.live.decisions import ENFORCEMENT, LIFECYCLE, OFF
from pipelines.live.secrets import derived
from sql.live_schema import OUTBOX, WEBHOOKS
from sql.warehouse import Warehouse

ATTEMPTS_MAX = 8
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 600.0
TIMEOUT_SECONDS = 5.0
AT_ONCE_MAX = 100
DESKS_AT_ONCE = 8
DERIVED = "derived:"
MODES = ("observe", "ask", "enforce")
KINDS = (*ENFORCEMENT, *LIFECYCLE)
OPEN = ("asked", "waiting", "dead")
Post = Callable[[str, bytes, dict[str, str]], int]


class OutboxRefused(Exception):
    """A choice about the outbox that cannot be made, with the sentence that says why."""


def connect(warehouse: Warehouse, desk_id: str, url: str, mode: str, otherwise: Mapping[str, str] | None = None) -> str:
    """Says where a desk's platform takes actions and how far they go; returns the secret that signs them, once.

    `otherwise` names the actions that go less far or further than the others, or are `off`.
    """
    for one in (mode, *(otherwise or {}).values()):
        if one not in MODES and (one != OFF or one == mode):
            raise OutboxRefused(f"{one!r} is no mode; the modes are {', '.join(MODES)}, and off for single actions")
    if unknown := sorted(set(otherwise or ()) - set(KINDS)):
        raise OutboxRefused(f"{unknown[0]!r} is no action; the actions are {', '.join(KINDS)}")
    if not url.startswith(("https://", "http://")):
        raise OutboxRefused(f"{url!r} is no address of the web")
    salt = DERIVED + secrets.token_hex(8)
    told = {"desk_id": desk_id, "url": url, "secret": salt, "mode": mode, "modes": json.dumps(dict(otherwise or {}))}
    with warehouse.database.begin() as database:
        database.execute(sa.delete(WEBHOOKS).where(WEBHOOKS.c.desk_id == desk_id))
        database.execute(sa.insert(WEBHOOKS).values(**told))
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


def decide(warehouse: Warehouse, outbox_id: str, *, send: bool, person: Person, reason: str = "") -> None:
    """A person's answer to an action that asks, waits or is dead: sent (again), or declined; kept in the audit log."""
    now = dt.datetime.now(dt.UTC)
    values = {"state": "waiting", "attempts": 0, "next_at": now} if send else {"state": "declined", "settled_at": now}
    words = "sent" if send else "declined"
    with warehouse.database.begin() as database:
        row = database.execute(sa.select(OUTBOX).where(OUTBOX.c.outbox_id == outbox_id)).mappings().first()
        if row is None:
            raise OutboxRefused(f"there is no action {outbox_id}")
        require(person, "actions.decide", row["desk_id"])
        if not send and not reason.strip():
            raise OutboxRefused("why is it declined? A reason is needed")
        open_ones = (OUTBOX.c.outbox_id == outbox_id, OUTBOX.c.state.in_(OPEN))
        statement = sa.update(OUTBOX).where(*open_ones).values(**values, said=f"{words} by {person.name}")
        if not database.execute(statement).rowcount:
            raise OutboxRefused(f"{outbox_id} waits for nobody's decision; it is {row['state']}")
        before = {"state": row["state"], "attempts": row["attempts"], "said": row["said"]}
        after = {"state": values["state"], "action": row["action"], "account_id": row["account_id"]}
        record = audit.Record(
            person.name, f"action {words}", f"action:{outbox_id}", reason.strip(), person.role, before, after
        )
        audit.append(database, record)


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """The signature of a body sent at a timestamp (seconds since 1970)."""
    return hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()


def post(url: str, body: bytes, headers: dict[str, str]) -> int:
    """Sends one body; returns the status that came back. Redirects are not followed, and what is answered not read."""
    sent = requests.post(url, body, headers=headers, timeout=TIMEOUT_SECONDS, allow_redirects=False, stream=True)
    with sent as answer:
        return answer.status_code


def deliver(warehouse: Warehouse, now: dt.datetime, send: Post = post) -> int:
    """Sends every action that is due, desks side by side; returns how many were taken."""
    desks: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in _waiting(warehouse):
        desks[row["desk_id"]].append(row)
    if len(desks) < 2:
        return sum(_deliver(warehouse, rows, now, send) for rows in desks.values())
    with ThreadPoolExecutor(DESKS_AT_ONCE) as pool:
        return sum(pool.map(lambda rows: _deliver(warehouse, rows, now, send), desks.values()))


def _deliver(warehouse: Warehouse, rows: list[dict[str, Any]], now: dt.datetime, send: Post) -> int:
    """Sends a desk's actions, oldest first and per account in order.

    An action waits while an earlier one of its account is still on its way, so a restore never overtakes its freeze. A
    platform that does not answer at all is left alone until the next time, so that one action waits for it and not all.
    """
    taken = 0
    held: set[str] = set()
    for row in rows:
        if row["account_id"] in held:
            continue
        if not _due(row, now):
            # what waits for its time by intention is waited for by nobody
            if row["attempts"]:
                held.add(row["account_id"])
            continue
        outcome, answered = _try(row | {"secret": signing_secret(warehouse, row["desk_id"], row["secret"])}, send)
        _note(warehouse, row, outcome, now)
        taken += outcome is None
        if not answered:
            break
        if outcome is not None:
            held.add(row["account_id"])
    return taken


def _due(row: dict[str, Any], now: dt.datetime) -> bool:
    """Whether an action's time has come; a pause that is longer than any was measured before the clock was set back."""
    pause: float = (row["next_at"] - now).total_seconds()
    return pause <= 0 or (row["attempts"] > 0 and pause > LONGEST_PAUSE_SECONDS)


def _waiting(warehouse: Warehouse) -> list[dict[str, Any]]:
    """Actions on their way, oldest first, of every desk so many."""
    place = sa.func.row_number().over(partition_by=OUTBOX.c.desk_id, order_by=[OUTBOX.c.created_at, OUTBOX.c.outbox_id])
    listed = (
        sa.select(OUTBOX, WEBHOOKS.c.url, WEBHOOKS.c.secret, place.label("place"))
        .join(WEBHOOKS, WEBHOOKS.c.desk_id == OUTBOX.c.desk_id)
        .where(OUTBOX.c.state == "waiting")
        .subquery()
    )
    query = sa.select(listed).where(listed.c.place <= AT_ONCE_MAX).order_by(listed.c.created_at, listed.c.outbox_id)
    with warehouse.database.connect() as database:
        return [dict(row) for row in database.execute(query).mappings()]


def _try(row: dict[str, Any], send: Post) -> tuple[str | None, bool]:
    """None when the action was taken, else what was said; and whether anything was."""
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
        return type(error).__name__, False
    return None if 200 <= status < 300 else f"status {status}", True


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
    mine = [OUTBOX.c.outbox_id == row["outbox_id"]]
    if outcome is not None:
        # who declined it meanwhile has decided
        mine.append(OUTBOX.c.state == "waiting")
    with warehouse.database.begin() as database:
        database.execute(sa.update(OUTBOX).where(*mine).values(**values))
