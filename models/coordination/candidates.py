"""Finds the pairs of accounts whose entries coincide often enough to be worth a closer look."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from models.compiled import compiled
from models.coordination.chance import log_poisson_tail
from models.coordination.entries import SECOND, Book, Codes, Entries, Flags, Floats, Ints, Moments, moments, repeats
from models.coordination.kept import SLACK, Kept, keep, met_anew, still_near, touched_entries
from models.coordination.terms import CoordinationTerms

THREADS = 2
CLUSTERING = 2.0  # entries come in sessions: coincidences are about this much more frequent than evenly spread ones
LOG_P_CROWD = math.log(0.01)
PAIRS_MAX = 4_000_000  # beyond this many pairs the closer look would no longer fit in memory


class Keys(NamedTuple):
    """How often each account used each instrument and side, in all and in crowds, as a sparse table by account."""

    start: Ints
    ids: Codes
    counts: Floats
    crowds: Floats


class Limits(NamedTuple):
    """Where a pair is worth a closer look; the reaches in microseconds."""

    horizon_us: int
    narrow_us: int
    matches_min: int
    log_p_max: float


class Chance(NamedTuple):
    """Meetings of a pair within the horizon that its rates let expect, and those of crowds: wide and narrow."""

    expected: float
    crowded: float
    crowded_narrow: float


@compiled
def _spread_out(keys: Keys, a: int, mine: Floats, on: bool) -> None:
    """Writes an account's counts by key into a dense table (in all, in crowds), or clears them."""
    for k in range(keys.start[a], keys.start[a + 1]):
        mine[keys.ids[k], 0] = keys.counts[k] if on else 0.0
        mine[keys.ids[k], 1] = keys.crowds[k] if on else 0.0


@compiled
def _chance(book: Book, keys: Keys, mine: Floats, a: int, b: int, relation: int, horizon_us: int) -> Chance:
    """What a pair's meetings would be by chance; `mine` has the counts of account a."""
    shared = crowded = crowded_narrow = 0.0
    for k in range(keys.start[b], keys.start[b + 1]):
        key = keys.ids[k] ^ relation
        shared += keys.counts[k] * mine[key, 0]
        meetings = keys.crowds[k] * mine[key, 1]
        crowded += meetings * book.crowd_meets[key, relation]
        crowded_narrow += meetings * book.crowd_meets[key, relation + 2]
    overlap = min(book.last_us[a], book.last_us[b]) - max(book.first_us[a], book.first_us[b])
    longest = max(book.last_us[a] - book.first_us[a], book.last_us[b] - book.first_us[b], 1)
    both_s = book.open_s * max(min(longest / SECOND / book.span_s, 1.0), 0.02)
    if overlap <= 0:
        both_s = book.open_s
    return Chance(CLUSTERING * shared * 2.0 * horizon_us / SECOND / both_s, crowded, crowded_narrow)


@compiled
def _log_p(wide: int, narrow: int, expected: float, limits: Limits) -> float:
    """Log of the chance of so many meetings within the horizon or within the narrow reach, whichever is less likely."""
    share = limits.narrow_us / limits.horizon_us
    return min(log_poisson_tail(wide, expected), log_poisson_tail(narrow, expected * share))


@compiled
def _worth_a_look(wide: int, narrow: int, chance: Chance, limits: Limits) -> bool:
    """Whether a pair meets more often than its rates and the crowds it was in let expect, or too often to tell here."""
    expected = chance.expected
    if wide < limits.matches_min:
        return False
    busy = expected > 2.0 and wide >= 2 * limits.matches_min
    if not busy and _log_p(wide, narrow, expected, limits) >= limits.log_p_max:
        return False
    share = limits.narrow_us / limits.horizon_us
    return (
        log_poisson_tail(wide, expected + chance.crowded) <= LOG_P_CROWD
        or log_poisson_tail(narrow, expected * share + chance.crowded_narrow) <= LOG_P_CROWD
    )


