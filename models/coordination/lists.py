"""The entries of the accounts that are looked at closely, account after account, so that judging a pair reads on.

A book has an account's entries all over the firm's; a pair that is judged reads both lists dozens of times. What of
them does not depend on the other account is reckoned here once for all pairs.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from models.compiled import compiled
from models.coordination.candidates import THREADS
from models.coordination.entries import SECOND, Book, Codes, Entries, Flags, Floats, Ints, Sides

BARS_S = (60, 300, 900, 3600, 14_400, 86_400)


class Lists(NamedTuple):
    """Entries by account, then by market and time; those of one account on one market are a stretch.

    `stretches` has where each account's stretches begin; per stretch `market` is its market, `first` its first entry
    and `sides` its buys and sells, `in_crowds` those that stand in a crowd of their side. Per entry `idea` numbers the
    account's ideas from 0, `others` counts the buys and sells of other accounts within the rate window and `crowd`
    says as in `Book` whether they are a crowd; `places` has, bar by bar, the places of a stretch's entries in
    the bar (us), sorted.
    """

    stretches: Ints
    market: Codes
    first: Ints
    sides: Floats
    in_crowds: Floats
    at: Ints
    side: Sides
    idea: Codes
    others: Codes
    crowd: Flags
    places: Ints


@compiled
def _outline(book: Book, wanted: Flags) -> tuple[Ints, Codes, Ints]:
    """Where the stretches of the wanted accounts lie: by account, their markets, their first entries and the end."""
    accounts, most = len(wanted), 0
    for a in range(accounts):
        most += book.own_start[a + 1] - book.own_start[a] if wanted[a] else 0
    stretches = np.zeros(accounts + 1, dtype=np.int64)
    market, first = np.empty(most, dtype=np.int32), np.empty(most + 1, dtype=np.int64)
    count = filled = 0
    for a in range(accounts):
        last = book.own_start[a + 1] if wanted[a] else book.own_start[a]
        for k in range(book.own_start[a], last):
            here = book.instrument[book.own[k]]
            if k == book.own_start[a] or here != market[count - 1]:
                market[count], first[count] = here, filled
                count += 1
            filled += 1
        stretches[a + 1] = count
    first[count] = filled
    return stretches, market[:count], first[: count + 1]


@compiled
def _fill(book: Book, lists: Lists, accounts: Codes, rate_us: int) -> None:
    """Fills the entries of the given accounts."""
    last, number = np.full(2, -1), np.zeros(2, dtype=np.int32)
    for a in accounts:
        ideas = 0
        last[:] = -1
        x = lists.first[lists.stretches[a]]
        for k in range(book.own_start[a], book.own_start[a + 1]):
            p = book.own[k]
            side = book.side[p]
            if book.idea[p] != last[side]:
                last[side], number[side] = book.idea[p], ideas
                ideas += 1
            lists.at[x], lists.side[x], lists.idea[x] = book.opened_us[p], side, number[side]
            lists.others[x, 0], lists.others[x, 1] = book.near[p, 0], book.near[p, 1]
            lists.crowd[x, 0], lists.crowd[x, 1] = book.crowd[p, 0], book.crowd[p, 1]
            x += 1
        for i in range(lists.stretches[a], lists.stretches[a + 1]):
            _fill_stretch(lists, i, rate_us)


@compiled
def _fill_stretch(lists: Lists, i: int, rate_us: int) -> None:
    """Fills what is told of one stretch whose entries are filled: its sides, who else is near, its places in bars."""
    start, end = lists.first[i], lists.first[i + 1]
    at = lists.at
    own = np.zeros(2, dtype=np.int32)
    left = right = start
    lists.sides[i] = 0.0
    lists.in_crowds[i] = 0.0
    for x in range(start, end):
        lists.sides[i, lists.side[x]] += 1.0
        lists.in_crowds[i, lists.side[x]] += lists.crowd[x, lists.side[x]]
        while right < end and at[right] - at[x] <= rate_us:
            own[lists.side[right]] += 1
            right += 1
        while at[x] - at[left] > rate_us:
            own[lists.side[left]] -= 1
            left += 1
        lists.others[x, 0] -= own[0]
        lists.others[x, 1] -= own[1]
    for w in range(len(BARS_S)):
        lists.places[w, start:end] = np.sort(at[start:end] % (BARS_S[w] * SECOND))


def list_accounts(entries: Entries, accounts: Codes, rate_us: int) -> Lists:
    """The lists of the given accounts; those of all others are empty."""
    book = entries.book
    wanted = np.zeros(len(entries.accounts), dtype=np.bool_)
    wanted[accounts] = True
    stretches, market, first = _outline(book, wanted)
    size = int(first[-1])
    lists = Lists(
        stretches=stretches,
        market=market,
        first=first,
        sides=np.empty((len(market), 2)),
        in_crowds=np.empty((len(market), 2)),
        at=np.empty(size, dtype=np.int64),
        side=np.empty(size, dtype=np.int8),
        idea=np.empty(size, dtype=np.int32),
        others=np.empty((size, 2), dtype=np.int32),
        crowd=np.empty((size, 2), dtype=np.bool_),
        places=np.empty((len(BARS_S), size), dtype=np.int64),
    )
    parts = [part for part in np.array_split(np.flatnonzero(wanted).astype(np.int32), 8 * THREADS) if len(part)]
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda part: _fill(book, lists, part, rate_us), parts))
    return lists
