"""What a run that counted every pair leaves for later ones: they count only pairs that new entries touch.

A pair that came no nearer than two meetings to a closer look, and has met at most once since, cannot be worth one now
as long as nobody's rate has fallen by more than the slack that was left. So a later run counts again, exactly, the
pairs that came near and those that met twice since; all others are out, as they would be if they were counted.
"""

from __future__ import annotations

import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.coordination.compiled import compiled
from models.coordination.entries import Book, Codes, Entries, Flags, Ints, Sides, neighbours
from models.coordination.terms import CoordinationTerms

VERSION = 1  # of what is kept: another is not read
SLACK = 0.8  # share of what was expected of a pair then that may be expected now
NEW_SHARE_MAX = 0.05  # share of touched entries beyond which counting everything is as quick
NEAR_MAX = 4_000_000  # pairs; more are not kept


@dataclass(frozen=True)
class Kept:
    """The entries that were counted, by account as in `Book.own`, and the pairs that came near a closer look."""

    terms: str
    accounts: NDArray[Any]
    instruments: NDArray[Any]
    own_start: Ints
    opened_us: Ints
    instrument: Codes
    side: Sides
    near: Codes
    open_s: float
    span_s: float


def _named(terms: CoordinationTerms) -> str:
    return f"{VERSION} {terms}"


def keep(entries: Entries, terms: CoordinationTerms, near: Codes, log: list[str]) -> Kept | None:
    """What to keep of a run that counted every pair; None where too many came near."""
    if len(near) > NEAR_MAX:
        log.append(f"{len(near)} pairs came near a closer look, too many to keep: the next run counts all pairs anew")
        return None
    book = entries.book
    return Kept(
        terms=_named(terms),
        accounts=entries.accounts,
        instruments=entries.instruments,
        own_start=book.own_start,
        opened_us=book.opened_us[book.own],
        instrument=book.instrument[book.own],
        side=book.side[book.own],
        near=near,
        open_s=book.open_s,
        span_s=book.span_s,
    )


def save(kept: Kept, path: Path) -> None:
    """Writes what was kept, in one piece or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = {f.name: getattr(kept, f.name) for f in fields(Kept)}
    texts = {name: np.asarray(values[name], dtype=str) for name in ("accounts", "instruments")}
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.savez(file, **{**values, **texts})
    part.replace(path)


def load(path: Path) -> Kept | None:
    """What was kept in a file; None where there is none that can be read."""
    try:
        with np.load(path) as held:
            values = {f.name: held[f.name] for f in fields(Kept)}
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile):
        return None
    for name in ("accounts", "instruments"):
        values[name] = values[name].astype(object)
    scalars = {"terms": str(values["terms"]), "open_s": float(values["open_s"]), "span_s": float(values["span_s"])}
    return Kept(**{**values, **scalars})


@compiled
def _share_of_time(first_us: int, last_us: int, span_s: float) -> float:
    """The part of the firm's time in which an account was there, as `candidates` reckons it."""
    return max(min((last_us - first_us) / 1e6 / span_s, 1.0), 0.02)


@compiled
def _touched(
    book: Book,
    was: Codes,
    start: Ints,
    opened: Ints,
    instrument: Codes,
    side: Sides,
    span_s: float,
    longer_max: float,
) -> Flags:
    """Entries that were not there before, and all of accounts that are new, lost an entry or are there much longer.

    `was` has the code of each account then, -1 where it is new.
    """
    touched = np.zeros(len(book.account), dtype=np.bool_)
    now, then = np.zeros(2, dtype=np.int64), np.zeros(2, dtype=np.int64)
    for a in range(len(was)):
        k, end = book.own_start[a], book.own_start[a + 1]
        whole = was[a] < 0
        if not whole:
            x, stop = start[was[a]], start[was[a] + 1]
            before = _share_of_time(opened[x:stop].min(), opened[x:stop].max(), span_s)
            whole = _share_of_time(book.first_us[a], book.last_us[a], book.span_s) > before * longer_max
            while k < end and not whole:
                here, at = book.instrument[book.own[k]], book.opened_us[book.own[k]]
                whole = x < stop and (instrument[x] < here or (instrument[x] == here and opened[x] < at))
                now[:] = 0
                then[:] = 0
                first = k
                while k < end and book.instrument[book.own[k]] == here and book.opened_us[book.own[k]] == at:
                    now[book.side[book.own[k]]] += 1
                    k += 1
                while x < stop and instrument[x] == here and opened[x] == at:
                    then[side[x]] += 1
                    x += 1
                whole |= now[0] < then[0] or now[1] < then[1]
                for m in range(first, k):
                    s = book.side[book.own[m]]
                    touched[book.own[m]] = now[s] > then[s]
            whole |= x < stop
        if whole:
            for m in range(book.own_start[a], end):
                touched[book.own[m]] = True
    return touched


