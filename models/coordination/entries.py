"""The entries of a firm as sorted arrays: what every later step reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.coordination.compiled import compiled
from models.coordination.terms import CoordinationTerms

Ints = NDArray[np.int64]
Codes = NDArray[np.int32]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Sides = NDArray[np.int8]

SECOND = 1_000_000  # times are whole microseconds
NEVER = np.iinfo(np.int64).min


class Book(NamedTuple):
    """Openings sorted by instrument and time; account codes follow the order of the ids, side 0 buys and 1 sells.

    `own` lists positions by account (`own_start[a]:own_start[a + 1]`), so each list is again by instrument and time.
    `near` counts the buys (column 0) and sells (column 1) within the rate window of an entry, `crowd` says whether
    they are a crowd; `buys_before` counts the buys before each position. `totals` and `crowd_totals` are per
    instrument * 2 + side; `crowd_meets[key, relation]` is the mean share of a side's crowd entries that lie within
    the horizon of a crowd entry of the same (0) or the other side (1). `open_s` is the time in which anyone
    traded, `span_s` the time from first to last; `closed_us` is NEVER while a position is open.
    """

    opened_us: Ints
    closed_us: Ints
    account: Codes
    instrument: Codes
    side: Sides
    lots: Floats
    idea: Codes
    own: Codes
    own_start: Ints
    near: Codes
    crowd: Flags
    instrument_start: Ints
    buys_before: Codes
    totals: Floats
    crowd_totals: Floats
    crowd_meets: Floats
    first_us: Ints
    last_us: Ints
    open_s: float
    span_s: float


@dataclass(frozen=True)
class Entries:
    """A book with its account ids (by code) and the row of the trades frame behind each entry."""

    accounts: NDArray[np.object_]
    rows: Ints
    book: Book


def _microseconds(times: pd.Series) -> Ints:
    """Whole microseconds since 1970, NEVER where the time is missing."""
    whole = pd.to_datetime(times, utc=True).astype("datetime64[us, UTC]")
    return np.asarray(whole.astype("int64"), dtype=np.int64)


def _side_codes(sides: pd.Series) -> Sides:
    """0 for a buy, 1 for a sell, -1 for anything else."""
    codes, names = pd.factorize(sides)
    known = {"buy": 0, "sell": 1}
    table = np.array([known.get(str(name).lower(), -1) for name in names] + [-1], dtype=np.int8)
    return np.asarray(table[codes], dtype=np.int8)


@compiled
def _thin(account: Codes, instrument: Codes, side: Sides, opened: Ints, busy: Flags, gap_us: int) -> Flags:
    """Keeps, of busy account days, only entries that open a burst; rows by account, instrument, side and time."""
    keep = np.ones(len(opened), dtype=np.bool_)
    for i in range(1, len(opened)):
        same = account[i] == account[i - 1] and instrument[i] == instrument[i - 1] and side[i] == side[i - 1]
        if busy[i] and same and opened[i] - opened[i - 1] < gap_us:
            keep[i] = False
    return keep


@compiled
def _ideas(own: Codes, account: Codes, instrument: Codes, side: Sides, opened: Ints, gap_us: int) -> Codes:
    """Numbers the ideas: runs of entries of one account, instrument and side with gaps below `gap_us`."""
    idea = np.zeros(len(own), dtype=np.int32)
    last_at = np.zeros(2, dtype=np.int64)
    last_idea = np.zeros(2, dtype=np.int32)
    known = np.zeros(2, dtype=np.bool_)
    count = 0
    for k in range(len(own)):
        p = own[k]
        if k == 0 or account[p] != account[own[k - 1]] or instrument[p] != instrument[own[k - 1]]:
            known[:] = False
        s = side[p]
        if not known[s] or opened[p] - last_at[s] >= gap_us:
            last_idea[s] = count
            count += 1
        idea[p] = last_idea[s]
        last_at[s] = opened[p]
        known[s] = True
    return idea


@compiled
def _neighbours(instrument: Codes, side: Sides, opened: Ints, half_us: int) -> Codes:
    """Entries per side within `half_us` of each entry on its instrument, shape (n, 2); the entry itself is counted."""
    n = len(opened)
    near = np.zeros((n, 2), dtype=np.int32)
    inside = np.zeros(2, dtype=np.int32)
    left = right = 0
    for i in range(n):
        while right < n and (
            instrument[right] < instrument[i]
            or (instrument[right] == instrument[i] and opened[right] - opened[i] <= half_us)
        ):
            inside[side[right]] += 1
            right += 1
        while instrument[left] < instrument[i] or opened[i] - opened[left] > half_us:
            inside[side[left]] -= 1
            left += 1
        near[i, 0] = inside[0]
        near[i, 1] = inside[1]
    return near


def _near_news(opened: Ints, news: pd.DataFrame | None, terms: CoordinationTerms) -> Flags:
    """True for entries around an event of high impact."""
    if news is None or news.empty:
        return np.zeros(len(opened), dtype=np.bool_)
    high = news.loc[news["impact"].astype(str).str.lower() == "high", "occurs_at"]
    events = np.sort(_microseconds(high.dropna()))
    start = np.searchsorted(events, opened - int(terms.news_after_s * SECOND), side="left")
    end = np.searchsorted(events, opened + int(terms.news_before_s * SECOND), side="right")
    return np.asarray(end > start, dtype=np.bool_)


def _crowds(
    opened: Ints, instrument: Codes, side: Sides, near: Codes, at_news: Flags, terms: CoordinationTerms
) -> Flags:
    """Whether each entry stands in a crowd of buys (column 0) or of sells (column 1)."""
    dense = _neighbours(instrument, side, opened, int(terms.crowd_window_s * SECOND))
    usual = near * (terms.crowd_window_s / terms.rate_window_s)
    crowd = (dense - usual >= terms.crowd_min) & (dense > 3 * usual)
    return np.asarray(crowd | at_news[:, None], dtype=np.bool_)


def _crowd_meets(
    columns: tuple[Codes, Codes, Sides, Ints, Ints, Floats],
    key: Ints,
    crowd: Flags,
    crowd_totals: Floats,
    terms: CoordinationTerms,
) -> Floats:
    """Mean share of a side's crowd entries near a crowd entry, by key of the latter and relation; see `Book`."""
    _, instrument, side, opened, _, _ = columns
    around = _neighbours(instrument, side, opened, int(terms.horizon_s * SECOND))
    rows = np.arange(len(side))
    out = np.zeros((len(crowd_totals), 2))
    for relation in (0, 1):
        other = side ^ relation
        share = around[rows, other] / np.maximum(crowd_totals[key ^ relation], 1.0)
        inside = crowd[rows, other]
        counts = np.bincount(key[inside], minlength=len(out))
        out[:, relation] = np.bincount(key[inside], share[inside], minlength=len(out)) / np.maximum(counts, 1)
    return np.minimum(out, 1.0)


