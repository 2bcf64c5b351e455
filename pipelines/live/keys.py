"""Keys of the live service: made once, kept as a hash, bound to desks and datasets, revocable."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import json
import math
import secrets
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from pipelines.live.secrets import derived
from sql.live_schema import API_KEYS
from sql.schema import DATASETS
from sql.warehouse import AWAY, Warehouse

TRUSTED_SECONDS = 2.0
"""How long a key that was looked up is believed: a revoked key works no longer than this."""
AWAY_SECONDS_MAX = 300.0
"""How long a key that was in force is believed while the database does not answer."""
BURST_SECONDS = 10


class KeyRefused(Exception):
    """A key that cannot be made or revoked, with the sentence that says why."""


@dataclass(frozen=True)
class Key:
    """A key that is in force."""

    key_id: str
    name: str
    secret_hash: str
    desks: frozenset[str]
    datasets: frozenset[str]
    rows_per_second: int | None = None


def create(
    warehouse: Warehouse,
    name: str,
    desks: Sequence[str] = (),
    datasets: Sequence[str] = (),
    rows_per_second: int | None = None,
) -> str:
    """Makes a key and returns it; it cannot be read again. KeyRefused for what cannot be."""
    if rows_per_second is not None and rows_per_second < 1:
        raise KeyRefused(f"a key cannot be held to {rows_per_second} rows a second; name at least 1, or no limit")
    unknown = sorted(set(datasets) - DATASETS.keys())
    if unknown:
        raise KeyRefused(f"there is no dataset {unknown[0]}; the datasets are {', '.join(DATASETS)}")
    key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    with warehouse.database.begin() as database:
        database.execute(
            sa.insert(API_KEYS).values(
                key_id=key_id, name=name, secret_hash=_hash(secret), desks=json.dumps(sorted(desks)),
                datasets=json.dumps(sorted(datasets)), rows_per_second=rows_per_second,
                created_at=dt.datetime.now(dt.UTC),
            )
        )  # fmt: skip
    return f"hw_{key_id}_{secret}"


def listed(warehouse: Warehouse) -> list[dict[str, Any]]:
    """Every key without its hash."""
    names = [column for column in API_KEYS.columns if column.name != "secret_hash"]
    with warehouse.database.connect() as database:
        return [dict(row) for row in database.execute(sa.select(*names).order_by(API_KEYS.c.created_at)).mappings()]


def revoke(warehouse: Warehouse, key_id: str) -> None:
    """Revokes a key; KeyRefused when there is none in force by that id."""
    statement = sa.update(API_KEYS).where(API_KEYS.c.key_id == key_id, API_KEYS.c.revoked_at.is_(None))
    with warehouse.database.begin() as database:
        if not database.execute(statement.values(revoked_at=dt.datetime.now(dt.UTC))).rowcount:
            raise KeyRefused(f"there is no key {key_id} in force")


def postback_secret(warehouse: Warehouse, key_id: str) -> str:
    """What postbacks of a key are signed with; KeyRefused when there is no such key in force."""
    if Keyring(warehouse).named(key_id) is None:
        raise KeyRefused(f"there is no key {key_id} in force")
    return derived(warehouse, "postback", key_id)


def _hash(secret: str) -> str:
    """The secret is 256 random bits, so a plain hash is enough to keep it."""
    return hashlib.sha256(secret.encode()).hexdigest()


@dataclass
class Keyring:
    """Looks keys up, believing what it found for two seconds, and longer while the database is away."""

    warehouse: Warehouse
    _seen: dict[str, tuple[float, Key | None]] = field(default_factory=dict)
    _spent: dict[str, tuple[float, float]] = field(default_factory=dict)
    _spending: threading.Lock = field(default_factory=threading.Lock)

    def spend(self, key: Key, rows: int, now: float) -> int:
        """Takes rows off what a key may send; 0, or the seconds after which it may send these.

        A key has ten seconds' worth at most; a body that is larger than that may be sent when all of it is there.
        """
        if key.rows_per_second is None:
            return 0
        with self._spending:
            most = float(BURST_SECONDS * key.rows_per_second)
            left, at = self._spent.get(key.key_id, (most, now))
            left = min(most, left + max(now - at, 0.0) * key.rows_per_second)
            missing = min(rows, most) - left
            self._spent[key.key_id] = (left if missing > 0 else left - rows, now)
            return math.ceil(missing / key.rows_per_second) if missing > 0 else 0

    def holder(self, token: str) -> Key | None:
        """The key that a bearer token is, in constant time for a given key; None when it is none in force."""
        parts = token.split("_", 2)
        if len(parts) != 3 or parts[0] != "hw":
            return None
        key = self.named(parts[1])
        expected = key.secret_hash if key else _hash("")
        matches = hmac.compare_digest(_hash(parts[2]), expected)
        return key if matches else None

    def named(self, key_id: str) -> Key | None:
        """The key in force by that id."""
        seen = self._seen.get(key_id)
        if seen and time.monotonic() - seen[0] < TRUSTED_SECONDS:
            return seen[1]
        try:
            key = self._read(key_id)
        except AWAY:
            if seen is None or seen[1] is None or time.monotonic() - seen[0] > AWAY_SECONDS_MAX:
                raise
            return seen[1]
        if len(self._seen) > 10_000:
            self._seen.clear()
        self._seen[key_id] = (time.monotonic(), key)
        return key

    def _read(self, key_id: str) -> Key | None:
        query = sa.select(API_KEYS).where(API_KEYS.c.key_id == key_id, API_KEYS.c.revoked_at.is_(None))
        with self.warehouse.database.connect() as database:
            row = database.execute(query).mappings().first()
        if row is None:
            return None
        desks, datasets = frozenset(json.loads(row["desks"])), frozenset(json.loads(row["datasets"]))
        return Key(row["key_id"], row["name"], row["secret_hash"], desks, datasets, row["rows_per_second"])
