"""How alike the matched positions of two accounts are: their lots, how long they were held, when they were opened."""

from __future__ import annotations

import math

import numpy as np

from models.compiled import compiled
from models.coordination.entries import NEVER, SECOND, Book, Codes, Floats, Ints
from models.coordination.pairs import MINUTE

BAR_S = 4.0  # robots act within this of their second of the minute
LOTS_KNOWN = 4  # matches less instruments that tell of lots
LOTS_ALIKE = 0.8  # correlation of lots that are alike


@compiled
def market_lots(book: Book, at: Codes) -> Floats:
    """The lots of entries in lots of their market."""
    return book.lots[at] * book.sizes[book.told[at]]


@compiled
def lots_beside(book: Book, at_a: Codes, at_b: Codes) -> Floats:
    """The lots of entries of b in lots of what a traded at its side, where the two are different instruments."""
    return book.lots[at_b] * book.sizes[book.told[at_b]] / book.sizes[book.told[at_a]]


@compiled
def lots_together(lots_a: Floats, lots_b: Floats, instrument: Codes) -> tuple[float, int]:
    """Correlation of the logarithms of lots within each instrument, and the matches less instruments that told it.

    Between instruments lots differ by what they are worth: two who always trade the same lots of each would seem one.
    Rows are by instrument. NaN where either side never varies or too few are known.
    """
    one, other = np.log(np.maximum(lots_a, 1e-9)), np.log(np.maximum(lots_b, 1e-9))
    unknown = np.isnan(one) | np.isnan(other)
    one[unknown] = np.nan
    other[unknown] = np.nan
    known = start = 0
    for k in range(1, len(one) + 1):
        if k == len(one) or instrument[k] != instrument[start]:
            here = k - start - unknown[start:k].sum()
            if here > 0:
                one[start:k] -= np.nanmean(one[start:k])
                other[start:k] -= np.nanmean(other[start:k])
                known += here - 1
            start = k
    return correlation(one, other) if known >= LOTS_KNOWN else np.nan, known


@compiled
def lots_vary(lots: Floats, instrument: Codes) -> bool:
    """Whether lots of one instrument, of rows by instrument, are ever different."""
    return bool(((instrument[1:] == instrument[:-1]) & (np.abs(lots[1:] - lots[:-1]) > 1e-9)).any())


@compiled
def held_s(book: Book, at: Codes) -> Floats:
    """How long positions were held (s); NaN where the exit is not known."""
    held = np.full(len(at), np.nan)
    for i in range(len(at)):
        if book.closed_us[at[i]] != NEVER:
            held[i] = (book.closed_us[at[i]] - book.opened_us[at[i]]) / SECOND
    return held


@compiled
def held_alike(held_a: Floats, held_b: Floats, least_s: float, share: float) -> tuple[float, float]:
    """Share of matches held alike, within so many seconds or a share of the holding time, and of swapped matches."""
    count = len(held_a)
    together = by_chance = known = swaps = 0.0
    for i in range(count):
        if math.isnan(held_a[i]):
            continue
        tolerance = max(least_s, share * held_a[i])
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
    return together / known if known > 0 else np.nan, by_chance / swaps if swaps > 0 else np.nan


@compiled
def exit_order(book: Book, ahead: Codes, behind: Codes) -> tuple[float, float]:
    """Shares of matches that close within a second of each other, and in which who opened later closes later.

    Closings at once count half to the second; who follows a leader out, however late, is never before it.
    """
    at_once = after = known = 0.0
    for i in range(len(ahead)):
        one, other = book.closed_us[ahead[i]], book.closed_us[behind[i]]
        if one != NEVER and other != NEVER:
            known += 1.0
            if abs(other - one) <= SECOND:
                at_once += 1.0
                after += 0.5
            elif other > one:
                after += 1.0
    if known == 0:
        return np.nan, np.nan
    return at_once / known, after / known


@compiled
def exit_gaps(book: Book, ahead: Codes, behind: Codes, lag_us: float) -> tuple[float, float]:
    """Shares of matches whose closings are less than half the lag of the entries apart, and half to one and a half.

    The first closed for one reason, in the second one followed the other out. NaN where no closing is known.
    """
    met = repeated = known = 0.0
    for i in range(len(ahead)):
        one, other = book.closed_us[ahead[i]], book.closed_us[behind[i]]
        if one != NEVER and other != NEVER:
            known += 1.0
            met += 2.0 * abs(other - one) < lag_us
            repeated += 2.0 * abs(other - one - lag_us) <= lag_us
    return (met / known, repeated / known) if known > 0 else (np.nan, np.nan)


@compiled
def bar_share(opened: Ints) -> float:
    """Share of entries near the commonest second of the minute: most for robots, BAR_S / 30 for people."""
    return commonest_second(opened)[0]


@compiled
def bar_spread(opened: Ints) -> float:
    """Median distance (us) of entries from their middle in the minute that lies about its commonest second."""
    _, middle = commonest_second(opened)
    places = (opened - middle + MINUTE // 2) % MINUTE
    return float(np.median(np.abs(places - np.median(places))))


@compiled
def commonest_second(opened: Ints) -> tuple[float, int]:
    """Share of entries within BAR_S of the commonest second of the minute, and where in the minute that is (us)."""
    second = np.sort(opened % MINUTE)
    around = np.concatenate((second, second + MINUTE))
    most = left = middle = 0
    for right in range(len(around)):
        while around[right] - around[left] > 2 * BAR_S * SECOND:
            left += 1
        if right - left + 1 > most:
            most, middle = right - left + 1, (around[right] + around[left]) // 2
    return most / len(opened), middle


@compiled
def local_spread(opened: Ints, lags: Floats) -> float:
    """Median absolute deviation that lags have by their changes from one match to the next in time (us).

    It is the usual one where they vary at random, and far less where they are steady but have moved.
    """
    ordered = lags[np.argsort(opened)]
    return float(np.median(np.abs(ordered[1:] - ordered[:-1])) / math.sqrt(2.0)) if len(lags) > 2 else np.nan


@compiled
def correlation(x: Floats, y: Floats) -> float:
    """Pearson correlation; NaN when either side never varies or fewer than four pairs are known."""
    known = np.isfinite(x) & np.isfinite(y)
    if known.sum() < 4:
        return np.nan
    dx = x[known] - x[known].mean()
    dy = y[known] - y[known].mean()
    scale = math.sqrt((dx * dx).sum() * (dy * dy).sum())
    return (dx * dy).sum() / scale if scale > 1e-9 else np.nan


@compiled
def surely(found: float, freedom: float) -> float:
    """How far a correlation of so many is the least that it may well be; one that is not known is none."""
    told = 0.0 if math.isnan(found) else min(max(found, -0.999), 0.999)
    return math.tanh(math.atanh(told) - 1.0 / math.sqrt(max(freedom, 0.5)))
