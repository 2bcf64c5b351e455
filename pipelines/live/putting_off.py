"""Rows that a fold need not write at once: where accounts stand about which nothing new is said.

Under load an account changes several times a second; of what it was in between nobody reads. So the newest of each is
kept for a moment and many are written together; verdicts, and the rows of the accounts they are about, never wait.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Mapping, Set
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

STATUS_KEY, DAY_KEY = ["account_id"], ["account_id", "firm_day"]


@dataclass
class PutOff:
    """Rows of `account_status` and `account_days` in the order in which they came up, and by account the earliest
    instant (microseconds) that changed."""

    status: list[pd.DataFrame] = field(default_factory=list)
    days: list[pd.DataFrame] = field(default_factory=list)
    since: dict[str, int] = field(default_factory=dict)
    began: float = 0.0

    def __len__(self) -> int:
        return len(self.since)

    @property
    def seconds(self) -> float:
        """For how long the oldest of them have waited."""
        return time.monotonic() - self.began if self.since else 0.0

    def add(
        self, status: pd.DataFrame, days: pd.DataFrame, since: Mapping[str, int], again: Mapping[str, dt.date]
    ) -> None:
        """Takes rows that are newer than those of before; `again` says from which day on an account has no others."""
        if not self.since:
            self.began = time.monotonic()
        if again:
            self.days = [_before(frame, again) for frame in self.days]
        # a table without rows may lack columns too
        self.status += [status] if len(status) else []
        self.days += [days] if len(days) else []
        for name, at in since.items():
            self.since[name] = min(at, self.since.get(name, at))

    def of(self, names: Set[str] | None) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, int]]:
        """The newest rows of accounts, or of all."""
        since = self.since if names is None else {name: self.since[name] for name in names & self.since.keys()}
        return _newest(self.status, STATUS_KEY, names), _newest(self.days, DAY_KEY, names), dict(since)

    def leave_out(self, names: Set[str] | None) -> None:
        """Lets go of what was written of accounts, or of all."""
        if names is None:
            self.status, self.days, self.since = [], [], {}
            return
        if names:
            self.status, self.days = (
                [frame[~frame["account_id"].isin(names)] for frame in frames] for frames in (self.status, self.days)
            )
            self.since = {name: at for name, at in self.since.items() if name not in names}


def _newest(frames: list[pd.DataFrame], key: list[str], names: Set[str] | None) -> pd.DataFrame:
    """The last row of each key, of accounts or of all."""
    chosen = frames if names is None else [frame[frame["account_id"].isin(names)] for frame in frames]
    told = [frame for frame in chosen if len(frame)]
    if len(told) < 2:
        return told[0] if told else pd.DataFrame()
    return pd.concat(told, ignore_index=True).drop_duplicates(key, keep="last")


def _before(days: pd.DataFrame, again: Mapping[str, dt.date]) -> pd.DataFrame:
    pairs = zip(days["account_id"], days["firm_day"], strict=True)
    return days[np.fromiter((day < again.get(account, dt.date.max) for account, day in pairs), np.bool_, len(days))]
