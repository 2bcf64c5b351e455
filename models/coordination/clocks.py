"""Constant differences between the clocks of platforms, read off moments at which strangers act together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.coordination.compiled import compiled
from models.coordination.entries import SECOND, Book, Codes, Entries, Floats, Ints

REACH_S = 8.0  # lags read on either side
FARTHEST_S = 5.0  # largest difference believed
BIN_S = 0.02
EDGE_S = 6.0  # lags beyond this say how many meet by chance
SMOOTH_S = 0.1
NEIGHBOURS = 40  # entries read after each one; a crowd of thousands says no more than its first
VOICES_MIN = 30.0
DEVIATIONS_MIN = 6.0
HEIGHT_MIN = 0.3  # of the height that meetings within one platform lead to expect
SHARP_S = 0.2  # width of the densest stretch of meetings
NEAR_S = 0.6  # how far from the first guess it may lie
DIFFERENCE_MIN_S = 0.05
BINS = round(2 * REACH_S / BIN_S)


@compiled
def _meetings(book: Book, group: Codes, reach_us: int) -> tuple[Ints, Ints]:
    """Pairs of accounts that enter alike within reach, as one number each, and the lag (us) of the later code's group.

    Lags are of the account in the higher group behind the one in the lower; within a group, of the higher account.
    """
    size = 1024
    pairs, lags = np.empty(size, dtype=np.int64), np.empty(size, dtype=np.int64)
    count = 0
    n, accounts = len(book.opened_us), len(book.own_start)
    for i in range(n):
        for j in range(i + 1, min(i + 1 + NEIGHBOURS, n)):
            gap = book.opened_us[j] - book.opened_us[i]
            if book.instrument[j] != book.instrument[i] or gap > reach_us:
                break
            a, b = book.account[i], book.account[j]
            if a == b or book.side[i] != book.side[j]:
                continue
            turned = group[a] > group[b] or (group[a] == group[b] and a > b)
            if turned:
                a, b, gap = b, a, -gap
            if count == size:
                size *= 2
                more_pairs, more_lags = np.empty(size, dtype=np.int64), np.empty(size, dtype=np.int64)
                more_pairs[:count], more_lags[:count] = pairs, lags
                pairs, lags = more_pairs, more_lags
            pairs[count], lags[count] = np.int64(a) * accounts + b, gap
            count += 1
    return pairs[:count], lags[:count]


def _voices(pairs: Ints, lags: Ints) -> Floats:
    """How often each lag occurs, every pair of accounts having one voice; bins of BIN_S over the reach."""
    _, inverse, counts = np.unique(pairs, return_inverse=True, return_counts=True)
    place = ((lags / SECOND + REACH_S) / BIN_S).astype(np.int64)
    return np.bincount(np.clip(place, 0, BINS - 1), weights=1.0 / counts[inverse], minlength=BINS)


def _smooth(voices: Floats) -> Floats:
    """A moving mean."""
    width = round(SMOOTH_S / BIN_S)
    return np.asarray(np.convolve(voices, np.ones(width) / width, "same"))


def _chance(voices: Floats) -> float:
    """Voices per bin by chance: the mean of the edges."""
    edge = round((REACH_S - EDGE_S) / BIN_S)
    return float(np.concatenate([voices[:edge], voices[-edge:]]).mean())


def _shape(within: Floats) -> Floats | None:
    """How meetings of strangers at public moments spread around no lag at all; None where none stand out."""
    chance = _chance(within)
    even = (within + within[::-1]) / 2
    reach = round(EDGE_S / BIN_S)
    shape = np.maximum(_smooth(even) - chance, 0.0)[BINS // 2 - reach : BINS // 2 + reach]
    core = within[BINS // 2 - round(2 / BIN_S) : BINS // 2 + round(2 / BIN_S)]
    surplus = core.sum() - chance * len(core)
    if surplus < max(VOICES_MIN, DEVIATIONS_MIN * np.sqrt(max(chance, 0.0) * len(core))):
        return None
    return np.asarray(shape)


def _difference(voices: Floats, shape: Floats, within: Floats, step_s: float) -> float | None:
    """Seconds by which the later group's clock is ahead; None where no difference stands out.

    The likeliest shift of the shape of meetings within one platform, added to chance as there.
    """
    chance, usual = max(_chance(voices), 0.02), max(_chance(within), 0.02)
    worth = np.log1p(shape / usual)
    steps = np.arange(-round(FARTHEST_S / BIN_S), round(FARTHEST_S / BIN_S) + 1)
    padded = np.pad(voices - chance, len(shape))
    middle = len(shape) + BINS // 2 - len(shape) // 2
    match = np.array([padded[middle + k : middle + k + len(shape)] @ worth for k in steps])
    best = int(match.argmax())
    noise = np.sqrt(chance * float(worth @ worth))
    expected = float(shape @ worth) * chance / usual
    stands_out = match[best] >= DEVIATIONS_MIN * noise and match[best] >= HEIGHT_MIN * expected
    away = match[best] - match[len(steps) // 2] >= DEVIATIONS_MIN * noise / 2
    seconds = float(steps[best] * BIN_S)
    if not (stands_out and away):
        return None
    seconds = _sharpened(voices, seconds, max(step_s, SHARP_S))
    return seconds if abs(seconds) >= DIFFERENCE_MIN_S else None


def _sharpened(voices: Floats, seconds: float, width_s: float) -> float:
    """The middle of the densest stretch near a first guess, where one stands out: the quickest act most alike."""
    width = round(width_s / BIN_S)
    dense = np.convolve(voices, np.ones(width), "same")
    centre, near = BINS // 2 + round(seconds / BIN_S), round(NEAR_S / BIN_S)
    around = dense[centre - near : centre + near + 1]
    plain = around.max() - np.median(around) > 4 * np.sqrt(np.median(around) + 1.0)
    top = np.flatnonzero(around >= 0.95 * around.max())
    return float((np.median(top) - near) * BIN_S + seconds) if plain else seconds


def _differences(book: Book, group: Codes, groups: int) -> Floats:
    """Seconds by which each group's clock is ahead of the busiest group's; 0 where nothing stands out."""
    ahead = np.zeros(groups)
    pairs, lags = _meetings(book, group, int(REACH_S * SECOND))
    accounts = len(book.own_start)
    one, other = group[pairs // accounts], group[pairs % accounts]
    within = _voices(pairs[one == other], lags[one == other])
    shape = _shape(within)
    if shape is None:
        return ahead
    step_s = pd.Series(book.step_us / SECOND).groupby(group).median().reindex(range(groups), fill_value=0.0).to_numpy()
    busiest = int(np.bincount(group[book.account], minlength=groups).argmax())
    for g in range(groups):
        chosen = (np.minimum(one, other) == min(g, busiest)) & (np.maximum(one, other) == max(g, busiest))
        if g != busiest and chosen.any():
            seconds = _difference(_voices(pairs[chosen], lags[chosen]), shape, within, step_s[g] + step_s[busiest])
            ahead[g] = 0.0 if seconds is None else seconds if g > busiest else -seconds
    return ahead


def clock_differences(entries: Entries, accounts: pd.DataFrame, log: list[str]) -> pd.Series:
    """Seconds by which each account's clock is ahead, by account id; adds what was found to the log.

    `accounts` has account_id and platform. Strangers act together at public moments (bars, news, levels, robots of
    one family); on one platform they are as often first as last, so that the lags of their meetings centre on 0, and
    between two platforms on the difference of their clocks. Every pair of accounts has one voice, so that followers,
    who are always late, do not pass for a clock. A difference is believed when it stands out from chance and is about
    as common as meetings within one platform lead to expect.
    """
    known = accounts.drop_duplicates("account_id").set_index("account_id")["platform"]
    names: NDArray[Any] = known.reindex(entries.accounts).astype(object).fillna("").to_numpy()
    group, platforms = pd.factorize(names, sort=True)
    ahead = _differences(entries.book, group.astype(np.int32), len(platforms))
    for platform, seconds in zip(platforms, ahead, strict=True):
        if seconds:
            log.append(f"the clocks of {platform or 'unnamed platforms'} are {seconds:+.2f} s off and were corrected")
    return pd.Series(ahead[group], index=entries.accounts)
