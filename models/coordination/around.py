"""What is around any entry: who else enters, how many are usual there, and from how many it is a public moment."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from models.compiled import compiled
from models.coordination.chance import log_poisson_tail
from models.coordination.entries import SECOND, Book, Codes, Flags, Moments
from models.coordination.pairs import MINUTE

NARROW_US = 2.0 * SECOND  # reach of one public moment: orders that wait and robots that act within it
UNREST = 1.5  # markets stir within minutes: an account may meet a pair so much more often than its share
PUBLIC_MIN = 3  # strangers at one moment that make it public, where chance does not bring as many
LOG_P_OTHER = math.log(1e-4)
ELSEWHEN_US = 17 * MINUTE  # a shift of the clock that shows how often chance alone brings others along


class Around(NamedTuple):
    """What lies around every entry, whoever is looked at.

    `every` has the entries side by side, `elsewhen` the first position on the market at or after the shifted time.
    `spare` tells, in the order of `Book.own` and by relation, how many of the entries within a moment could be the
    other account's and those of strangers would still make it public; -1 where they never do.
    """

    every: Moments
    elsewhen: Codes
    spare: Codes


@compiled
def first_since(book: Book, every: Moments, market: int, position: int, at_us: int) -> int:
    """Position of the first entry on a market at or after a time, sought from the first at or after a later one."""
    start = book.instrument_start[market]
    while position > start and every[position - 1].at_us >= at_us:
        position -= 1
    return position


@compiled
def beside_each(
    book: Book, every: Moments, account: int, other: int, relation: int, since_us: int, until_us: int
) -> Flags:
    """Which entries of an account, in their order, another one has an entry about, from so long to so long after."""
    first, end = book.own_start[account], book.own_start[account + 1]
    out = np.zeros(end - first, dtype=np.bool_)
    low, stop = book.own_start[other], book.own_start[other + 1]
    for k in range(first, end):
        p = book.own[k]
        here, at_us, side = every[p].instrument, every[p].at_us, every[p].side ^ relation
        while low < stop:
            q = book.own[low]
            if every[q].instrument > here or (every[q].instrument == here and every[q].at_us >= at_us + since_us):
                break
            low += 1
        for x in range(low, stop):
            q = book.own[x]
            if every[q].instrument != here or every[q].at_us > at_us + until_us:
                break
            if every[q].side == side:
                out[k - first] = True
                break
    return out


@compiled
def usual_entries(book: Book, p: int, q: int, relation: int, reach_us: int) -> float:
    """Entries of others that the quarter hours around a match would put within reach of it."""
    side = book.side[p]
    nearby = book.near[p, side] + (book.near[p, 1 - side] if relation == 1 else 0)
    width = 2.0 * reach_us + abs(book.opened_us[q] - book.opened_us[p])
    return float(max(nearby - 2.0, 0.0) * width / (2.0 * 15 * MINUTE))


@compiled
def positions_elsewhen(book: Book) -> Codes:
    """For each entry the first position on its market at or after its shifted time, or the market's end."""
    out = np.empty(len(book.opened_us), dtype=np.int32)
    for market in range(len(book.instrument_start) - 1):
        j, end = book.instrument_start[market], book.instrument_start[market + 1]
        for p in range(book.instrument_start[market], end):
            while j < end and book.opened_us[j] < book.opened_us[p] + ELSEWHEN_US:
                j += 1
            out[p] = j
    return out


@compiled
def _public_from(most: int, mean: float) -> int:
    """Fewest strangers of at most so many, of whom `mean` are usual, that make a moment public; more if none do."""
    low, high = PUBLIC_MIN, most + 1
    while low < high:
        middle = (low + high) // 2
        if log_poisson_tail(middle, mean) < LOG_P_OTHER:
            high = middle
        else:
            low = middle + 1
    return low


@compiled
def spare_strangers(book: Book, close: Codes, wanted: Flags) -> Codes:
    """`Around.spare` of the wanted accounts; `close` counts the buys and sells within a moment of every entry."""
    reach_us = int(NARROW_US)
    out = np.full((len(close), 2), -1, dtype=np.int32)
    own = np.zeros(2, dtype=np.int32)
    for a in range(len(wanted)):
        end = book.own_start[a + 1] if wanted[a] else book.own_start[a]
        left = right = book.own_start[a]
        own[:] = 0
        for k in range(book.own_start[a], end):
            q = book.own[k]
            here, at_us, side = book.instrument[q], book.opened_us[q], book.side[q]
            while right < end:
                r = book.own[right]
                if book.instrument[r] > here or (book.instrument[r] == here and book.opened_us[r] - at_us > reach_us):
                    break
                own[book.side[r]] += 1
                right += 1
            while True:
                r = book.own[left]
                if book.instrument[r] == here and at_us - book.opened_us[r] <= reach_us:
                    break
                own[book.side[r]] -= 1
                left += 1
            found = 0
            for relation in range(2):
                found += int(close[q, side ^ relation] - own[side ^ relation])
                if found >= PUBLIC_MIN:
                    mean = UNREST * usual_entries(book, q, q, relation, reach_us)
                    out[k, relation] = max(found - _public_from(found, mean), -1)
    return out