@compiled
def first_at(book: Book, instrument: int, at_us: int) -> int:
    """Position of the first entry on an instrument at or after a time; the end of the instrument if there is none."""
    low, high = book.instrument_start[instrument], book.instrument_start[instrument + 1]
    while low < high:
        middle = (low + high) // 2
        if book.opened_us[middle] < at_us:
            low = middle + 1
        else:
            high = middle
    return int(low)


def _usable(trades: pd.DataFrame, log: list[str]) -> Ints:
    """Positions of the rows that say who opened what, when and on which side; the others are counted in the log."""
    known = trades["account_id"].notna() & trades["instrument"].notna() & trades["opened_at"].notna()
    known &= trades["side"].isin(["buy", "sell"])
    if not known.all():
        log.append(f"{int((~known).sum())} trades without account, instrument, side or opening time were left out")
    return np.flatnonzero(known.to_numpy())


def _quiet_rows(
    account: Codes, instrument: Codes, side: Sides, opened: Ints, terms: CoordinationTerms, log: list[str]
) -> Flags:
    """False for entries inside a burst of an account that opens more in a day than a person could."""
    day = (opened - opened.min()) // (86_400 * SECOND)
    width = int(day.max()) + 1
    _, inverse, counts = np.unique(account.astype(np.int64) * width + day, return_inverse=True, return_counts=True)
    busy = counts[inverse] > terms.entries_per_day_max
    keep = np.ones(len(opened), dtype=np.bool_)
    if not busy.any():
        return keep
    order = np.lexsort((opened, side, instrument, account))
    gap_us = int(terms.idea_gap_s * SECOND)
    keep[order] = _thin(account[order], instrument[order], side[order], opened[order], busy[order], gap_us)
    log.append(
        f"{len(np.unique(account[busy]))} accounts opened more than {terms.entries_per_day_max} positions in a day: "
        f"{int((~keep).sum())} entries inside bursts were merged into the burst's first"
    )
    return keep


