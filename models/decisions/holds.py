"""Granted requests whose account has ended since: they are held, by what the records say and by nobody's doing.

A hold is computed from where the account stands now and where it stood when the request was granted, so there is
nothing to run, to miss or to take back: it begins with the breach and is gone when a correction undoes it. What is kept
is a release: who of the others looked, why money may go all the same, and for which end of the account that holds.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from models.payouts.checks import when
from models.payouts.eligibility import ENDED
from sql import schema
from sql.desk_schema import PAYOUT_RELEASES, PAYOUT_STATES, PAYOUT_TRANSFERS


@dataclass(frozen=True)
class Hold:
    """Why a granted request is held: how its account ended, and when."""

    payout_id: str
    status: str
    ended_at: dt.datetime

    @property
    def told(self) -> str:
        """Why, in a sentence."""
        return f"its account was {self.status} on {when(self.ended_at)}, after it was granted"


def held(connection: sa.Connection, *conditions: Any) -> dict[str, Hold]:
    """Holds of the granted requests not yet sent that fulfil conditions on `payout_states`, by request."""
    states, accounts = PAYOUT_STATES.c, schema.ACCOUNT_STATUS.c
    ended = sa.select(states.payout_id, accounts.status, accounts.status_at)
    ended = ended.join(schema.ACCOUNT_STATUS, states.account_id == accounts.account_id)
    found = connection.execute(
        ended.where(states.state == "queued", accounts.status.in_(ENDED), *conditions)
    ).fetchall()
    if not found:
        return {}
    asked = [row[0] for row in found]
    granted, released = _granted(connection, asked), _released(connection, asked)
    return {
        payout_id: Hold(payout_id, status, status_at)
        for payout_id, status, status_at in found
        if _is_news(status, status_at, granted.get(payout_id)) and (payout_id, status) not in released
    }


def _granted(connection: sa.Connection, payout_ids: Sequence[str]) -> Mapping[str, tuple[str | None, dt.datetime]]:
    """How the account stood when each request was last granted (None: not kept), and when that was."""
    begun = PAYOUT_TRANSFERS.c
    query = sa.select(begun.payout_id, begun.account_status, begun.begun_at).where(
        begun.payout_id.in_(payout_ids), sa.or_(begun.account_status.is_not(None), begun.attempt == 1)
    )
    return {row[0]: (row[1], row[2]) for row in connection.execute(query.order_by(begun.attempt))}


def _is_news(status: str, ended_at: dt.datetime, granted: tuple[str | None, dt.datetime] | None) -> bool:
    """Whether who granted cannot have known of the account's end; by time where what they knew was not kept."""
    if granted is None:
        return True
    known, at = granted
    return ended_at > at if known is None else known != status


def _released(connection: sa.Connection, payout_ids: Sequence[str]) -> set[tuple[str, str]]:
    free = PAYOUT_RELEASES.c
    query = sa.select(free.payout_id, free.account_status).where(free.payout_id.in_(payout_ids))
    return {(row[0], row[1]) for row in connection.execute(query)}