@compiled
def _comes_near(wide: int, narrow: int, chance: Chance, limits: Limits) -> bool:
    """Whether one meeting more could make a pair worth a look, even were everybody's rates a little lower."""
    if wide + 1 >= 2 * limits.matches_min:
        return True
    if wide + 1 < limits.matches_min:
        return False
    return _log_p(wide + 1, narrow + 1, SLACK * chance.expected, limits) < limits.log_p_max


@compiled
def _write(row: Floats, a: int, b: int, relation: int, log_p: float, look: bool) -> None:
    """Fills one row of what was counted."""
    row[0], row[1], row[2] = a, b, relation
    row[3], row[4] = log_p, 1.0 if look else 0.0


@compiled
def _grown(found: Floats) -> Floats:
    """The rows in a table of twice the size."""
    grown = np.empty((2 * len(found), found.shape[1]), dtype=np.float64)
    grown[: len(found)] = found
    return grown


@compiled
def _count_for_accounts(
    accounts: Codes, book: Book, every: Moments, keys: Keys, limits: Limits, keep_near: bool
) -> Floats:
    """For each given account: every account after it with too many shared entries.

    Rows are a, b, relation, log p, and whether the pair is worth a look; the others only come near. A dense counter
    per relation and width holds one account's partners at a time, so memory grows with the number of accounts and
    never with the number of pairs.
    """
    n_accounts, n = len(book.own_start) - 1, len(every)
    met = np.zeros((n_accounts, 4), dtype=np.int32)  # within the horizon, then within the narrow reach, by relation
    stamp = np.full((n_accounts, 8), -1, dtype=np.int32)  # the last idea that met, by the same and its side
    partners = np.empty(n_accounts, dtype=np.int32)
    mine = np.zeros((len(book.totals), 2))
    told = np.full(2, -1)
    found = np.empty((1024, 5), dtype=np.float64)
    filled = 0
    least = limits.matches_min - 1 if keep_near else limits.matches_min
    for a in accounts:
        count = 0
        told[:] = -1
        for k in range(book.own_start[a], book.own_start[a + 1]):
            p = book.own[k]
            if repeats(every, p, told):
                continue
            at_us, idea, here, side = every[p].at_us, every[p].idea, every[p].instrument, every[p].side
            for step in (-1, 1):
                j = p + step
                while 0 <= j < n and every[j].instrument == here:
                    gap = abs(every[j].at_us - at_us)
                    if gap > limits.horizon_us:
                        break
                    b = every[j].account
                    if b > a:
                        relation = every[j].side ^ side
                        kind = 2 * relation + side
                        if stamp[b, kind] != idea:
                            stamp[b, kind] = idea
                            if met[b, 0] + met[b, 1] == 0:
                                partners[count] = b
                                count += 1
                            met[b, relation] += 1
                        if gap <= limits.narrow_us and stamp[b, 4 + kind] != idea:
                            stamp[b, 4 + kind] = idea
                            met[b, 2 + relation] += 1
                    j += step
        count = _often(partners, count, met, least)
        if count == 0:
            continue
        _spread_out(keys, a, mine, True)
        for b in partners[:count]:
            for relation in range(2):
                wide, narrow = met[b, relation], met[b, 2 + relation]
                if wide < least:
                    continue
                chance = _chance(book, keys, mine, a, b, relation, limits.horizon_us)
                look = _worth_a_look(wide, narrow, chance, limits)
                if look or (keep_near and _comes_near(wide, narrow, chance, limits)):
                    if filled == len(found):
                        found = _grown(found)
                    _write(found[filled], a, b, relation, _log_p(wide, narrow, chance.expected, limits), look)
                    filled += 1
            met[b] = 0
        _spread_out(keys, a, mine, False)
    return found[:filled]


@compiled
def _often(partners: Codes, count: int, met: Codes, least: int) -> int:
    """Puts the partners that met often enough first and forgets the meetings of the others; returns how many."""
    often = 0
    for c in range(count):
        b = partners[c]
        if met[b, 0] >= least or met[b, 1] >= least:
            partners[often] = b
            often += 1
        else:
            met[b] = 0
    return often


