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
WHOLE_SECONDS = 0.9  # share of entries at whole seconds from which a clock shows no less
NEVER = np.iinfo(np.int64).min


class Columns(NamedTuple):
    """Openings column by column; see `Book`."""

    account: Codes
    instrument: Codes
    side: Sides
    opened_us: Ints
    closed_us: Ints
    lots: Floats

    def take(self, rows: Ints | Flags) -> Columns:
        """The chosen rows of every column."""
        return Columns(
            account=self.account[rows],
            instrument=self.instrument[rows],
            side=self.side[rows],
            opened_us=self.opened_us[rows],
            closed_us=self.closed_us[rows],
            lots=self.lots[rows],
        )


class Book(NamedTuple):
    """Openings sorted by instrument and time; account codes follow the order of the ids, side 0 buys and 1 sells.

    `own` lists positions by account (`own_start[a]:own_start[a + 1]`), so each list is again by instrument and time.
    `near` counts the buys (column 0) and sells (column 1) within the rate window of an entry, `crowd` says whether
    they are a crowd; `buys_before` counts the buys before each position. `totals` and `crowd_totals` are per
    instrument * 2 + side; `crowd_meets[key]` is the mean share of a side's crowd entries that lie within
    the horizon of a crowd entry of the same (0) or the other side (1), and within the narrow reach of such (2, 3).
    `open_s` is the time in which anyone traded, `span_s` the time from first to last; `step_us` is the step of an
    account's clock; `closed_us` is NEVER while a position is open.
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
    step_us: Ints
    open_s: float
    span_s: float


@dataclass(frozen=True)
class Entries:
    """A book with its account ids (by code), the row of the trades frame behind each entry, and what clocks hid.

    `ahead_us` was taken off the times of each account: by how much its clock is ahead, less half a step where it
    shows whole seconds, for what it left out.
    """

    accounts: NDArray[np.object_]
    rows: Ints
    book: Book
    ahead_us: Ints


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
def _thin(rows: Columns, busy: Flags, gap_us: int) -> Flags:
    """Keeps, of busy days, only entries that open a burst; rows by account, instrument, side and time."""
    keep = np.ones(len(busy), dtype=np.bool_)
    for i in range(1, len(busy)):
        same = rows.account[i] == rows.account[i - 1] and rows.instrument[i] == rows.instrument[i - 1]
        same = same and rows.side[i] == rows.side[i - 1]
        if busy[i] and same and rows.opened_us[i] - rows.opened_us[i - 1] < gap_us:
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
def _neighbours(instrument: Codes, side: Sides, opened: Ints, counts: Flags, half_us: int) -> Codes:
    """Entries that count per side within `half_us` of each on its instrument, shape (n, 2), itself included."""
    n = len(opened)
    near = np.zeros((n, 2), dtype=np.int32)
    inside = np.zeros(2, dtype=np.int32)
    left = right = 0
    for i in range(n):
        while right < n and (
            instrument[right] < instrument[i]
            or (instrument[right] == instrument[i] and opened[right] - opened[i] <= half_us)
        ):
            inside[side[right]] += counts[right]
            right += 1
        while instrument[left] < instrument[i] or opened[i] - opened[left] > half_us:
            inside[side[left]] -= counts[left]
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


def _crowds(columns: Columns, head: Flags, near: Codes, at_news: Flags, terms: CoordinationTerms) -> Flags:
    """Whether each entry stands in a crowd of buys (column 0) or of sells (column 1); an idea counts once."""
    dense = _neighbours(columns.instrument, columns.side, columns.opened_us, head, int(terms.crowd_window_s * SECOND))
    usual = near * (terms.crowd_window_s / terms.rate_window_s)
    crowd = (dense - usual >= terms.crowd_min) & (dense > 3 * usual)
    return np.asarray(crowd | at_news[:, None], dtype=np.bool_)


def _crowd_meets(columns: Columns, key: Ints, crowd: Flags, crowd_totals: Floats, terms: CoordinationTerms) -> Floats:
    """Mean share of a side's crowd entries near a crowd entry, by key of the latter; columns as in `Book`."""
    side = columns.side
    rows, every = np.arange(len(side)), np.ones(len(side), np.bool_)
    out = np.zeros((len(crowd_totals), 4))
    for reach, reach_s in enumerate((terms.horizon_s, min(terms.narrow_s, terms.horizon_s))):
        around = _neighbours(columns.instrument, side, columns.opened_us, every, int(reach_s * SECOND))
        for relation in (0, 1):
            other = side ^ relation
            share = around[rows, other] / np.maximum(crowd_totals[key ^ relation], 1.0)
            inside = crowd[rows, other]
            counts = np.bincount(key[inside], minlength=len(out))
            summed = np.bincount(key[inside], share[inside], minlength=len(out))
            out[:, relation + 2 * reach] = summed / np.maximum(counts, 1)
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


