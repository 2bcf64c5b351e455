"""What surrounds the matched entries of a pair: their lags, exits and lots, and who else was there."""

from __future__ import annotations

import math

import numpy as np

from models.coordination.chance import log_poisson_tail
from models.coordination.compiled import compiled
from models.coordination.entries import NEVER, SECOND, Book, Codes, Entries, Floats, Ints, first_at
from models.coordination.pairs import MINUTE, in_parts
from models.coordination.terms import CoordinationTerms

COLUMNS = (
    "matched",
    "lag_s",
    "lag_spread_s",
    "same_order",
    "exits_together",
    "exits_by_chance",
    "holding_correlation",
    "lots_correlation",
    "phase_a",
    "phase_b",
    "containment",
    "days",
    "others",
    "others_rate",
    "first_share",
    "third",
    "third_before",
    "cover",
    "crowding",
    "crowding_usual",
    "relative_spread",
    "alone",
    "alone_expected",
    "events",
    "together",
    "untied",
    "untied_ahead",
)
MATCHES_MAX = 400  # matched entries whose surroundings are read; more say nothing new
NEIGHBOURS_MAX = 8_000  # entries read around one pair's matches
LOG_P_OTHER = math.log(1e-4)
SESSIONS = 3.0  # how much denser an account's entries are in its hours than evenly spread ones


@compiled
def match_entries(book: Book, a: int, b: int, relation: int, low_us: int, high_us: int) -> tuple[Codes, Codes]:
    """Positions of the entries of a and b joined one to one within a lag window (b behind a, us), earliest first."""
    size = min(book.own_start[a + 1] - book.own_start[a], book.own_start[b + 1] - book.own_start[b])
    at_a = np.empty(size, dtype=np.int32)
    at_b = np.empty(size, dtype=np.int32)
    used = np.zeros(book.own_start[b + 1] - book.own_start[b], dtype=np.bool_)
    count = 0
    low = book.own_start[b]
    for k in range(book.own_start[a], book.own_start[a + 1]):
        p = book.own[k]
        while low < book.own_start[b + 1] and (
            book.instrument[book.own[low]] < book.instrument[p]
            or (
                book.instrument[book.own[low]] == book.instrument[p]
                and book.opened_us[book.own[low]] < book.opened_us[p] + low_us
            )
        ):
            low += 1
        j = low
        while j < book.own_start[b + 1]:
            q = book.own[j]
            if book.instrument[q] != book.instrument[p] or book.opened_us[q] > book.opened_us[p] + high_us:
                break
            if not used[j - book.own_start[b]] and (book.side[q] == book.side[p]) == (relation == 0):
                used[j - book.own_start[b]] = True
                at_a[count] = p
                at_b[count] = q
                count += 1
                break
            j += 1
    return at_a[:count], at_b[:count]


@compiled
def _correlation(x: Floats, y: Floats) -> float:
    """Pearson correlation; NaN when either side never varies or fewer than four pairs are known."""
    known = np.isfinite(x) & np.isfinite(y)
    if known.sum() < 4:
        return np.nan
    dx = x[known] - x[known].mean()
    dy = y[known] - y[known].mean()
    scale = math.sqrt((dx * dx).sum() * (dy * dy).sum())
    return (dx * dy).sum() / scale if scale > 1e-9 else np.nan


@compiled
def _phase(opened: Ints) -> float:
    """How concentrated times are within the minute: 1 all at one second, about 0 spread evenly."""
    angle = 2.0 * math.pi * (opened % MINUTE) / MINUTE
    return math.hypot(np.cos(angle).mean(), np.sin(angle).mean())


@compiled
def _exits(book: Book, at_a: Codes, at_b: Codes, lag_us: float) -> tuple[float, float, float]:
    """Share of matches that also close together, the same share among swapped matches, correlation of holding."""
    count = len(at_a)
    held_a = np.full(count, np.nan)
    held_b = np.full(count, np.nan)
    for i in range(count):
        if book.closed_us[at_a[i]] != NEVER:
            held_a[i] = (book.closed_us[at_a[i]] - book.opened_us[at_a[i]]) / SECOND
        if book.closed_us[at_b[i]] != NEVER:
            held_b[i] = (book.closed_us[at_b[i]] - book.opened_us[at_b[i]]) / SECOND
    tolerance = max(2.0, 0.5 * abs(lag_us) / SECOND)
    together = by_chance = known = swaps = 0.0
    for i in range(count):
        if math.isnan(held_a[i]):
            continue
        for step in range(min(6, count)):
            other = held_b[(i + step) % count]
            if math.isnan(other):
                continue
            hit = 1.0 if abs(other - held_a[i]) <= tolerance else 0.0
            if step == 0:
                together += hit
                known += 1.0
            else:
                by_chance += hit
                swaps += 1.0
    share = together / known if known > 0 else np.nan
    usual = by_chance / swaps if swaps > 0 else np.nan
    return share, usual, _correlation(np.log(np.maximum(held_a, 1.0)), np.log(np.maximum(held_b, 1.0)))


