"""Looks at one pair of accounts closely: the lag at which they coincide, and how likely that is by chance."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.compiled import compiled
from models.coordination.candidates import THREADS
from models.coordination.chance import log_gamma_poisson_tail, log_poisson_tail
from models.coordination.entries import SECOND, Book, Codes, Entries, Floats, Ints, first_at
from models.coordination.lists import BARS_S, Lists, list_accounts
from models.coordination.terms import CoordinationTerms

PRIOR_ENTRIES = 20.0  # weight of an even spread over open hours against the market measured around an entry
PRIOR_SHAPE = 4.0  # how far the market's rate is trusted: a Gamma with this shape, refined by the shifted counts
LAGS_MAX = 20_000  # lags of one pair that are kept; more only occur between machines, where they add nothing
MINUTE = 60 * SECOND
PHASE_HITS_MIN = 5.0  # fewer coincidences of phase than this say nothing

# Shifts that keep what the market repeats: its mood over minutes, bar openings, the hour, the time of day.
SHIFT_MINUTES = np.array([5, 10, 20, 15, 30, 45, 60, 120, 180, 240, 1440, 2880, 10080], dtype=np.int64)
SHIFT_GROUP = np.array([0, 0, 0, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3], dtype=np.int64)


@compiled
def _next(lists: Lists, i: int, j: int) -> tuple[int, int]:
    """Of two stretches on different markets, the later one and the successor of the other."""
    return (i + 1, j) if lists.market[i] < lists.market[j] else (i, j + 1)


@compiled
def _collect_lags(
    lists: Lists, a: int, b: int, relation: int, horizon_us: int, lags: Ints, ideas_a: Codes, ideas_b: Codes
) -> int:
    """Fills every lag (b behind a, us) within the horizon and the ideas it joins; returns how many."""
    count = 0
    i, j = lists.stretches[a], lists.stretches[b]
    while i < lists.stretches[a + 1] and j < lists.stretches[b + 1]:
        if lists.market[i] != lists.market[j]:
            i, j = _next(lists, i, j)
            continue
        low, end = lists.first[j], lists.first[j + 1]
        for x in range(lists.first[i], lists.first[i + 1]):
            while low < end and lists.at[low] < lists.at[x] - horizon_us:
                low += 1
            for y in range(low, end):
                if lists.at[y] > lists.at[x] + horizon_us:
                    break
                if (lists.side[y] == lists.side[x]) == (relation == 0):
                    if count == len(lags):
                        return count
                    lags[count] = lists.at[y] - lists.at[x]
                    ideas_a[count] = lists.idea[x]
                    ideas_b[count] = lists.idea[y]
                    count += 1
        i += 1
        j += 1
    return count


@compiled
def _coincidence_rate(book: Book, lists: Lists, a: int, b: int, relation: int, rate_us: int) -> float:
    """Coincidences per second of lag if b entered with the market (a and b left out of it) while a does what it did."""
    share_b = min(max((book.last_us[b] - book.first_us[b]) / SECOND, 86_400.0) / book.span_s, 1.0)
    even = 2.0 * rate_us / SECOND / (book.open_s * share_b)
    since, until = book.first_us[b] - rate_us, book.last_us[b] + rate_us
    rate = 0.0
    near_b = np.zeros(2)
    i, j = lists.stretches[a], lists.stretches[b]
    while i < lists.stretches[a + 1] and j < lists.stretches[b + 1]:
        if lists.market[i] != lists.market[j]:
            i, j = _next(lists, i, j)
            continue
        here = lists.market[i]
        left = right = lists.first[j]
        end = lists.first[j + 1]
        near_b[:] = 0.0
        for x in range(lists.first[i], lists.first[i + 1]):
            at = lists.at[x]
            while right < end and lists.at[right] - at <= rate_us:
                near_b[lists.side[right]] += 1.0
                right += 1
            while left < right and at - lists.at[left] > rate_us:
                near_b[lists.side[left]] -= 1.0
                left += 1
            s = lists.side[x] if relation == 0 else 1 - lists.side[x]
            count_b = lists.sides[j, s]
            if count_b == 0.0 or at < since or at > until:
                continue
            others = max(lists.others[x, s] - near_b[s], 0.0)
            market = max(book.totals[here * 2 + s] - lists.sides[i, s] - count_b, 0.0)
            density = (others + PRIOR_ENTRIES * even) / (market * share_b + PRIOR_ENTRIES)
            rate += count_b * density / (2.0 * rate_us / SECOND)
        i += 1
        j += 1
    return rate


@compiled
def _crowd_expectation(book: Book, lists: Lists, a: int, b: int, relation: int, low_us: int, high_us: int) -> float:
    """Coincidences in a lag window that crowds explain: b's habit of joining crowds times the crowd at that moment."""
    expected = 0.0
    positions = book.own[book.own_start[a] : book.own_start[a + 1]]
    start_a = lists.first[lists.stretches[a]]
    i, j = lists.stretches[a], lists.stretches[b]
    while i < lists.stretches[a + 1] and j < lists.stretches[b + 1]:
        if lists.market[i] != lists.market[j]:
            i, j = _next(lists, i, j)
            continue
        here, joins = lists.market[i], lists.in_crowds[j]
        last = lists.first[i + 1] if joins.any() else lists.first[i]
        for x in range(lists.first[i], last):
            s = lists.side[x] if relation == 0 else 1 - lists.side[x]
            if joins[s] == 0.0 or not lists.crowd[x, s]:
                continue
            p = positions[x - start_a]
            start = first_at(book, p, lists.at[x] + low_us)
            stop = first_at(book, p, lists.at[x] + high_us + 1)
            others = float(book.buys_before[stop] - book.buys_before[start])
            if s == 1:
                others = stop - start - others
            others -= 1.0  # b itself, where it is there; a is there too when the window holds lag 0
            if relation == 0 and low_us <= 0 <= high_us:
                others -= 1.0
            expected += joins[s] * max(others, 0.0) / max(book.crowd_totals[here * 2 + s], 1.0)
        i += 1
        j += 1
    return expected


