"""Entries of two accounts joined one to one within a lag window."""

from __future__ import annotations

import numpy as np

from models.compiled import compiled
from models.coordination.entries import SECOND, Book, Codes, Floats, Ints
from models.coordination.terms import CoordinationTerms


@compiled
def skip_to(book: Book, place: int, end: int, instrument: int, at_us: float) -> int:
    """The first place in `Book.own`, from one on, of an account's entry on an instrument at a time (us) or later."""
    while place < end:
        q = book.own[place]
        if book.instrument[q] > instrument or (book.instrument[q] == instrument and book.opened_us[q] >= at_us):
            break
        place += 1
    return place


@compiled
def match_entries(book: Book, a: int, b: int, relation: int, low_us: int, high_us: int) -> tuple[Codes, Codes]:
    """Positions of the entries of a and b joined one to one within a lag window (b behind a, us), earliest first."""
    size = min(book.own_start[a + 1] - book.own_start[a], book.own_start[b + 1] - book.own_start[b])
    at_a = np.empty(size, dtype=np.int32)
    at_b = np.empty(size, dtype=np.int32)
    used = np.zeros(book.own_start[b + 1] - book.own_start[b], dtype=np.bool_)
    count = 0
    low, end = book.own_start[b], book.own_start[b + 1]
    for k in range(book.own_start[a], book.own_start[a + 1]):
        p = book.own[k]
        low = skip_to(book, low, end, book.instrument[p], book.opened_us[p] + low_us)
        for j in range(low, end):
            q = book.own[j]
            if book.instrument[q] != book.instrument[p] or book.opened_us[q] > book.opened_us[p] + high_us:
                break
            if not used[j - book.own_start[b]] and (book.side[q] == book.side[p]) == (relation == 0):
                used[j - book.own_start[b]] = True
                at_a[count] = p
                at_b[count] = q
                count += 1
                break
    return at_a[:count], at_b[:count]


def match_windows(book: Book, pairs: Codes, judged: Floats, terms: CoordinationTerms) -> tuple[Ints, Floats]:
    """Lag windows (us) in which entries are matched, and the matches expected there by chance.

    The window is the searched one and half as much on either side, at least a step of a coarse clock, so that the
    tails of the lag are matched too.
    """
    low, high = judged[:, 0], judged[:, 1]
    narrowest = terms.lag_widths_s[0] * SECOND
    coarse = np.maximum(book.step_us[pairs[:, 0]], book.step_us[pairs[:, 1]])
    slack = np.maximum(0.5 * (high - low), np.maximum(narrowest, np.where(coarse >= SECOND, coarse, 0)))
    edge = terms.horizon_s * SECOND
    windows = np.stack([np.maximum(low - slack, -edge), np.minimum(high + slack, edge)], axis=1).astype(np.int64)
    expected = judged[:, 3] * (windows[:, 1] - windows[:, 0]) / np.maximum(high - low, narrowest)
    return windows, np.asarray(expected, dtype=np.float64)
