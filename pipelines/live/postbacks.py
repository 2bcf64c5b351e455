"""Partners' postbacks: a click told by a signed address, once per event id, within a replay window.

The signature is HMAC-SHA256 in hex over the query's other parameters, sorted by name and joined as `name=value` with
`&`; its key is the signing secret that `highwater key postback KEY_ID` prints (`pipelines.live.secrets`).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Sequence

from pipelines.live.keys import Key, Keyring
from pipelines.live.secrets import derived
from sql.warehouse import Warehouse

REPLAY_SECONDS = 300


class PostbackRefused(Exception):
    """A postback whose signature or age does not hold, with the sentence that says why."""


def signing_secret(warehouse: Warehouse, key_id: str) -> str:
    """What the holder of a key signs postbacks with."""
    return derived(warehouse, "postback", key_id)


def sign(secret: str, parameters: Sequence[tuple[str, str]]) -> str:
    """The signature of parameters (without `signature` itself)."""
    told = "&".join(f"{name}={value}" for name, value in sorted(parameters) if name != "signature")
    return hmac.new(secret.encode(), told.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def signer(keyring: Keyring, parameters: Sequence[tuple[str, str]], sent_at: int) -> Key:
    """The key that signed a postback; PostbackRefused when none in force did, or it is too old or from the future."""
    told = dict(parameters)
    if len(told) != len(parameters):
        raise PostbackRefused("the postback names a parameter twice")
    key = keyring.named(told["key"]) if told["key"].isalnum() else None
    expected = sign(signing_secret(keyring.warehouse, key.key_id) if key else "", parameters)
    given = told["signature"].encode("utf-8", "surrogatepass")
    if not hmac.compare_digest(expected.encode(), given) or key is None:
        raise PostbackRefused("the postback's signature does not hold")
    age = int(time.time()) - sent_at  # whole, since a number that is told may be larger than a float can be
    if age > REPLAY_SECONDS:
        raise PostbackRefused(f"the postback was sent more than {REPLAY_SECONDS} s ago")
    if age < -REPLAY_SECONDS:
        raise PostbackRefused(f"the postback says that it is sent more than {REPLAY_SECONDS} s from now")
    return key


def as_click(told: dict[str, str]) -> bytes:
    """The click that a postback tells of, as a record."""
    names = ("partner_id", "occurred_at", "ip", "device_id")
    return json.dumps({"click_id": told["event_id"]} | {name: told.get(name) for name in names}).encode()