def _quiet_rows(columns: Columns, terms: CoordinationTerms, log: list[str]) -> Flags:
    """False for entries inside a burst of an account that opens more in a day than a person could."""
    keep = np.ones(len(columns.opened_us), dtype=np.bool_)
    rows = np.flatnonzero(np.bincount(columns.account)[columns.account] > terms.entries_per_day_max)
    if not len(rows):
        return keep
    part = columns.take(rows)
    day = (part.opened_us - part.opened_us.min()) // (86_400 * SECOND)
    cell = part.account.astype(np.int64) * (int(day.max()) + 1) + day
    _, inverse, counts = np.unique(cell, return_inverse=True, return_counts=True)
    busy = counts[inverse] > terms.entries_per_day_max
    order = np.lexsort((part.opened_us, part.side, part.instrument, part.account))
    keep[rows[order]] = _thin(part.take(order), busy[order], int(terms.idea_gap_s * SECOND))
    if not keep.all():
        log.append(
            f"{len(np.unique(columns.account[~keep]))} accounts opened more than {terms.entries_per_day_max} positions "
            f"in a day: {int((~keep).sum())} entries inside bursts were merged into the burst's first"
        )
    return keep


def _read(trades: pd.DataFrame, log: list[str]) -> tuple[NDArray[np.object_], Ints, Columns]:
    """Account ids, rows and columns of the trades that say who opened what, when and on which side."""
    account, names = pd.factorize(trades["account_id"].astype(object), sort=True)
    instrument, _ = pd.factorize(trades["instrument"].astype(object), sort=True)
    side, opened = _side_codes(trades["side"]), _microseconds(trades["opened_at"])
    known = (account >= 0) & (instrument >= 0) & (side >= 0) & (opened != NEVER)
    rows = np.flatnonzero(known)
    columns = Columns(
        account=account.astype(np.int32),
        instrument=instrument.astype(np.int32),
        side=side,
        opened_us=opened,
        closed_us=_microseconds(trades["closed_at"]),
        lots=trades["lots"].to_numpy(dtype=np.float64, na_value=np.nan),
    )
    if len(rows) < len(trades):
        log.append(f"{len(trades) - len(rows)} trades without account, instrument, side or opening time were left out")
        columns = columns.take(rows)
        used, codes = np.unique(columns.account, return_inverse=True)
        names, columns = names[used], columns._replace(account=codes.astype(np.int32))
    return np.asarray(names, dtype=object), rows, columns


def _time_order(columns: Columns) -> Ints:
    """Order by instrument and time; entries of one instant by account, closing time and lots, whatever came first."""
    start = columns.opened_us.min()
    span = columns.opened_us.max() - start + 1
    if span > np.iinfo(np.int64).max // (int(columns.instrument.max()) + 2):
        raise ValueError("opening times span too many years to be sorted")
    key = columns.instrument.astype(np.int64) * span + (columns.opened_us - start)
    order = np.argsort(key, kind="stable")
    key = key[order]
    tied = np.zeros(len(key), dtype=np.bool_)
    tied[1:] = key[1:] == key[:-1]
    tied[:-1] |= tied[1:]
    places = np.flatnonzero(tied)
    part = columns.take(order[places])
    order[places] = order[places][np.lexsort((part.lots, part.closed_us, part.account, key[places]))]
    return np.asarray(order, dtype=np.int64)


