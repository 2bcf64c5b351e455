"""What acts on requests make, kept until it is written in one go: states, decisions, ledger, transfers, audit log."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from models import audit, ledger
from models.audit import Record
from models.ledger import Entry
from sql.desk_schema import DECISIONS, PAYOUT_RELEASES, PAYOUT_STATES, PAYOUT_TRANSFERS

_CHANGED = (
    "state",
    "version",
    "profit_minor",
    "trader_minor",
    "firm_minor",
    "deducted_minor",
    "approvals_needed",
    "policy_version",
    "maker",
    "checker",
    "financier",
    "transfers",
    "updated_at",
)
_BEGIN = sa.insert(PAYOUT_STATES)
_MOVE = (
    sa.update(PAYOUT_STATES)
    .where(
        PAYOUT_STATES.c.payout_id == sa.bindparam("of"),
        PAYOUT_STATES.c.version == sa.bindparam("new_version") - 1,
    )
    .values({name: sa.bindparam(f"new_{name}") for name in _CHANGED})
)


@dataclass
class Book:
    """Rows in the order in which they were made."""

    begun: list[dict[str, Any]] = field(default_factory=list)
    moved: list[dict[str, Any]] = field(default_factory=list)
    decisions: list[dict[str, Any]] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    transfers: list[dict[str, Any]] = field(default_factory=list)
    releases: list[dict[str, Any]] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)

    def begins(self, state: Mapping[str, Any]) -> None:
        """A request that nobody had acted on."""
        self.begun.append(dict(state))

    def moves(self, state: Mapping[str, Any]) -> None:
        """A request one version further."""
        self.moved.append({"of": state["payout_id"]} | {f"new_{name}": state[name] for name in _CHANGED})

    def add(self, other: Book) -> None:
        """Takes in what another book holds."""
        for name in vars(self):
            getattr(self, name).extend(getattr(other, name))

    def write(self, connection: sa.Connection, at: dt.datetime) -> bool:
        """Writes everything in this transaction; False, and the caller rolls back, when a request moved meanwhile."""
        if self.begun:
            connection.execute(_BEGIN, self.begun)
        # one statement a row on drivers that do not count rows of many
        whole = not self.moved or connection.execute(_MOVE, self.moved).rowcount == len(self.moved)
        if not whole:
            return False
        made = ((DECISIONS, self.decisions), (PAYOUT_TRANSFERS, self.transfers), (PAYOUT_RELEASES, self.releases))
        for table, rows in made:
            if rows:
                connection.execute(sa.insert(table), rows)
        ledger.post(connection, self.entries)
        audit.append(connection, *self.records, at=at)
        return True
