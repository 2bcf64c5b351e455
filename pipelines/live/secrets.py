"""Secrets that sign what goes to and comes from others: derived from a file of the home, so the database holds none.

Who has the database alone can forge neither a postback nor an action; who has the file alone knows no key of the live
service, for those are random and kept as hashes.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets as random

from sql.warehouse import Warehouse

BYTES = 32


def derived(warehouse: Warehouse, purpose: str, name: str) -> str:
    """The secret of a home for a purpose and a name: the same each time, and telling nothing of any other."""
    digest = hmac.new(_root(warehouse), f"{purpose}.{name}".encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _root(warehouse: Warehouse) -> bytes:
    """What all secrets of the home are derived from; made by whoever asks first."""
    path = warehouse.home / "live" / "signing.key"
    with warehouse.lock("signing-key"):
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            fresh = path.with_suffix(".new")
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(random.token_bytes(BYTES))
                file.flush()
                os.fsync(file.fileno())
            fresh.rename(path)
        return path.read_bytes()