@compiled
def _count_in_window(lists: Lists, a: int, b: int, relation: int, low_us: int, high_us: int) -> int:
    """Ideas of a followed by an entry of b within the lag window, each entry of b used once."""
    count = 0
    last_idea = -1
    last_partner = -1
    i, j = lists.stretches[a], lists.stretches[b]
    while i < lists.stretches[a + 1] and j < lists.stretches[b + 1]:
        if lists.market[i] != lists.market[j]:
            i, j = _next(lists, i, j)
            continue
        low, end = lists.first[j], lists.first[j + 1]
        for x in range(lists.first[i], lists.first[i + 1]):
            since, until = lists.at[x] + low_us, lists.at[x] + high_us
            while low < end and lists.at[low] < since:
                low += 1
            for y in range(low, end):
                if lists.at[y] > until:
                    break
                if (
                    (lists.side[y] == lists.side[x]) == (relation == 0)
                    and lists.idea[x] != last_idea
                    and lists.idea[y] != last_partner
                ):
                    last_idea = lists.idea[x]
                    last_partner = lists.idea[y]
                    count += 1
                    break
        i += 1
        j += 1
    return count


@compiled
def _places_met(first: Ints, second: Ints, low_us: int, width_us: int, bar_us: int) -> int:
    """Places in a bar of the second that lie within the window after one of the first, both sorted; the bar goes on."""
    size = len(second)
    met = left = right = 0
    left_us = right_us = second[0]
    base = (first[0] + low_us) // bar_us * bar_us - low_us
    for x in range(len(first)):
        start = first[x] - base
        while left_us < start:
            left += 1
            left_us = second[left % size] + left // size * bar_us
        while right_us <= start + width_us:
            right += 1
            right_us = second[right % size] + right // size * bar_us
        met += right - left
    return met


