"""Firm days: when a product's day begins, by IANA zone, reset time and trading calendar."""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from pathlib import Path
from typing import Literal
from zoneinfo import TZPATH, ZoneInfo, available_timezones

import numpy as np
from numpy.typing import NDArray

Calendar = Literal["fx", "crypto", "cme"]
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
MICROSECOND = dt.timedelta(microseconds=1)
UTC_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d|\d\d [A-Z][a-z]{2} \d{4})[ T](\d\d:\d\d)(:\d\d)?(\.\d{1,6})?(?: UTC|Z|\+00:00)(?!\w)"
)
"""An instant in UTC as sentences and records write it."""


@dataclass(frozen=True)
class Clock:
    """A product's day: the zone and local time of its reset, and the calendar that says which days have one."""

    zone: str
    reset: dt.time
    calendar: Calendar

    @property
    def evening(self) -> bool:
        """A reset from noon on opens the next date's firm day."""
        return self.reset.hour >= 12


@dataclass(frozen=True)
class Resets:
    """The resets of a clock in time order: instants in microseconds since 1970 UTC, and the firm day each opens."""

    instants: NDArray[np.int64]
    firm_days: NDArray[np.int32]


def to_micros(instant: dt.datetime) -> int:
    """Microseconds since 1970 UTC of an aware instant."""
    return (instant - EPOCH) // MICROSECOND


def from_micros(micros: int) -> dt.datetime:
    """The aware UTC instant of microseconds since 1970."""
    return EPOCH + int(micros) * MICROSECOND


@cache
def zones() -> frozenset[str]:
    """The IANA zones that this machine knows; reading them all takes a while."""
    return frozenset(available_timezones())


@cache
def place(zone: str) -> str:
    """A zone as people say it: its town, or its distance from UTC (`Etc/GMT-3` is three hours ahead of it)."""
    town = zone.rpartition("/")[2]
    if zone.startswith("Etc/GMT") and town[3:4] in ("+", "-"):
        return f"UTC{'+' if town[3] == '-' else '-'}{town[4:]}"
    return town.replace("_", " ")


def zoned(text: str, zone: str) -> str:
    """A text whose instants are in UTC, with them in a zone instead, the zone shown; what is no date stays as it is."""
    there = ZoneInfo(zone)

    def told(found: re.Match[str]) -> str:
        day, minute, second, fraction = found.groups(default="")
        form = "%Y-%m-%d %H:%M" if "-" in day else "%d %b %Y %H:%M"
        try:
            at = dt.datetime.strptime(f"{day} {minute}", form).replace(tzinfo=dt.UTC).astimezone(there)
        except (ValueError, OverflowError):
            return found[0]
        return f"{at:%d %b %Y %H:%M}{second}{fraction.rstrip('0').rstrip('.')} {at:%Z}"

    return UTC_TIME.sub(told, text)


def zone_rules(zone: str) -> str:
    """A hash of what this machine knows of a zone; governments change theirs, and time zone data follow."""
    of_system = (Path(folder, zone) for folder in TZPATH)
    packaged = resources.files("tzdata").joinpath("zoneinfo", *zone.split("/"))
    return hashlib.sha256(next((path for path in of_system if path.is_file()), packaged).read_bytes()).hexdigest()


def reset_instant(clock: Clock, date: dt.date) -> dt.datetime:
    """The instant of the reset on a local date: after a gap its end, of a repeated hour the first."""
    zone = ZoneInfo(clock.zone)
    local = dt.datetime.combine(date, clock.reset, tzinfo=zone)
    instant = local.astimezone(dt.UTC)
    skipped = instant.astimezone(zone).replace(tzinfo=None) != local.replace(tzinfo=None)
    return _end_of_gap(zone, instant) if skipped else instant


def _end_of_gap(zone: ZoneInfo, after: dt.datetime) -> dt.datetime:
    """The first instant after the gap in which a local time fell; `after` is what the old offset makes of it."""
    low, high = after - dt.timedelta(days=1), after
    offset = high.astimezone(zone).utcoffset()
    while high - low > dt.timedelta(seconds=1):
        middle = low + (high - low) // 2
        low, high = (low, middle) if middle.astimezone(zone).utcoffset() == offset else (middle, high)
    return high.replace(microsecond=0)


@lru_cache(maxsize=256)
def resets(clock: Clock, first: dt.date, last: dt.date) -> Resets:
    """Every reset of a clock with a local date between two dates, both included."""
    without = () if clock.calendar == "crypto" else ((4, 5) if clock.evening else (5, 6))
    dates = (first + dt.timedelta(days=n) for n in range((last - first).days + 1))
    kept = [date for date in dates if date.weekday() not in without]
    ahead = dt.timedelta(days=1 if clock.evening else 0)
    instants = np.array([to_micros(reset_instant(clock, date)) for date in kept], dtype=np.int64)
    days = np.array([(date + ahead - dt.date(1970, 1, 1)).days for date in kept], dtype=np.int32)
    return Resets(instants, days)
