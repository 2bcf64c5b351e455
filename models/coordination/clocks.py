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
NEIGHBOURS = 40  # about how many entries are read after each one, evenly over the reach: the nearest lie about 0
VOICES_MIN = 30.0
DEVIATIONS_MIN = 6.0
HEIGHT_MIN = 0.3  # of the height that meetings within one platform lead to expect
SHARP_S = 0.2  # width of the densest stretch of meetings
AWAY_MIN = 3.0  # deviations by which it is denser than no difference at all
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
    end = 0
    for i in range(n):
        end = max(end, i + 1)
        while (
            end < n
            and book.instrument[end] == book.instrument[i]
            and book.opened_us[end] - book.opened_us[i] <= reach_us
        ):
            end += 1
        stride = max((end - i - 1) // NEIGHBOURS, 1)
        for j in range(i + 1 + i % stride, end, stride):
            gap = book.opened_us[j] - book.opened_us[i]
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
    return np.asarray(np.bincount(np.clip(place, 0, BINS - 1), 1.0 / counts[inverse], BINS), dtype=np.float64)


def _chance(voices: Floats) -> float:
    """Voices per bin by chance: the mean of the edges, at least a few in all."""
    edge = round((REACH_S - EDGE_S) / BIN_S)
    return max(float(np.concatenate([voices[:edge], voices[-edge:]]).mean()), 0.01)


def _dense(voices: Floats, width_s: float) -> tuple[Floats, float]:
    """Voices within a stretch of some seconds about each lag, and how many of them are chance."""
    width = round(width_s / BIN_S)
    return np.asarray(np.convolve(voices, np.ones(width), "same")), _chance(voices) * width


def _difference(voices: Floats, within: Floats, share: float, step_s: float) -> float | None:
    """Seconds by which the later group's clock is ahead; None where no difference stands out.

    The quickest strangers act most alike, so the middle of the densest stretch of lags is taken. `share` is how many
    pairs of accounts the two groups make for each that lies within one group.
    """
    dense, chance = _dense(voices, max(step_s, SHARP_S))
    usual, usual_chance = _dense(within, max(step_s, SHARP_S))
    middle, reach = BINS // 2, round(FARTHEST_S / BIN_S)
    around = dense[middle - reach : middle + reach + 1]
    top = float(around.max())
    surplus = max(float(usual[middle]) - usual_chance, 0.0)
    stands_out = top - chance >= DEVIATIONS_MIN * np.sqrt(chance + 1.0) and surplus >= VOICES_MIN
    as_common = top - chance >= HEIGHT_MIN * surplus * share
    away = top - around[reach] >= AWAY_MIN * np.sqrt(around[reach] + 1.0)
    seconds = (float(np.median(np.flatnonzero(around >= 0.95 * top))) - reach) * BIN_S
    return seconds if stands_out and as_common and away and abs(seconds) >= DIFFERENCE_MIN_S else None


def _differences(book: Book, group: Codes, groups: int) -> Floats:
    """Seconds by which each group's clock is ahead of the busiest group's; 0 where nothing stands out."""
    ahead = np.zeros(groups)
    pairs, lags = _meetings(book, group, int(REACH_S * SECOND))
    accounts = len(book.own_start)
    one, other = group[pairs // accounts], group[pairs % accounts]
    within = _voices(pairs[one == other], lags[one == other])
    step_s = pd.Series(book.step_us / SECOND).groupby(group).median().reindex(range(groups), fill_value=0.0).to_numpy()
    sizes = np.bincount(group, minlength=groups)
    busiest = int(np.bincount(group[book.account], minlength=groups).argmax())
    for g in range(groups):
        chosen = (np.minimum(one, other) == min(g, busiest)) & (np.maximum(one, other) == max(g, busiest))
        if g != busiest and chosen.any():
            share = float(sizes[g] * sizes[busiest]) / max(float((sizes * (sizes - 1)).sum()) / 2, 1.0)
            seconds = _difference(_voices(pairs[chosen], lags[chosen]), within, share, step_s[g] + step_s[busiest])
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
