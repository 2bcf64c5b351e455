"""Feeds that stopped: a dataset that has been silent for much longer than it ever was is told of, once each time."""

from __future__ import annotations

import datetime as dt
from collections import deque
from dataclasses import dataclass, field
from typing import Any

GAPS_KEPT = 500
GAPS_MIN = 20
LONGER = 5.0
SECONDS_MIN = 60.0


@dataclass
class Feed:
    """When a dataset was last delivered, and how long it was silent before."""

    last: float
    gaps: deque[float] = field(default_factory=lambda: deque(maxlen=GAPS_KEPT))
    is_told: bool = False

    def patience(self) -> float | None:
        """Seconds of silence that are still usual; None while too little is known to say."""
        if len(self.gaps) < GAPS_MIN:
            return None
        return max(LONGER * max(self.gaps), SECONDS_MIN)


class Silence:
    """Listens to every dataset; instants are seconds since 1970."""

    def __init__(self) -> None:
        self.feeds: dict[str, Feed] = {}

    def heard(self, dataset: str, at: float) -> None:
        """Notes a delivery; a silence that was told of says nothing about what is usual."""
        feed = self.feeds.setdefault(dataset, Feed(at))
        if at > feed.last and not feed.is_told:
            feed.gaps.append(at - feed.last)
        feed.last, feed.is_told = at, False

    def silent(self, at: float) -> dict[str, float]:
        """Datasets that are silent for too long, and for how many seconds."""
        found = {}
        for name, feed in list(self.feeds.items()):
            patience = feed.patience()
            if patience is not None and at - feed.last > patience:
                found[name] = at - feed.last
        return found

    def news(self, at: float) -> list[dict[str, Any]]:
        """What people are to be told of silences that were not told yet, as `pipelines.live.alerts` takes it."""
        told = []
        for name, seconds in self.silent(at).items():
            feed = self.feeds[name]
            if not feed.is_told:
                feed.is_told = True
                last = dt.datetime.fromtimestamp(feed.last, dt.UTC)
                longest = max(feed.gaps)
                sentence = (
                    f"Nothing of {name} has come for {seconds:,.0f} s, since {last:%Y-%m-%d %H:%M:%S} UTC; it was never"
                    f" silent for more than {longest:,.0f} s. Verdicts do not know what happens now."
                )
                one = {"subject": name, "desk_id": None, "rule": "source", "outcome": "silent"}
                told.append(one | {"happened_at": last, "sentence": sentence})
        return told