@compiled
def _present(
    book: Book, p: int, q: int, a: int, b: int, relation: int, reach_us: int, who: Codes, when: Ints, full: int
) -> int:
    """Accounts other than a and b that enter around a matched pair on either's side, with their first time there."""
    earliest = min(book.opened_us[p], book.opened_us[q]) - reach_us
    latest = max(book.opened_us[p], book.opened_us[q]) + reach_us
    j = first_at(book, book.instrument[p], earliest)
    count = 0
    while (
        j < len(book.opened_us)
        and book.instrument[j] == book.instrument[p]
        and book.opened_us[j] <= latest
        and count < full
    ):
        r = book.account[j]
        if r != a and r != b and (relation == 1 or book.side[j] == book.side[p]):
            who[count] = r
            when[count] = book.opened_us[j]
            count += 1
        j += 1
    return count


@compiled
def _meets(
    book: Book, a: int, b: int, relation: int, shift_us: int, reach_us: int, regular: Codes, pair: int
) -> tuple[float, float]:
    """Entries of b that meet a regular other within reach while a is near, and while a is not."""
    with_a = without_a = 0.0
    for k in range(book.own_start[b], book.own_start[b + 1]):
        q = book.own[k]
        at = book.opened_us[q] + shift_us
        j = first_at(book, book.instrument[q], at - reach_us)
        met = near_a = False
        while (
            j < len(book.opened_us) and book.instrument[j] == book.instrument[q] and book.opened_us[j] <= at + reach_us
        ):
            same = book.side[j] == book.side[q]
            r = book.account[j]
            if r == a and same == (relation == 0):
                near_a = True
            elif r != b and regular[r] == pair and (same or relation == 1):
                met = True
            j += 1
        if met and near_a:
            with_a += 1.0
        elif met:
            without_a += 1.0
    return with_a, without_a


@compiled
def _tight_spread(by: Codes, apart: Floats) -> float:
    """Lower quartile, over the regular others, of how much the time between the leader and each of them varies (us).

    Each other is taken by itself, so that clocks that differ by a constant do not count as variation.
    """
    order = np.argsort(by)
    spreads = np.empty(len(by), dtype=np.float64)
    count = 0
    start = 0
    for k in range(1, len(order) + 1):
        if k == len(order) or by[order[k]] != by[order[start]]:
            own = apart[order[start:k]]
            if len(own) >= 3:
                spreads[count] = np.median(np.abs(own - np.median(own)))
                count += 1
            start = k
    return float(np.quantile(spreads[:count], 0.25)) if count > 0 else 1e12


