"""The entries of a firm as sorted arrays: what every later step reads."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.compiled import compiled
from models.coordination.markets import place_of
from models.coordination.terms import CoordinationTerms

Ints = NDArray[np.int64]
Codes = NDArray[np.int32]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Sides = NDArray[np.int8]
Moments = NDArray[np.void]

SECOND = 1_000_000  # times are whole microseconds
WHOLE_SECONDS = 0.9  # share of entries at whole seconds from which a clock shows no less
NEVER = np.iinfo(np.int64).min
BY_ROBOT = {"expert": 1, "client": 0, "mobile": 0, "web": 0}  # reasons of a deal that tell whose hand it was
NO_MAGIC = {"", "0", "nan", "None"}
MOMENT = np.dtype([("at_us", "i8"), ("account", "i4"), ("idea", "i4"), ("instrument", "i4"), ("side", "i4")])


class Columns(NamedTuple):
    """Openings column by column; see `Book`."""

    account: Codes
    instrument: Codes
    side: Sides
    opened_us: Ints
    closed_us: Ints
    lots: Floats
    robot: Sides
    program: Codes

    def take(self, rows: Ints | Flags) -> Columns:
        """The chosen rows of every column."""
        return Columns(
            account=self.account[rows],
            instrument=self.instrument[rows],
            side=self.side[rows],
            opened_us=self.opened_us[rows],
            closed_us=self.closed_us[rows],
            lots=self.lots[rows],
            robot=self.robot[rows],
            program=self.program[rows],
        )


class Book(NamedTuple):
    """Openings sorted by instrument and time; account codes follow the order of the ids, side 0 buys and 1 sells.

    `instrument` is the market of what was traded and `side` the side there (see `markets`); `told` is the instrument
    itself and `sizes`, by code of it, how many lots of the market one of its lots is.
    `own` lists positions by account (`own_start[a]:own_start[a + 1]`), so each list is again by instrument and time.
    `near` counts the buys (column 0) and sells (column 1) within the rate window of an entry, `crowd` says whether
    they are a crowd; `buys_before` counts the buys before each position. `totals` and `crowd_totals` are per
    instrument * 2 + side; `crowd_meets[key]` is the mean share of a side's crowd entries that lie within
    the horizon of a crowd entry of the same (0) or the other side (1), and within the narrow reach of such (2, 3).
    `open_s` is the time in which anyone traded, `span_s` the time from first to last; `step_us` is the step of an
    account's clock; `closed_us` is NEVER while a position is open. `robot` is 1 for an entry by a robot, 0 for one by
    hand and -1 where that is not told; `program` tells robots of one magic number, 0 where there is none.
    """

    opened_us: Ints
    closed_us: Ints
    account: Codes
    instrument: Codes
    side: Sides
    lots: Floats
    robot: Sides
    program: Codes
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
    told: Codes
    sizes: Floats
    open_s: float
    span_s: float


@dataclass(frozen=True)
class Entries:
    """A book with its names by code, the row of the trades frame behind each entry, and what clocks hid.

    `instruments` are the markets and `told` the instruments themselves, where some of them are one market.
    `ahead_us` was taken off the times of each account: by how much its clock is ahead, less half a step where it
    shows whole seconds, for what it left out.
    """

    accounts: NDArray[np.object_]
    instruments: NDArray[np.object_]
    told: NDArray[np.object_]
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
def own_lists(account: Codes, accounts: int) -> tuple[Codes, Ints]:
    """Positions by account, each account's in their order, and where each account's begin."""
    start = np.zeros(accounts + 1, dtype=np.int64)
    for a in account:
        start[a + 1] += 1
    for a in range(accounts):
        start[a + 1] += start[a]
    own, filled = np.empty(len(account), dtype=np.int32), start[:-1].copy()
    for p in range(len(account)):
        own[filled[account[p]]] = p
        filled[account[p]] += 1
    return own, start


@compiled
def _ideas(columns: Columns, accounts: int, gap_us: int) -> tuple[Codes, Flags]:
    """Numbers the ideas: runs of entries of one account, instrument and side with gaps below `gap_us`.

    Rows are by instrument and time; the flags mark the first entry of each idea.
    """
    n = len(columns.account)
    idea, first = np.zeros(n, dtype=np.int32), np.zeros(n, dtype=np.bool_)
    last = np.full((accounts, 2), -1, dtype=np.int32)
    count = 0
    for i in range(n):
        a, s = columns.account[i], columns.side[i]
        j = last[a, s]
        goes_on = j >= 0 and columns.instrument[j] == columns.instrument[i]
        if goes_on and columns.opened_us[i] - columns.opened_us[j] < gap_us:
            idea[i] = idea[j]
        else:
            idea[i], first[i] = count, True
            count += 1
        last[a, s] = i
    return idea, first


@compiled
def neighbours(instrument: Codes, side: Sides, opened: Ints, counts: Flags, half_us: int) -> Codes:
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


def near_news(opened: Ints, news: pd.DataFrame | None, terms: CoordinationTerms) -> Flags:
    """True for entries around an event of high impact."""
    if news is None or news.empty:
        return np.zeros(len(opened), dtype=np.bool_)
    high = news.loc[news["impact"].astype(str).str.lower() == "high", "occurs_at"]
    events = np.sort(_microseconds(high.dropna()))
    start = np.searchsorted(events, opened - int(terms.news_after_s * SECOND), side="left")
    end = np.searchsorted(events, opened + int(terms.news_before_s * SECOND), side="right")
    return np.asarray(end > start, dtype=np.bool_)


@compiled
def _stands_out(dense: Codes, near: Codes, at_news: Flags, share: float, crowd_min: int) -> Flags:
    """Whether there are many more around an entry than its share of the usual, by side; or news."""
    out = np.empty(dense.shape, dtype=np.bool_)
    for i in range(len(dense)):
        for s in range(2):
            usual = near[i, s] * share
            out[i, s] = at_news[i] or (dense[i, s] - usual >= crowd_min and dense[i, s] > 3 * usual)
    return out


def _crowds(columns: Columns, first: Flags, near: Codes, at_news: Flags, terms: CoordinationTerms) -> Flags:
    """Whether each entry stands in a crowd of buys (column 0) or of sells (column 1); an idea counts once."""
    reach_us = int(terms.crowd_window_s * SECOND)
    dense = neighbours(columns.instrument, columns.side, columns.opened_us, first, reach_us)
    return _stands_out(dense, near, at_news, terms.crowd_window_s / terms.rate_window_s, terms.crowd_min)


@compiled
def _totals(instrument: Codes, side: Sides, crowd: Flags, keys: int) -> tuple[Floats, Floats]:
    """Entries per instrument * 2 + side, and those of them in crowds."""
    totals, in_crowds = np.zeros(keys), np.zeros(keys)
    for i in range(len(side)):
        key = instrument[i] * 2 + side[i]
        totals[key] += 1.0
        in_crowds[key] += crowd[i, side[i]]
    return totals, in_crowds


@compiled
def _shares_met(
    instrument: Codes, side: Sides, crowd: Flags, around: Codes, crowd_totals: Floats, relation: int
) -> Floats:
    """Mean share of a side's crowd entries around a crowd entry of the same or the other side, by key of the latter."""
    summed, counts = np.zeros(len(crowd_totals)), np.zeros(len(crowd_totals))
    for i in range(len(side)):
        other = side[i] ^ relation
        if crowd[i, other]:
            key = instrument[i] * 2 + side[i]
            summed[key] += around[i, other] / max(crowd_totals[key ^ relation], 1.0)
            counts[key] += 1.0
    return summed / np.maximum(counts, 1.0)