@compiled
def _shared_ideas(book: Book, a: int, b: int, relation: int, limits: Limits) -> tuple[int, int]:
    """Ideas of a during which b entered too, within the horizon and within the narrow reach."""
    wide = narrow = 0
    stamp, stamp_narrow = np.full(2, -1), np.full(2, -1)
    low, end = book.own_start[b], book.own_start[b + 1]
    for k in range(book.own_start[a], book.own_start[a + 1]):
        p = book.own[k]
        here, at, side = book.instrument[p], book.opened_us[p], book.side[p]
        while low < end and (
            book.instrument[book.own[low]] < here
            or (book.instrument[book.own[low]] == here and book.opened_us[book.own[low]] < at - limits.horizon_us)
        ):
            low += 1
        for x in range(low, end):
            q = book.own[x]
            if book.instrument[q] != here or book.opened_us[q] > at + limits.horizon_us:
                break
            if book.side[q] ^ side != relation:
                continue
            if stamp[side] != book.idea[p]:
                stamp[side] = book.idea[p]
                wide += 1
            if abs(book.opened_us[q] - at) <= limits.narrow_us and stamp_narrow[side] != book.idea[p]:
                stamp_narrow[side] = book.idea[p]
                narrow += 1
    return wide, narrow


@compiled
def _count_for_pairs(pairs: Codes, book: Book, keys: Keys, limits: Limits) -> Floats:
    """Of given pairs, sorted by their first account, those worth a look; rows as those of `_count_for_accounts`."""
    found = np.empty((len(pairs), 5), dtype=np.float64)
    mine = np.zeros((len(book.totals), 2))
    filled = 0
    for i in range(len(pairs)):
        a, b, relation = pairs[i, 0], pairs[i, 1], pairs[i, 2]
        if i == 0 or a != pairs[i - 1, 0]:
            if i:
                _spread_out(keys, pairs[i - 1, 0], mine, False)
            _spread_out(keys, a, mine, True)
        wide, narrow = _shared_ideas(book, a, b, relation, limits)
        if wide < limits.matches_min:
            continue
        chance = _chance(book, keys, mine, a, b, relation, limits.horizon_us)
        if _worth_a_look(wide, narrow, chance, limits):
            _write(found[filled], a, b, relation, _log_p(wide, narrow, chance.expected, limits), True)
            filled += 1
    return found[:filled]


@compiled
def _keys_by_account(book: Book, wanted: Flags) -> Keys:
    """How often each of the wanted accounts used each instrument and side; none of the others."""
    n, accounts = len(book.own), len(book.own_start) - 1
    start = np.zeros(accounts + 1, dtype=np.int64)
    ids, counts, crowds = np.empty(n, dtype=np.int32), np.empty(n), np.empty(n)
    here, in_crowds = np.zeros(2), np.zeros(2)
    filled = 0
    for a in range(accounts):
        last = book.own_start[a + 1] if wanted[a] else book.own_start[a]
        for k in range(book.own_start[a], last):
            p = book.own[k]
            here[book.side[p]] += 1.0
            in_crowds[book.side[p]] += book.crowd[p, book.side[p]]
            if k + 1 == book.own_start[a + 1] or book.instrument[book.own[k + 1]] != book.instrument[p]:
                for side in range(2):
                    if here[side]:
                        ids[filled] = book.instrument[p] * 2 + side
                        counts[filled], crowds[filled] = here[side], in_crowds[side]
                        filled += 1
                here[:] = 0.0
                in_crowds[:] = 0.0
        start[a + 1] = filled
    return Keys(start, ids[:filled], counts[:filled], crowds[:filled])


def _limits(terms: CoordinationTerms) -> Limits:
    return Limits(
        horizon_us=int(terms.horizon_s * SECOND),
        narrow_us=int(min(terms.narrow_s, terms.horizon_s) * SECOND),
        matches_min=terms.matches_min,
        log_p_max=math.log(terms.prefilter_p_max),
    )


