"""Whether deals fall into hours in which their market is open, if the clock is read by the zone that was named.

Currencies, metals and futures rest from Friday 17:00 to Sunday 17:00 in New York, metals and futures also for the hour
after 17:00 every day. Read by the right zone, real statements have next to no deal in there.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.sources.kit.checks import remark
from pipelines.sources.kit.statement import Check
from pipelines.sources.kit.zones import ServerClock, server_clock
from pipelines.sources.symbols import asset_class

NAME = "market hours"
CLOSED_SHARE_MAX = 0.005
CLOSED_DEALS_MIN = 2
DEALS_MIN = 10
MARGIN_MINUTES = 5
_CLOSE, _FRIDAY, _SUNDAY = 17 * 60, 4, 6
_RESTING = ("metal", "future")
_USUAL = (
    *("America/New_York+7", "Europe/Athens", "UTC", "Europe/London", "Europe/Berlin", "UTC+2", "UTC+3"),
    *("America/New_York", "America/Chicago", "Asia/Singapore", "Asia/Tokyo", "Australia/Sydney"),
)


def market_hours_check(deals: Sequence[dict[str, Any]], clock: ServerClock) -> Check:
    """Suspect the clock's zone when trades fall into closed hours, and name the usual zones that would fit."""
    kinds = [asset_class(deal.get("symbol")) if deal["kind"] == "trade" else None for deal in deals]
    known = [(deal["executed_at"], kind) for deal, kind in zip(deals, kinds, strict=True) if kind in ("fx", *_RESTING)]
    if len(known) < DEALS_MIN:
        return remark(NAME, "not_printed", f"{len(known)} deals", "too few of currencies, metals and futures to judge")
    readings = [at for at, _ in known]
    rests = np.array([kind in _RESTING for _, kind in known])
    closed = _closed(readings, rests, clock)
    where = f"{closed} of {len(known)} deals in currencies, metals and futures while their market is closed"
    if closed < CLOSED_DEALS_MIN or closed <= CLOSED_SHARE_MAX * len(known):
        return remark(NAME, "exact", where, "")
    fitting = [name for name in _USUAL if not _closed(readings, rests, server_clock(name))]
    fits = f"; of the usual zones these would fit: {', '.join(fitting)}" if fitting else ""
    why = f"{clock.name} is probably not the zone of this clock: land the file again with the right --server-zone{fits}"
    return remark(NAME, "suspect", where, why)


def _closed(readings: list[datetime], rests: npt.NDArray[np.bool_], clock: ServerClock) -> int:
    """Count the deals in closed hours, a few minutes at either end left out."""
    local = clock.instants(readings).tz_convert("America/New_York")
    weekday = np.asarray(local.dayofweek)
    minute = np.asarray(local.hour) * 60 + np.asarray(local.minute)
    begun, over = minute >= _CLOSE + MARGIN_MINUTES, minute < _CLOSE - MARGIN_MINUTES
    weekend = (weekday == _FRIDAY + 1) | ((weekday == _FRIDAY) & begun) | ((weekday == _SUNDAY) & over)
    pause = rests & begun & (minute < _CLOSE + 60 - MARGIN_MINUTES)
    return int((weekend | pause).sum())
