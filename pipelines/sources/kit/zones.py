"""A platform's clock: an IANA zone, a fixed offset, or a zone with an offset added, turned into instants."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from functools import cached_property
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import pandas as pd

from pipelines.sources.kit.statement import SourceRefusal

_SHIFTED = re.compile(r"(?P<zone>[A-Za-z_]+(?:/[A-Za-z_\-]+)*)?(?P<offset>[+-]\d{1,2}(?::?\d\d)?)")


@dataclass(frozen=True)
class ServerClock:
    """A wall clock: the zone whose daylight saving it follows, and what it shows beyond that zone's own time.

    Many FX servers show New York time plus seven hours: ``America/New_York+7``. A time that the clock change repeats is
    its first occurrence, unless its ``fold`` says that it is the second; one that it skips is the first instant after
    the gap.
    """

    name: str
    zone: str | timezone
    ahead: timedelta = timedelta(0)

    def instants(self, readings: Sequence[datetime]) -> pd.DatetimeIndex:
        """Return aware UTC instants in microseconds for naive clock readings, in their order."""
        local = self._local(readings)
        first = np.array([not reading.fold for reading in readings], dtype=bool)
        aware = local.tz_localize(self.zone, ambiguous=first, nonexistent="shift_forward")
        return aware.tz_convert("UTC").as_unit("us")

    def utc(self, reading: datetime) -> datetime:
        """Return the UTC reading of one clock reading, for names that must not depend on the zone of an export."""
        zone = ZoneInfo(self.zone) if isinstance(self.zone, str) else self.zone
        own = (reading - self.ahead).replace(tzinfo=zone, fold=reading.fold)
        return own.astimezone(UTC).replace(tzinfo=None)

    def is_repeated(self, reading: datetime) -> bool:
        """Tell whether the clock change repeats a reading."""
        return self.utc(reading.replace(fold=1)) > self.utc(reading.replace(fold=0))

    def closing(self, opened: datetime, closed: datetime) -> datetime | None:
        """Return when a trade closed: within a repeated hour, later than it opened; None where it closed before."""
        again = closed.replace(fold=1)
        if closed < opened and self.is_repeated(closed) and self.utc(again) >= self.utc(opened):
            return again
        return None if closed < opened else closed

    def apart(self, opened: datetime, closed: datetime, lasted: timedelta | None) -> tuple[datetime, datetime | None]:
        """Return when a trade opened and closed: where the clock repeats an hour, as far apart as the trade lasted."""
        ways = [(first, last) for first in self._occurrences(opened) for last in self._occurrences(closed)]
        if lasted is not None and len(ways) > 1:
            fitting = (way for way in ways if abs(self.utc(way[1]) - self.utc(way[0]) - lasted) <= timedelta(seconds=1))
            if told := next(fitting, None):
                return told
        return opened, self.closing(opened, closed)

    def _occurrences(self, reading: datetime) -> list[datetime]:
        """Return both occurrences of a reading that the clock change repeats."""
        return [reading, reading.replace(fold=1)] if self.is_repeated(reading) else [reading]

    def uncertain(self, readings: Sequence[datetime]) -> int:
        """Count the readings that the clock change repeats or skips."""
        quarters, counts = np.unique(self._local(readings).floor("15min"), return_counts=True)
        aware = pd.DatetimeIndex(quarters).tz_localize(self.zone, ambiguous="NaT", nonexistent="NaT")
        return int(counts[aware.isna()].sum())

    def _local(self, readings: Sequence[datetime]) -> pd.DatetimeIndex:
        """Return the readings on the zone's own clock."""
        return pd.DatetimeIndex(np.array(list(readings), dtype="datetime64[us]")) - self.ahead

    @cached_property
    def note(self) -> str:
        """The sentence about time that is stored with the load."""
        return f"times are server wall clock, read as {self.name}"


def server_clock(name: str) -> ServerClock:
    """Return the clock that a name describes; an unknown name is a SourceRefusal."""
    match = _SHIFTED.fullmatch(name.strip())
    if match is None or name.strip() in _known():
        return ServerClock(name, _zone(name.strip()))
    ahead = _offset(match["offset"], name)
    base = match["zone"] or "UTC"
    if base in {"UTC", "GMT"}:
        return ServerClock(name, timezone(ahead))
    return ServerClock(name, _zone(base), ahead)


def needed_clock(name: str | None, source: str) -> ServerClock:
    """Return the server clock, or refuse: this format has no zone of its own."""
    if not name:
        raise SourceRefusal(
            f"{source} prints server wall clock without a zone, so its instants are unknown: say which with "
            "--server-zone (an IANA name such as Europe/Athens, or America/New_York+7)"
        )
    return server_clock(name)


def _known() -> set[str]:
    """Names with a sign in them that are zones as they stand."""
    return {f"Etc/GMT{sign}{hours}" for sign in "+-" for hours in range(15)}


def _offset(text: str, name: str) -> timedelta:
    """Return '+7', '+07:00' or '-0330' as a duration of at most fifteen hours."""
    sign = -1 if text[0] == "-" else 1
    hours, _, minutes = text[1:].partition(":")
    if not minutes and len(hours) > 2:
        hours, minutes = hours[:-2], hours[-2:]
    ahead = timedelta(hours=int(hours), minutes=int(minutes or 0))
    if ahead > timedelta(hours=15):
        raise SourceRefusal(f"server zone {name!r} is more than fifteen hours off: give an IANA name")
    return sign * ahead


def _zone(name: str) -> str:
    """Return the name of an IANA zone, or refuse it."""
    try:
        return ZoneInfo(name).key
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise SourceRefusal(
            f"server zone {name!r} is not known: give an IANA name such as Europe/Athens, or America/New_York+7"
        ) from error