def _counted(entries: Entries, terms: CoordinationTerms, keep_near: bool) -> Floats:
    """Every pair of the firm that is worth a look, and with `keep_near` those that come near."""
    everyone = np.ones(len(entries.accounts), dtype=np.bool_)
    keys, limits, every = _keys_by_account(entries.book, everyone), _limits(terms), moments(entries.book)
    shares = [np.arange(k, len(entries.accounts), THREADS * 8, dtype=np.int32) for k in range(THREADS * 8)]

    def count(share: Codes) -> Floats:
        return np.asarray(_count_for_accounts(share, entries.book, every, keys, limits, keep_near))

    with ThreadPoolExecutor(THREADS) as pool:
        return np.concatenate(list(pool.map(count, shares)))


def _counted_again(entries: Entries, pairs: Codes, terms: CoordinationTerms) -> Floats:
    """Those of the given pairs that are worth a look."""
    wanted = np.zeros(len(entries.accounts), dtype=np.bool_)
    wanted[pairs[:, :2]] = True
    keys, limits = _keys_by_account(entries.book, wanted), _limits(terms)

    def count(part: Codes) -> Floats:
        return np.asarray(_count_for_pairs(part, entries.book, keys, limits))

    with ThreadPoolExecutor(THREADS) as pool:
        return np.concatenate(list(pool.map(count, np.array_split(pairs, THREADS * 8))))


def _both(some: Codes, others: Codes, accounts: int) -> Codes:
    """The pairs of either, each once, in their order; one number per pair sorts far faster than three."""
    numbers = [(pairs[:, 0].astype(np.int64) * accounts + pairs[:, 1]) * 2 + pairs[:, 2] for pairs in (some, others)]
    number = np.unique(np.concatenate(numbers))
    return np.column_stack([number // 2 // accounts, number // 2 % accounts, number % 2]).astype(np.int32)


def _counted_on(entries: Entries, terms: CoordinationTerms, before: Kept | None, log: list[str]) -> Floats | None:
    """What `_counted` gives, from the pairs that came near before and those that met anew; None if that is too much."""
    touched = touched_entries(entries, terms, before) if before is not None else None
    if before is None or touched is None:
        return None
    pairs = _both(
        still_near(entries, before),
        met_anew(entries, touched, int(terms.horizon_s * SECOND), THREADS),
        len(entries.accounts),
    )
    log.append(
        f"{int(touched.sum())} of {len(touched)} entries are new since all pairs were counted: {len(pairs)} pairs that "
        f"came near then, or met twice since, were counted again"
    )
    return _counted_again(entries, pairs, terms)


def find_candidates(
    entries: Entries, terms: CoordinationTerms, log: list[str], before: Kept | None = None, *, keeping: bool = False
) -> tuple[Codes, Kept | None]:
    """Pairs worth a closer look, shape (n, 3): account, account after it, relation (0 copy, 1 mirror).

    With what an earlier run kept only pairs that it touches are counted, which gives the same pairs; the second part
    is what the next run may go on from.
    """
    counted = _counted_on(entries, terms, before, log)
    if counted is None:
        counted = _counted(entries, terms, keeping)
        before = keep(entries, terms, counted[:, :3].astype(np.int32), log) if keeping else None
    pairs = counted[counted[:, 4] != 0.0]
    crowded = int(entries.book.crowd_totals.sum())
    if crowded:
        log.append(f"{crowded} entries stood in crowds or at news: pairs whose meetings these explain were passed over")
    log.append(f"{len(pairs)} pairs coincide often enough for a closer look")
    if len(pairs) > PAIRS_MAX:
        pairs = pairs[np.argsort(pairs[:, 3], kind="stable")[:PAIRS_MAX]]
        log.append(f"only the {PAIRS_MAX} least likely of them were looked at")
    pairs = pairs[np.lexsort((pairs[:, 2], pairs[:, 1], pairs[:, 0]))]
    return pairs[:, :3].astype(np.int32), before
