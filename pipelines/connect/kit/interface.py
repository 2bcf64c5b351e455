"""What every connector is: accounts, their history and their stream, in batches that say where to resume."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from pipelines.files import Broken
from pipelines.sources.kit.statement import DEAL_COLUMNS, EQUITY_COLUMNS

Record = dict[str, Any]
Cursor = dict[str, Any]


class ConnectRefused(Exception):
    """One sentence that says why a connection cannot be made or kept, and what to do about it."""


class Transient(Exception):
    """A failure that passes: a lost connection, maintenance, a rate limit. ``retry_after`` in seconds, where told."""

    def __init__(self, said: str, retry_after: float | None = None) -> None:
        """Keep what was said and for how long to wait."""
        super().__init__(said)
        self.retry_after = retry_after


class AccountLost(Exception):
    """The platform no longer lets one account be read; the others go on."""


@dataclass(frozen=True)
class Limits:
    """What the platform allows: requests per second, of them historical ones, and rows in one answer."""

    requests_per_second: float
    historical_per_second: float | None = None
    rows_per_page: int = 1000


@dataclass(frozen=True)
class AccountRef:
    """One account: the platform's key for it, the number people see, and the account it lands under (ours)."""

    platform_id: str
    login: str
    account_id: str = ""
    server: str | None = None
    currency: str | None = None
    known: Mapping[str, Any] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class Finding:
    """Something amiss about a subject; without detail it holds no longer."""

    kind: str
    subject: str
    detail: str | None


@dataclass(frozen=True)
class Batch:
    """A stretch of one account's record and the cursor to resume from once it has landed.

    ``deals`` and ``equity`` are records with the feed's columns: money, prices and volumes decimal texts, times aware.
    ``refused`` are platform records that could not be read; ``files`` are feed files, fetched, to land as they are.
    """

    account: AccountRef
    cursor: Cursor
    deals: Sequence[Record] = ()
    equity: Sequence[Record] = ()
    refused: Sequence[Broken] = ()
    findings: Sequence[Finding] = ()
    files: Sequence[Path] = ()

    def deals_frame(self) -> pd.DataFrame:
        """The deals as a frame with the feed's columns, in the order in which they came."""
        return pd.DataFrame(list(self.deals), columns=DEAL_COLUMNS, dtype=object)

    def equity_frame(self) -> pd.DataFrame:
        """The observations of balance and equity as a frame with the feed's columns."""
        return pd.DataFrame(list(self.equity), columns=EQUITY_COLUMNS, dtype=object)

    @property
    def rows(self) -> int:
        """Records in the batch."""
        return len(self.deals) + len(self.equity) + len(self.refused) + len(self.files)


class Connector(Protocol):
    """A platform. Every method may raise Transient (try again), ConnectRefused (give up) or AccountLost."""

    name: str
    platform: str | None
    limits: Limits

    async def connect(self) -> None:
        """Open the connection and sign in; called again after a Transient."""
        ...

    async def accounts(self) -> list[AccountRef]:
        """The accounts that can be read, without ``account_id``."""
        ...

    def history(self, account: AccountRef, since: Cursor | None) -> AsyncIterator[Batch]:
        """What happened up to now, from a cursor or from the account's beginning, oldest first."""
        ...

    def stream(self, accounts: Sequence[AccountRef], since: Mapping[str, Cursor]) -> AsyncIterator[Batch]:
        """What happens from now on, until the connection breaks; ``since`` holds the cursors by platform_id."""
        ...

    async def close(self) -> None:
        """Let go of the connection; allowed at any time."""
        ...