def touched_entries(entries: Entries, terms: CoordinationTerms, before: Kept) -> Flags | None:
    """Which entries are new to what was kept; None where everything has to be counted anew."""
    book = entries.book
    longer_max = before.open_s / book.open_s / SLACK
    if before.terms != _named(terms) or longer_max <= 1.0:
        return None
    was = pd.Index(before.accounts).get_indexer(pd.Index(entries.accounts)).astype(np.int32)
    codes = pd.Index(entries.instruments).get_indexer(pd.Index(before.instruments)).astype(np.int32)
    touched = _touched(
        book,
        was,
        before.own_start,
        before.opened_us,
        codes[before.instrument],
        before.side,
        before.span_s,
        longer_max,
    )
    return touched if touched.mean() <= NEW_SHARE_MAX else None


def still_near(entries: Entries, before: Kept) -> Codes:
    """The pairs that came near, in today's codes; without accounts that are gone."""
    now = pd.Index(entries.accounts).get_indexer(pd.Index(before.accounts)).astype(np.int32)
    pairs = np.column_stack([now[before.near[:, 0]], now[before.near[:, 1]], before.near[:, 2]])
    return np.asarray(pairs[(pairs[:, :2] >= 0).all(axis=1)], dtype=np.int32)


@compiled
def _met_anew(accounts: Codes, book: Book, touched: Flags, beside: Flags, horizon_us: int) -> Codes:
    """Pairs (a, b after a, relation) of which two entries of a or more have met b where one of the two is new."""
    n, n_accounts = len(book.opened_us), len(book.own_start) - 1
    times = np.zeros((n_accounts, 2), dtype=np.int32)
    stamp = np.full((n_accounts, 2), -1, dtype=np.int32)
    partners = np.empty(n_accounts, dtype=np.int32)
    found = np.empty((1024, 3), dtype=np.int32)
    filled = 0
    for a in accounts:
        count = 0
        for k in range(book.own_start[a], book.own_start[a + 1]):
            p = book.own[k]
            if not beside[p]:
                continue
            for step in (-1, 1):
                j = p + step
                while (
                    0 <= j < n
                    and book.instrument[j] == book.instrument[p]
                    and abs(book.opened_us[j] - book.opened_us[p]) <= horizon_us
                ):
                    b, relation = book.account[j], book.side[j] ^ book.side[p]
                    if b > a and (touched[p] or touched[j]) and stamp[b, relation] != p:
                        stamp[b, relation] = p
                        if times[b, 0] + times[b, 1] == 0:
                            partners[count] = b
                            count += 1
                        times[b, relation] += 1
                    j += step
        for c in range(count):
            b = partners[c]
            for relation in range(2):
                if times[b, relation] >= 2:
                    if filled == len(found):
                        grown = np.empty((2 * filled, 3), dtype=np.int32)
                        grown[:filled] = found
                        found = grown
                    found[filled, 0], found[filled, 1], found[filled, 2] = a, b, relation
                    filled += 1
                times[b, relation] = 0
    return found[:filled]


def met_anew(entries: Entries, touched: Flags, horizon_us: int, threads: int) -> Codes:
    """Pairs that met at least twice by new entries."""
    book = entries.book
    near = neighbours(book.instrument, book.side, book.opened_us, touched, horizon_us)
    beside = np.asarray(near.any(axis=1))
    shares = [np.arange(k, len(entries.accounts), threads * 8, dtype=np.int32) for k in range(threads * 8)]

    def meet(share: Codes) -> Codes:
        return np.asarray(_met_anew(share, book, touched, beside, horizon_us))

    with ThreadPoolExecutor(threads) as pool:
        return np.concatenate(list(pool.map(meet, shares)))
