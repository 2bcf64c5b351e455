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
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.compiled import compiled, to_read
from models.coordination.entries import (
    Book,
    Codes,
    Entries,
    Flags,
    Floats,
    Ints,
    Moments,
    Sides,
    moments,
    own_lists,
    repeats,
    spans,
)
from models.coordination.terms import CoordinationTerms

VERSION = 2  # of what is kept: another is not read
SLACK = 0.8  # share of what was expected of a pair then that may be expected now
NEW_SHARE_MAX = 0.05  # share of touched entries beyond which counting everything is as quick
NEAR_MAX = 4_000_000  # pairs; more are not kept
UNREADABLE = (OSError, KeyError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile)  # what damage may raise


@dataclass(frozen=True)
class Kept:
    """The entries that were counted, in the order of `Book`, and the pairs that came near a closer look."""

    terms: str
    accounts: NDArray[Any]
    instruments: NDArray[Any]
    account: Codes
    opened_us: Ints
    instrument: Codes
    side: Sides
    near: Codes
    open_s: float
    span_s: float


class Entered(NamedTuple):
    """Who entered what, when and on which side, by instrument and time."""

    account: Codes
    instrument: Codes
    opened_us: Ints
    side: Sides


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
        account=book.account,
        opened_us=book.opened_us,
        instrument=book.instrument,
        side=book.side,
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
    except UNREADABLE:
        return None
    for name in ("accounts", "instruments"):
        values[name] = values[name].astype(object)
    scalars = {"terms": str(values["terms"]), "open_s": float(values["open_s"]), "span_s": float(values["span_s"])}
    return Kept(**{**values, **scalars})


@compiled
def _compared(now: Entered, then: Entered, accounts: int) -> tuple[Flags, Flags]:
    """Entries that were not there before, and accounts that lost one; both lists by instrument, time and account."""
    account, instrument, opened, side = now.account, now.instrument, now.opened_us, now.side
    account_then, instrument_then, opened_then, side_then = then.account, then.instrument, then.opened_us, then.side
    new, lost = np.zeros(len(account), dtype=np.bool_), np.zeros(accounts, dtype=np.bool_)
    i = x = 0
    while i < len(account) or x < len(account_then):
        order = -1 if x == len(account_then) else 1 if i == len(account) else 0
        if order == 0:
            order = instrument[i] - instrument_then[x]
        if order == 0 and opened[i] != opened_then[x]:
            order = -1 if opened[i] < opened_then[x] else 1
        if order == 0:
            order = account[i] - account_then[x]
        if order < 0:
            new[i] = True
            i += 1
        elif order > 0:
            lost[account_then[x]] = True
            x += 1
        else:
            first, who, where, at = i, account[i], instrument[i], opened[i]
            buys = sells = 0
            while i < len(account) and account[i] == who and opened[i] == at and instrument[i] == where:
                buys += 1 - side[i]
                sells += side[i]
                i += 1
            while (
                x < len(account_then)
                and account_then[x] == who
                and opened_then[x] == at
                and instrument_then[x] == where
            ):
                buys -= 1 - side_then[x]
                sells -= side_then[x]
                x += 1
            lost[who] |= buys < 0 or sells < 0
            for k in range(first, i):
                new[k] = (sells if side[k] else buys) > 0
    return new, lost


def _shares_of_time(first_us: Ints, last_us: Ints, span_s: float) -> Floats:
    """The part of the firm's time in which each account was there, as `candidates` reckons it."""
    return np.asarray(np.clip((last_us - first_us) / 1e6 / span_s, 0.02, 1.0), dtype=np.float64)