def _crowd_meets(columns: Columns, crowd: Flags, crowd_totals: Floats, terms: CoordinationTerms) -> Floats:
    """Mean share of a side's crowd entries near a crowd entry, by key of the latter; columns as in `Book`."""
    instrument, side = columns.instrument, columns.side
    out = np.zeros((len(crowd_totals), 4))
    if not crowd.any():
        return out
    every = np.ones(len(side), np.bool_)
    for reach, reach_s in enumerate((terms.horizon_s, min(terms.narrow_s, terms.horizon_s))):
        around = neighbours(instrument, side, columns.opened_us, every, int(reach_s * SECOND))
        for relation in (0, 1):
            out[:, relation + 2 * reach] = _shares_met(instrument, side, crowd, around, crowd_totals, relation)
    return np.minimum(out, 1.0)


@compiled
def spans(account: Codes, opened: Ints, accounts: int) -> tuple[Ints, Ints]:
    """First and last opening of each account."""
    first = np.full(accounts, np.iinfo(np.int64).max)
    last = np.full(accounts, np.iinfo(np.int64).min)
    for i in range(len(account)):
        first[account[i]] = min(first[account[i]], opened[i])
        last[account[i]] = max(last[account[i]], opened[i])
    return first, last


@compiled
def _open_hours(opened: Ints, start: int, end: int) -> int:
    """Hours in which anyone traded."""
    hour_us = 3600 * SECOND
    traded = np.zeros((end - start) // hour_us + 1, dtype=np.bool_)
    for at in opened:
        traded[(at - start) // hour_us] = True
    return int(traded.sum())


@compiled
def _buys_before(side: Sides) -> Codes:
    """Buys before each position, and all of them."""
    out = np.zeros(len(side) + 1, dtype=np.int32)
    for i in range(len(side)):
        out[i + 1] = out[i] + (side[i] == 0)
    return out


@compiled
def moments(book: Book) -> Moments:
    """What a meeting asks of each entry, side by side: who looks around many entries waits for memory."""
    out = np.empty(len(book.side), dtype=MOMENT)
    for p in range(len(out)):
        out[p].at_us, out[p].account, out[p].idea = book.opened_us[p], book.account[p], book.idea[p]
        out[p].instrument, out[p].side = book.instrument[p], book.side[p]
    return out


@compiled
def repeats(every: Moments, p: int, told: Ints) -> bool:
    """Whether an entry is of the idea and the instant of the last one of its side, and so meets nobody else; notes it.

    `told` holds the last entry of either side, -1 before there is one.
    """
    side = every[p].side
    last = told[side]
    told[side] = p
    return bool(last >= 0 and every[last].idea == every[p].idea and every[last].at_us == every[p].at_us)


@compiled
def first_at(book: Book, p: int, at_us: int) -> int:
    """Position of the first entry on an entry's instrument at or after a time not far from it; its end if none is."""
    low, high = book.instrument_start[book.instrument[p]], book.instrument_start[book.instrument[p] + 1]
    step = 1
    if book.opened_us[p] < at_us:
        low = p + 1
        while p + step < high and book.opened_us[p + step] < at_us:
            low = p + step + 1
            step *= 2
        high = min(high, p + step)
    else:
        high = p
        while p - step >= low and book.opened_us[p - step] >= at_us:
            high = p - step
            step *= 2
        low = max(low, p - step + 1)
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
    often = np.bincount(columns.account) > terms.entries_per_day_max
    if not often.any():
        return keep
    rows = np.flatnonzero(often[columns.account])
    part = columns.take(rows)
    day = (part.opened_us - part.opened_us.min()) // (86_400 * SECOND)
    cell = part.account.astype(np.int64) * (int(day.max()) + 1) + day
    _, inverse, counts = np.unique(cell, return_inverse=True, return_counts=True)
    busy = counts[inverse] > terms.entries_per_day_max
    order = np.lexsort((part.lots, part.closed_us, part.opened_us, part.side, part.instrument, part.account))
    keep[rows[order]] = _thin(part.take(order), busy[order], int(terms.idea_gap_s * SECOND))
    if not keep.all():
        log.append(
            f"{len(np.unique(columns.account[~keep]))} accounts opened more than {terms.entries_per_day_max} positions "
            f"in a day: {int((~keep).sum())} entries inside bursts were merged into the burst's first"
        )
    return keep


def _codes(column: pd.Series) -> tuple[Codes, NDArray[np.object_]]:
    """The place of each value among the sorted values that occur, -1 where it is missing; categories are not read."""
    if not isinstance(column.dtype, pd.CategoricalDtype):
        found, names = pd.factorize(column.astype(object), sort=True)
        return found.astype(np.int32), np.asarray(names, dtype=object)
    return occurring(column.cat.codes.to_numpy(), column.cat.categories.to_numpy(dtype=object))


def occurring(codes: NDArray[Any], names: NDArray[np.object_]) -> tuple[Codes, NDArray[np.object_]]:
    """The codes and names of those names that occur, in their order; -1 where one is missing."""
    occur = np.flatnonzero(np.bincount(codes + 1, minlength=len(names) + 1)[1:])
    occur = occur[np.argsort(names[occur], kind="stable")]
    places = np.full(len(names) + 1, -1, dtype=np.int32)
    places[occur] = np.arange(len(occur), dtype=np.int32)
    return places[codes], names[occur]


def _of_names(column: pd.Series, value: Callable[[str], int], missing: int) -> Ints:
    """What each name of a column stands for, row by row."""
    codes, names = pd.factorize(column)
    return np.array([*(value(str(name)) for name in names), missing], dtype=np.int64)[codes]


def _program(magic: str) -> int:
    """A number for a magic number, the same in every run; 0 where it names no robot."""
    return 0 if magic in NO_MAGIC else zlib.crc32(magic.encode()) % (2**31 - 1) + 1


def _hands(trades: pd.DataFrame) -> tuple[Sides, Codes]:
    """Whether a robot opened each trade, by `magic` or else by `open_reason`, and which; see `Book`."""
    robot = np.full(len(trades), -1, dtype=np.int8)
    program = np.zeros(len(trades), dtype=np.int32)
    if "open_reason" in trades:
        robot = _of_names(trades["open_reason"], lambda name: BY_ROBOT.get(name, -1), -1).astype(np.int8)
    if "magic" in trades:
        program = _of_names(trades["magic"], _program, 0).astype(np.int32)
        robot[program > 0] = 1
    return robot, program


class Openings(NamedTuple):
    """Every trade of a firm, names as codes in their order; -1, or NEVER, where something is missing."""

    accounts: NDArray[np.object_]
    instruments: NDArray[np.object_]
    columns: Columns


def openings(trades: pd.DataFrame) -> Openings:
    """A trades frame with codes in the place of names, row by row."""
    account, accounts = _codes(trades["account_id"])
    instrument, instruments = _codes(trades["instrument"])
    robot, program = _hands(trades)
    columns = Columns(
        account=account,
        instrument=instrument,
        side=_side_codes(trades["side"]),
        opened_us=_microseconds(trades["opened_at"]),
        closed_us=_microseconds(trades["closed_at"]),
        lots=trades["lots"].to_numpy(dtype=np.float64, na_value=np.nan),
        robot=robot,
        program=program,
    )
    return Openings(accounts, instruments, columns)


class Told(NamedTuple):
    """What was traded before instruments of one market became one: its names, its code in every row, and its sizes."""

    names: NDArray[np.object_]
    codes: Codes
    sizes: Floats


class Read(NamedTuple):
    """Names by code, rows and columns of trades; `told` where instruments of one market became one."""

    accounts: NDArray[np.object_]
    instruments: NDArray[np.object_]
    rows: Ints
    columns: Columns
    told: Told | None


def _by_market(codes: Codes, names: NDArray[np.object_], side: Sides) -> tuple[Codes, NDArray[np.object_], Sides]:
    """Codes and names of the markets in the place of instruments, and the sides there; missing codes stay missing."""
    places = [place_of(str(name)) for name in names]
    market, markets = pd.factorize(np.array([place.market for place in places], dtype=object), sort=True)
    inverse = np.array([place.inverse for place in places] + [False])
    turned = np.where((side >= 0) & inverse[codes], 1 - side, side)
    return np.append(market, -1).astype(np.int32)[codes], np.asarray(markets, dtype=object), turned.astype(np.int8)


def _read(read: Openings, log: list[str]) -> Read:
    """The trades that say who opened what, when and on which side."""
    names, instruments, columns = read
    told = None
    if len({place_of(str(name)).market for name in instruments}) < len(instruments):
        sizes = np.array([place_of(str(name)).size for name in instruments])
        told = Told(instruments, columns.instrument, sizes)
        market, instruments, side = _by_market(columns.instrument, instruments, columns.side)
        columns = columns._replace(instrument=market, side=side)
    known = (columns.account >= 0) & (columns.instrument >= 0) & (columns.side >= 0) & (columns.opened_us != NEVER)
    rows = np.flatnonzero(known)
    if len(rows) < len(known):
        log.append(f"{len(known) - len(rows)} trades without account, instrument, side or opening time were left out")
        columns = columns.take(rows)
        used, codes = np.unique(columns.account, return_inverse=True)
        names, columns = names[used], columns._replace(account=codes.astype(np.int32))
    return Read(names, instruments, rows, columns, told)


@compiled
def _by_code(codes: Codes, order: Ints) -> Ints:
    """The order, put by code and otherwise left as it is."""
    start = np.zeros(codes.max() + 2, dtype=np.int64)
    for code in codes:
        start[code + 1] += 1
    start = np.cumsum(start)
    out = np.empty_like(order)
    for i in order:
        out[start[codes[i]]] = i
        start[codes[i]] += 1
    return out


@compiled
def _tied(columns: Columns, order: Ints) -> Ints:
    """Places of an order whose neighbours are of the same instrument and instant."""
    out = np.empty(len(order), dtype=np.int64)
    count = 0
    before = False
    for k in range(len(order)):
        i = order[k]
        after = False
        if k + 1 < len(order):
            j = order[k + 1]
            after = columns.instrument[i] == columns.instrument[j] and columns.opened_us[i] == columns.opened_us[j]
        if before or after:
            out[count] = k
            count += 1
        before = after
    return out[:count]


def _time_order(columns: Columns, told: Codes) -> Ints:
    """Order by instrument and time; entries of one instant by account and the rest, whatever came first."""
    order = _by_code(columns.instrument, np.argsort(columns.opened_us, kind="stable"))
    places = _tied(columns, order)
    if len(places):
        part = columns.take(order[places])
        keys = (
            told[order[places]],
            part.side,
            part.lots,
            part.closed_us,
            part.account,
            part.opened_us,
            part.instrument,
        )
        order[places] = order[places][np.lexsort(keys)]
    return order


def _corrected(columns: Columns, ahead: Ints) -> Columns:
    """The same openings by one clock; `ahead` has the microseconds of each account's."""
    late = ahead[columns.account]
    closed = np.where(columns.closed_us == NEVER, NEVER, columns.closed_us - late)
    return columns._replace(opened_us=columns.opened_us - late, closed_us=closed)


@compiled
def _steps_of_clocks(account: Codes, opened: Ints, accounts: int) -> Ints:
    """The step (us) of each account's clock: a second where nearly all its entries are at whole seconds."""
    entries, whole = np.zeros(accounts), np.zeros(accounts)
    for i in range(len(account)):
        entries[account[i]] += 1.0
        whole[account[i]] += opened[i] % SECOND == 0
    return np.where(whole > WHOLE_SECONDS * entries, SECOND, 1000)


def sort_entries(
    trades: pd.DataFrame | Openings,
    news: pd.DataFrame | None,
    terms: CoordinationTerms,
    log: list[str],
    ahead_s: pd.Series | None = None,
) -> Entries | None:
    """Sorts a trades frame, or what was read of one, into `Entries`; None when no usable trade is left.

    Adds what was left out to `log`. `ahead_s` has the seconds by which each account's clock is ahead, by account id;
    they are taken off.
    """
    read = trades if isinstance(trades, Openings) else openings(trades)
    if not len(read.columns.account):
        log.append("no trades")
        return None
    names, instruments, rows, columns, told = _read(read, log)
    if not len(rows):
        return None
    step = _steps_of_clocks(columns.account, columns.opened_us, len(names))
    ahead = np.where(step >= SECOND, -step // 2, 0)
    if ahead_s is not None:
        ahead += (ahead_s.reindex(names).fillna(0.0).to_numpy() * SECOND).round().astype(np.int64)
    columns = _corrected(columns, ahead)
    keep = _quiet_rows(columns, terms, log)
    if not keep.all():
        rows, columns = rows[keep], columns.take(keep)
    order = _time_order(columns, told.codes[rows] if told else columns.instrument)
    rows = rows[order]
    book = _index(len(names), columns.take(order), step, news, terms)
    if told:
        book = book._replace(told=told.codes[rows], sizes=told.sizes)
    as_told = told.names if told else instruments
    return Entries(accounts=names, instruments=instruments, told=as_told, rows=rows, book=book, ahead_us=ahead)


def _index(accounts: int, columns: Columns, step: Ints, news: pd.DataFrame | None, terms: CoordinationTerms) -> Book:
    """Adds to sorted columns what the search looks up again and again."""
    account, instrument, side, opened, closed, lots, robot, program = columns
    own, own_start = own_lists(account, accounts)
    near = neighbours(instrument, side, opened, np.ones(len(opened), np.bool_), int(terms.rate_window_s * SECOND))
    idea, first_of_idea = _ideas(columns, accounts, int(terms.idea_gap_s * SECOND))
    crowd = _crowds(columns, first_of_idea, near, near_news(opened, news, terms), terms)
    keys = int(instrument.max()) * 2 + 2
    totals, crowd_totals = _totals(instrument, side, crowd, keys)
    first, last = spans(account, opened, accounts)
    start, end = int(opened.min()), int(opened.max())
    return Book(
        opened_us=opened,
        closed_us=closed,
        account=account,
        instrument=instrument,
        side=side,
        lots=lots,
        robot=robot,
        program=program,
        idea=idea,
        own=own,
        own_start=own_start,
        near=near,
        crowd=crowd,
        totals=totals,
        instrument_start=np.searchsorted(instrument, np.arange(keys // 2 + 1)).astype(np.int64),
        buys_before=_buys_before(side),
        crowd_totals=crowd_totals,
        crowd_meets=_crowd_meets(columns, crowd, crowd_totals, terms),
        first_us=first,
        last_us=last,
        step_us=step,
        told=instrument,
        sizes=np.ones(keys // 2),
        open_s=max(_open_hours(opened, start, end) * 3600.0, 86_400.0),
        span_s=max((end - start) / SECOND, 86_400.0),
    )