@compiled
def _phase_expectation(lists: Lists, a: int, b: int, low_us: int, high_us: int, matched: int, rate: float) -> float:
    """Coincidences in a lag window if only the place of each entry within its bar, hour or day were kept.

    Every entry of a is set against every entry of b on the instrument, modulo the bar; robots of strangers that
    both wait for a bar to open meet far more often than their rates say.
    """
    worst = 0.0
    for w in range(len(BARS_S)):
        bar_us = BARS_S[w] * SECOND
        if high_us - low_us >= bar_us:
            continue
        hits = all_pairs = 0.0
        i, j = lists.stretches[a], lists.stretches[b]
        while i < lists.stretches[a + 1] and j < lists.stretches[b + 1]:
            if lists.market[i] != lists.market[j]:
                i, j = _next(lists, i, j)
                continue
            places_a = lists.places[w, lists.first[i] : lists.first[i + 1]]
            places_b = lists.places[w, lists.first[j] : lists.first[j + 1]]
            hits += _places_met(places_a, places_b, low_us, high_us - low_us, bar_us)
            all_pairs += len(places_a) * len(places_b)
            i += 1
            j += 1
        hits -= matched
        if hits >= PHASE_HITS_MIN:
            worst = max(worst, rate * BARS_S[w] * hits / all_pairs)
    return worst


@compiled
def _best_window(
    lags: Ints, ideas_a: Codes, ideas_b: Codes, rate: float, horizon_s: float, widths_s: Floats
) -> tuple[int, int, int, float]:
    """The lag window least likely by chance: its ends (us), the ideas in it, and its log p corrected for the scan.

    `lags` are sorted; ideas are numbered from 0. A window of width w can lie in about 2 * horizon / w places and
    each of its k points can open it, so its probability is multiplied by k * 2 * horizon / w and by the widths tried
    (the first-order bound of the scan statistic: Glaz, Naus and Wallenstein, Scan Statistics, 2001).
    """
    best = (0, 0, 0, 0.0)
    seen_a = np.zeros(ideas_a.max() + 1, dtype=np.int32)
    seen_b = np.zeros(ideas_b.max() + 1, dtype=np.int32)
    for w in range(len(widths_s)):
        width_us = int(widths_s[w] * SECOND)
        seen_a[:] = 0
        seen_b[:] = 0
        distinct_a = distinct_b = left = most = at_left = at_right = 0
        tries = math.log(2.0 * horizon_s / widths_s[w] * len(widths_s))
        for right in range(len(lags)):
            seen_a[ideas_a[right]] += 1
            distinct_a += seen_a[ideas_a[right]] == 1
            seen_b[ideas_b[right]] += 1
            distinct_b += seen_b[ideas_b[right]] == 1
            while lags[right] - lags[left] > width_us:
                seen_a[ideas_a[left]] -= 1
                distinct_a -= seen_a[ideas_a[left]] == 0
                seen_b[ideas_b[left]] -= 1
                distinct_b -= seen_b[ideas_b[left]] == 0
                left += 1
            if min(distinct_a, distinct_b) > most:
                most, at_left, at_right = min(distinct_a, distinct_b), left, right
        if most < 3:
            continue
        log_p = log_poisson_tail(most, rate * widths_s[w]) + tries + math.log(most)
        if log_p < best[3]:
            best = (lags[at_left], lags[at_right], most, log_p)
    return best


@compiled
def _against_shifts(
    lists: Lists,
    a: int,
    b: int,
    relation: int,
    low_us: int,
    high_us: int,
    matched: int,
    expected: float,
    shift_minutes: Ints,
    shift_group: Ints,
) -> tuple[float, float, float]:
    """Expected matches, log p and highest mean count when b's clock is shifted; the worst group of shifts decides.

    The market's expectation is the prior of a Gamma, the counts at shifted lags are observations that refine it. The
    first shifts are the nearest that do not overlap: prices that go to and fro fill waiting orders again and again.
    """
    worst_mean, worst_log_p, worst_shifted = 0.0, -1e300, 0.0
    step = max(MINUTE, high_us - low_us + SECOND)
    for group in range(-1, shift_group.max() + 1):
        shifted = shifts = 0.0
        for times in range(-2, 3):
            if group < 0 and times != 0:
                shifted += _count_in_window(lists, a, b, relation, low_us + times * step, high_us + times * step)
                shifts += 1.0
        for x in range(len(shift_minutes)):
            if shift_group[x] == group:
                for sign in (-1, 1):
                    offset = sign * shift_minutes[x] * MINUTE
                    shifted += _count_in_window(lists, a, b, relation, low_us + offset, high_us + offset)
                    shifts += 1.0
        shape = PRIOR_SHAPE + shifted
        rate = PRIOR_SHAPE / max(expected, 1e-9) + shifts
        worst_mean = max(worst_mean, shape / rate)
        worst_log_p = max(worst_log_p, log_gamma_poisson_tail(matched, shape, rate))
        worst_shifted = max(worst_shifted, shifted / shifts)
    return worst_mean, worst_log_p, worst_shifted