def sort_entries(
    trades: pd.DataFrame, news: pd.DataFrame | None, terms: CoordinationTerms, log: list[str]
) -> Entries | None:
    """Sorts a trades frame into `Entries`; None when no usable trade is left. Adds what was left out to `log`."""
    if trades.empty:
        log.append("no trades")
        return None
    needed = trades[["account_id", "instrument", "side", "opened_at", "closed_at", "lots"]]
    usable = _usable(needed, log)
    if not len(usable):
        return None
    cleaned = needed if len(usable) == len(needed) else needed.iloc[usable]
    account_codes, names = pd.factorize(cleaned["account_id"].astype(object), sort=True)
    instrument_codes, _ = pd.factorize(cleaned["instrument"].astype(object), sort=True)
    opened, closed = _microseconds(cleaned["opened_at"]), _microseconds(cleaned["closed_at"])
    side = _side_codes(cleaned["side"])
    account, instrument = account_codes.astype(np.int32), instrument_codes.astype(np.int32)
    lots = cleaned["lots"].to_numpy(dtype=np.float64, na_value=np.nan)
    keep = _quiet_rows(account, instrument, side, opened, terms, log)
    order = np.flatnonzero(keep)
    order = order[np.lexsort((lots[order], closed[order], account[order], opened[order], instrument[order]))]
    columns = (account[order], instrument[order], side[order], opened[order], closed[order], lots[order])
    return _index(np.asarray(names, dtype=object), usable[order], columns, news, terms)


def _index(
    names: NDArray[np.object_],
    rows: Ints,
    columns: tuple[Codes, Codes, Sides, Ints, Ints, Floats],
    news: pd.DataFrame | None,
    terms: CoordinationTerms,
) -> Entries:
    """Adds to sorted columns what the search looks up again and again."""
    account, instrument, side, opened, closed, lots = columns
    own = np.argsort(account, kind="stable").astype(np.int32)
    own_start = np.searchsorted(account[own], np.arange(len(names) + 1)).astype(np.int64)
    near = _neighbours(instrument, side, opened, int(terms.rate_window_s * SECOND))
    crowd = _crowds(opened, instrument, side, near, _near_news(opened, news, terms), terms)
    key = instrument.astype(np.int64) * 2 + side
    keys = int(instrument.max()) * 2 + 2
    in_crowd = crowd[np.arange(len(side)), side]
    crowd_totals = np.bincount(key[in_crowd], minlength=keys).astype(np.float64)
    first, last = np.full(len(names), np.iinfo(np.int64).max), np.full(len(names), np.iinfo(np.int64).min)
    np.minimum.at(first, account, opened)
    np.maximum.at(last, account, opened)
    hours = np.unique(opened // (3600 * SECOND))
    book = Book(
        opened_us=opened,
        closed_us=closed,
        account=account,
        instrument=instrument,
        side=side,
        lots=lots,
        idea=_ideas(own, account, instrument, side, opened, int(terms.idea_gap_s * SECOND)),
        own=own,
        own_start=own_start,
        near=near,
        crowd=crowd,
        totals=np.bincount(key, minlength=keys).astype(np.float64),
        instrument_start=np.searchsorted(instrument, np.arange(keys // 2 + 1)).astype(np.int64),
        buys_before=np.concatenate([[0], np.cumsum(side == 0)]).astype(np.int32),
        crowd_totals=crowd_totals,
        crowd_meets=_crowd_meets(columns, key, crowd, crowd_totals, terms),
        first_us=first,
        last_us=last,
        open_s=max(len(hours) * 3600.0, 86_400.0),
        span_s=max(float(opened.max() - opened.min()) / SECOND, 86_400.0),
    )
    return Entries(accounts=names, rows=rows, book=book)