@compiled
def _describe_pairs(book: Book, pairs: Codes, windows: Ints, horizon_us: int, columns: int) -> Floats:
    """One row of circumstances per pair, in the order of COLUMNS."""
    accounts = len(book.own_start) - 1
    out = np.full((len(pairs), columns), np.nan)
    times = np.zeros(accounts, dtype=np.int32)
    before = np.zeros(accounts, dtype=np.int32)
    stamp = np.full(accounts, -1, dtype=np.int64)
    regular = np.full(accounts, -1, dtype=np.int32)
    who = np.empty(NEIGHBOURS_MAX, dtype=np.int32)
    when = np.empty(NEIGHBOURS_MAX, dtype=np.int64)
    size = np.empty(MATCHES_MAX + 1, dtype=np.int64)
    for i in range(len(pairs)):
        a, b, relation = pairs[i, 0], pairs[i, 1], pairs[i, 2]
        at_a, at_b = match_entries(book, a, b, relation, windows[i, 0], windows[i, 1])
        count = len(at_a)
        if count == 0:
            continue
        out[i, 24] = len(match_entries(book, a, b, relation, -horizon_us, horizon_us)[0])
        lags = (book.opened_us[at_b] - book.opened_us[at_a]).astype(np.float64)
        lag = np.median(lags)
        spread = np.median(np.abs(lags - lag))
        ahead = (lags > 0).mean() + 0.5 * (lags == 0).mean()
        exits, usual, holding = _exits(book, at_a, at_b, lag)
        own = min(book.own_start[a + 1] - book.own_start[a], book.own_start[b + 1] - book.own_start[b])
        out[i, 0], out[i, 1], out[i, 2] = count, lag / SECOND, spread / SECOND
        out[i, 3] = max(ahead, 1.0 - ahead)
        untied = (lags != 0).sum()
        out[i, 25], out[i, 26] = untied, (lags > 0).sum() / untied if untied > 0 else np.nan
        out[i, 4], out[i, 5], out[i, 6] = exits, usual, holding
        out[i, 7] = _correlation(np.log(np.maximum(book.lots[at_a], 1e-9)), np.log(np.maximum(book.lots[at_b], 1e-9)))
        out[i, 8], out[i, 9] = _phase(book.opened_us[at_a]), _phase(book.opened_us[at_b])
        out[i, 10] = count / own
        out[i, 11] = len(np.unique(book.opened_us[at_a] // (1440 * MINUTE)))
        # Who else is there, again and again?
        stride = max(1, (count + MATCHES_MAX - 1) // MATCHES_MAX)
        filled = events = 0
        crowding = crowding_usual = 0.0
        size[0] = 0
        for e in range(0, count, stride):
            filled_now = _present(
                book, at_a[e], at_b[e], a, b, relation, horizon_us, who[filled:], when[filled:], NEIGHBOURS_MAX - filled
            )
            filled += filled_now
            events += 1
            size[events] = filled
            crowding += filled_now
            width = 2.0 * horizon_us + abs(lags[e])
            side = book.side[at_a[e]]
            nearby = book.near[at_a[e], side] + (book.near[at_a[e], 1 - side] if relation == 1 else 0)
            crowding_usual += max(nearby - 2.0, 0.0) * width / (2.0 * 15 * MINUTE)
            if filled >= NEIGHBOURS_MAX:
                break
        for e in range(events):
            first = min(book.opened_us[at_a[e * stride]], book.opened_us[at_b[e * stride]])
            for x in range(size[e], size[e + 1]):
                mark = np.int64(i) * (MATCHES_MAX + 1) + e
                if stamp[who[x]] != mark:
                    if stamp[who[x]] // (MATCHES_MAX + 1) != i:
                        times[who[x]] = 0
                        before[who[x]] = 0
                    stamp[who[x]] = mark
                    times[who[x]] += 1
                    before[who[x]] += when[x] < first
        others = 0
        rate = 0.0
        absent = 1.0
        third = -1
        third_before = 0.0
        for x in range(filled):
            r = who[x]
            if regular[r] == i or times[r] < max(2.0, 0.15 * events):
                continue
            entries = book.own_start[r + 1] - book.own_start[r]
            expected = events * entries * 2.0 * horizon_us / SECOND / book.open_s * SESSIONS
            if log_poisson_tail(times[r], expected) < LOG_P_OTHER:
                regular[r] = i
                others += 1
                rate += times[r] / events
                absent *= 1.0 - times[r] / events
                if before[r] / events > third_before:
                    third, third_before = r, before[r] / events
        leader, follower = (a, b) if lag >= 0 else (b, a)
        firsts = shared = 0
        apart = np.empty(filled, dtype=np.float64)
        apart_by = np.empty(filled, dtype=np.int32)
        seen = 0
        for e in range(events):
            p, q = at_a[e * stride], at_b[e * stride]
            lead = book.opened_us[p] if lag >= 0 else book.opened_us[q]
            behind = book.opened_us[q] if lag >= 0 else book.opened_us[p]
            ok = lead <= behind
            met = False
            for x in range(size[e], size[e + 1]):
                if regular[who[x]] == i:
                    met = True
                    ok = ok and lead <= when[x]
                    apart[seen] = when[x] - lead
                    apart_by[seen] = who[x]
                    seen += 1
            shared += met
            firsts += ok and met
        out[i, 12], out[i, 13] = others, rate
        out[i, 14] = firsts / shared if shared > 0 else np.nan
        out[i, 15], out[i, 16] = third, third_before
        if shared > 0:
            reach = int(max(np.quantile(np.abs(apart[:seen]), 0.8), abs(lag) + 2 * spread) + SECOND)
            reach = int(min(reach, horizon_us))
            with_a, without_a = _meets(book, leader, follower, relation, 0, reach, regular, i)
            _, by_chance = _meets(book, leader, follower, relation, 17 * MINUTE, reach, regular, i)
            out[i, 17] = with_a / max(with_a + max(without_a - by_chance, 0.0), 1.0)
            out[i, 20] = spread / max(_tight_spread(apart_by[:seen], apart[:seen]), 1000.0)
        out[i, 21], out[i, 22], out[i, 23] = events - shared, events * absent, events
        out[i, 18], out[i, 19] = crowding / events, crowding_usual / events
    return out


def match_windows(judged: Floats, terms: CoordinationTerms) -> tuple[Ints, Floats]:
    """Lag windows (us) in which entries are matched, and the matches expected there by chance.

    The window is the searched one and half as much on either side, so that the tails of the lag are matched too.
    """
    low, high = judged[:, 0], judged[:, 1]
    narrowest = terms.lag_widths_s[0] * SECOND
    slack = np.maximum(0.5 * (high - low), narrowest)
    edge = terms.horizon_s * SECOND
    windows = np.stack([np.maximum(low - slack, -edge), np.minimum(high + slack, edge)], axis=1).astype(np.int64)
    expected = judged[:, 3] * (windows[:, 1] - windows[:, 0]) / np.maximum(high - low, narrowest)
    return windows, np.asarray(expected, dtype=np.float64)


def describe_pairs(entries: Entries, pairs: Codes, windows: Ints, terms: CoordinationTerms) -> Floats:
    """Circumstances of each pair within its lag window (us), one row each with the columns of COLUMNS."""
    both = np.concatenate([pairs.astype(np.int64), windows], axis=1)

    def describe(part: Ints) -> Floats:
        return _describe_pairs(
            entries.book, part[:, :3].astype(np.int32), part[:, 3:], int(terms.horizon_s * SECOND), len(COLUMNS)
        )

    return in_parts(describe, both)