def _corrected(columns: Columns, ahead: Ints) -> Columns:
    """The same openings by one clock; `ahead` has the microseconds of each account's."""
    late = ahead[columns.account]
    closed = np.where(columns.closed_us == NEVER, NEVER, columns.closed_us - late)
    return columns._replace(opened_us=columns.opened_us - late, closed_us=closed)


def _steps_of_clocks(columns: Columns, accounts: int) -> Ints:
    """The step (us) of each account's clock: a second where nearly all its entries are at whole seconds."""
    counts = np.maximum(np.bincount(columns.account, minlength=accounts), 1)
    whole = np.bincount(columns.account, columns.opened_us % SECOND == 0, accounts) / counts
    return np.where(whole > WHOLE_SECONDS, SECOND, 1000)


def sort_entries(
    trades: pd.DataFrame,
    news: pd.DataFrame | None,
    terms: CoordinationTerms,
    log: list[str],
    ahead_s: pd.Series | None = None,
) -> Entries | None:
    """Sorts a trades frame into `Entries`; None when no usable trade is left. Adds what was left out to `log`.

    `ahead_s` has the seconds by which each account's clock is ahead, by account id; they are taken off.
    """
    if trades.empty:
        log.append("no trades")
        return None
    names, rows, columns = _read(trades, log)
    if not len(rows):
        return None
    step = _steps_of_clocks(columns, len(names))
    ahead = np.where(step >= SECOND, -step // 2, 0)
    if ahead_s is not None:
        ahead += (ahead_s.reindex(names).fillna(0.0).to_numpy() * SECOND).round().astype(np.int64)
    columns = _corrected(columns, ahead)
    keep = _quiet_rows(columns, terms, log)
    if not keep.all():
        rows, columns = rows[keep], columns.take(keep)
    order = _time_order(columns)
    return _index(names, rows[order], columns.take(order), ahead, step, news, terms)


def _index(
    names: NDArray[np.object_],
    rows: Ints,
    columns: Columns,
    ahead: Ints,
    step: Ints,
    news: pd.DataFrame | None,
    terms: CoordinationTerms,
) -> Entries:
    """Adds to sorted columns what the search looks up again and again."""
    account, instrument, side, opened, closed, lots = columns
    own = np.argsort(account, kind="stable").astype(np.int32)
    own_start = np.searchsorted(account[own], np.arange(len(names) + 1)).astype(np.int64)
    near = _neighbours(instrument, side, opened, np.ones(len(opened), np.bool_), int(terms.rate_window_s * SECOND))
    idea = _ideas(own, account, instrument, side, opened, int(terms.idea_gap_s * SECOND))
    head = np.zeros(len(idea), dtype=np.bool_)
    head[own[np.unique(idea[own], return_index=True)[1]]] = True
    crowd = _crowds(columns, head, near, _near_news(opened, news, terms), terms)
    key = instrument.astype(np.int64) * 2 + side
    keys = int(instrument.max()) * 2 + 2
    in_crowd = crowd[np.arange(len(side)), side]
    crowd_totals = np.bincount(key[in_crowd], minlength=keys).astype(np.float64)
    first, last = np.full(len(names), np.iinfo(np.int64).max), np.full(len(names), np.iinfo(np.int64).min)
    np.minimum.at(first, account, opened)
    np.maximum.at(last, account, opened)
    hours = np.bincount((opened - opened.min()) // (3600 * SECOND)) > 0
    book = Book(
        opened_us=opened,
        closed_us=closed,
        account=account,
        instrument=instrument,
        side=side,
        lots=lots,
        idea=idea,
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
        step_us=step,
        open_s=max(int(hours.sum()) * 3600.0, 86_400.0),
        span_s=max(float(opened.max() - opened.min()) / SECOND, 86_400.0),
    )
    return Entries(accounts=names, rows=rows, book=book, ahead_us=ahead)