@compiled
def _judge_pairs(
    book: Book,
    lists: Lists,
    pairs: Codes,
    horizon_us: int,
    rate_us: int,
    widths_s: Floats,
    shift_minutes: Ints,
    shift_group: Ints,
    log_p_max: float,
) -> Floats:
    """Per pair: lag window (us), ideas matched, expected by chance, log p, highest mean count at shifted lags."""
    out = np.zeros((len(pairs), 6))
    lags = np.empty(LAGS_MAX, dtype=np.int64)
    ideas_a = np.empty(LAGS_MAX, dtype=np.int32)
    ideas_b = np.empty(LAGS_MAX, dtype=np.int32)
    for i in range(len(pairs)):
        a, b, relation = pairs[i, 0], pairs[i, 1], pairs[i, 2]
        found = _collect_lags(lists, a, b, relation, horizon_us, lags, ideas_a, ideas_b)
        if found < 3:
            continue
        rate = max(
            _coincidence_rate(book, lists, a, b, relation, rate_us),
            _coincidence_rate(book, lists, b, a, relation, rate_us),
        )
        order = np.argsort(lags[:found])
        low, high, matched, log_p = _best_window(
            lags[:found][order],
            ideas_a[:found][order],
            ideas_b[:found][order],
            rate,
            horizon_us / SECOND,
            widths_s,
        )
        # The window ends on entries that matched: one resolution step more on either side is what was searched.
        width_s = max((high - low) / SECOND, widths_s[0])
        expected = rate * width_s
        out[i, 0], out[i, 1], out[i, 2], out[i, 3], out[i, 4] = low, high, matched, expected, log_p
        if log_p > log_p_max:
            continue
        tries = math.log(2.0 * horizon_us / SECOND / width_s * len(widths_s) * matched)
        crowded = max(
            _crowd_expectation(book, lists, a, b, relation, low, high),
            _crowd_expectation(book, lists, b, a, relation, -high, -low),
        )
        if log_poisson_tail(matched, expected + crowded) + tries > log_p_max:
            out[i, 3], out[i, 4] = expected + crowded, 0.0
            continue
        expected = max(expected, _phase_expectation(lists, a, b, low, high, matched, rate)) + crowded
        log_p, shifted = log_poisson_tail(matched, expected) + tries, 0.0
        if log_p <= log_p_max:
            expected, log_p, shifted = _against_shifts(
                lists, a, b, relation, low, high, matched, expected, shift_minutes, shift_group
            )
            log_p += tries
        out[i, 3], out[i, 4], out[i, 5] = expected, min(log_p, 0.0), shifted
    return out


def judge_pairs(entries: Entries, pairs: Codes, tests: float, terms: CoordinationTerms) -> Floats:
    """Per candidate pair: lag window ends (us), ideas matched, expected by chance, log p, mean count at shifted lags.

    Pairs that cannot reach significance among `tests` pairs keep the market's expectation and are not shifted.
    """
    widths = np.array(terms.lag_widths_s)
    rate_us = int(terms.rate_window_s * SECOND)
    lists = list_accounts(entries, pairs[:, :2].ravel(), rate_us)
    log_p_max = math.log(terms.q_max) - math.log(tests) + math.log(max(len(pairs), 1))

    def judge(part: Codes) -> Floats:
        return np.asarray(
            _judge_pairs(
                entries.book,
                lists,
                part,
                int(terms.horizon_s * SECOND),
                rate_us,
                widths,
                SHIFT_MINUTES,
                SHIFT_GROUP,
                log_p_max,
            )
        )

    return in_parts(judge, pairs)


def in_parts(judge: Callable[[Any], Floats], pairs: NDArray[Any]) -> Floats:
    """Runs a function of pairs over slices of them in threads and puts the answers together in order."""
    parts = [part for part in np.array_split(pairs, 8 * THREADS) if len(part)]
    if not parts:
        return judge(pairs)
    with ThreadPoolExecutor(THREADS) as pool:
        return np.concatenate(list(pool.map(judge, parts)))