def touched_entries(entries: Entries, terms: CoordinationTerms, before: Kept) -> Flags | None:
    """Entries that are new to what was kept, and all of accounts that are new, lost one or are there much longer.

    None where everything has to be counted anew.
    """
    book = entries.book
    longer_max = before.open_s / book.open_s / SLACK
    if before.terms != _named(terms) or longer_max <= 1.0:
        return None
    accounts = len(entries.accounts)
    then = Entered(
        _codes_now(before.accounts, entries.accounts)[before.account],
        _codes_now(before.instruments, entries.instruments)[before.instrument],
        before.opened_us,
        before.side,
    )
    then = _of(then, then.account >= 0)
    first, last = spans(then.account, then.opened_us, accounts)
    gone = np.bincount(then.account[then.instrument < 0], minlength=accounts) > 0
    then = _of(then, then.instrument >= 0)
    touched, lost = _compared(Entered(book.account, book.instrument, book.opened_us, book.side), then, accounts)
    there = first <= last
    longer = np.zeros(accounts, dtype=np.bool_)
    share_then = _shares_of_time(first[there], last[there], before.span_s)
    longer[there] = _shares_of_time(book.first_us[there], book.last_us[there], book.span_s) > share_then * longer_max
    touched |= (lost | gone | longer)[book.account]
    return touched if touched.mean() <= NEW_SHARE_MAX else None


def _of(entered: Entered, chosen: Flags) -> Entered:
    """The chosen ones."""
    if chosen.all():
        return entered
    account, instrument, opened, side = entered
    return Entered(account[chosen], instrument[chosen], opened[chosen], side[chosen])


def _codes_now(before: NDArray[Any], now: NDArray[Any]) -> Codes:
    """Today's code of each name, -1 where it is gone; both are in the order of the names, so theirs stays."""
    return np.asarray(pd.Index(now).get_indexer(pd.Index(before)), dtype=np.int32)


def still_near(entries: Entries, before: Kept) -> Codes:
    """The pairs that came near, in today's codes; without accounts that are gone."""
    now = _codes_now(before.accounts, entries.accounts)
    pairs = np.column_stack([now[before.near[:, 0]], now[before.near[:, 1]], before.near[:, 2]])
    return np.asarray(pairs[(pairs[:, :2] >= 0).all(axis=1)], dtype=np.int32)


@compiled
def _beside(book: Book, touched: Flags, horizon_us: int) -> Flags:
    """Entries within the horizon of a touched one, which are such themselves."""
    n = len(touched)
    beside = np.zeros(n, dtype=np.bool_)
    done = 0
    for p in range(n):
        if not touched[p]:
            continue
        j = p
        while (
            j >= done
            and book.instrument[j] == book.instrument[p]
            and book.opened_us[p] - book.opened_us[j] <= horizon_us
        ):
            beside[j] = True
            j -= 1
        done = max(done, p)
        while (
            done < n
            and book.instrument[done] == book.instrument[p]
            and book.opened_us[done] - book.opened_us[p] <= horizon_us
        ):
            beside[done] = True
            done += 1
    return beside


@compiled
def _met_anew(accounts: Codes, own: Codes, own_start: Ints, every: Moments, touched: Flags, horizon_us: int) -> Codes:
    """Pairs (a, b after a, relation) of which two entries of a or more have met b where one of the two is new.

    `own` lists, by account, the entries that have a touched one within the horizon.
    """
    n, n_accounts = len(every), len(own_start) - 1
    times = np.zeros((n_accounts, 2), dtype=np.int32)
    stamp = np.full((n_accounts, 2), -1, dtype=np.int32)
    partners = np.empty(n_accounts, dtype=np.int32)
    told = np.full(2, -1)
    found = np.empty((1024, 3), dtype=np.int32)
    filled = 0
    for a in accounts:
        count = 0
        told[:] = -1
        for k in range(own_start[a], own_start[a + 1]):
            p = own[k]
            if not touched[p] and repeats(every, p, told):
                continue
            at_us, here, side = every[p].at_us, every[p].instrument, every[p].side
            for step in (-1, 1):
                j = p + step
                while 0 <= j < n and every[j].instrument == here and abs(every[j].at_us - at_us) <= horizon_us:
                    b, relation = every[j].account, every[j].side ^ side
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
    beside = np.flatnonzero(_beside(book, touched, horizon_us))
    places, start = own_lists(book.account[beside], len(entries.accounts))
    own = beside[places].astype(np.int32)
    busy = np.flatnonzero(np.diff(start)).astype(np.int32)
    every = moments(book)
    shares = [to_read(busy[k :: threads * 8], np.int32) for k in range(threads * 8)]

    def meet(share: Codes) -> Codes:
        return np.asarray(_met_anew(share, own, start, every, touched, horizon_us))

    with ThreadPoolExecutor(threads) as pool:
        return np.concatenate(list(pool.map(meet, shares)))
