"""Constant differences between the clocks of platforms, read off moments at which strangers act together."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.coordination.compiled import compiled
from models.coordination.entries import SECOND, Book, Codes, Entries, Floats, Ints
from models.coordination.lags import typical_lag

REACH_S = 8.0  # gaps between two accounts' entries that are read
FARTHEST_S = 5.0  # largest difference believed
DIFFERENCE_MIN_S = 0.05
NEIGHBOURS = 40  # about how many entries are read after each one, evenly over the reach: the nearest lie about 0
MEETINGS_MIN = 4  # of two accounts that may say something
MEETINGS_READ = 40
TOGETHER_S, TOGETHER_MIN = 2.0, 0.5  # share of their meetings within this of their middle: fewer met by chance
VOICES_MIN, VOICES_MAX = 12, 3_000  # pairs of accounts
BLUR_S = 0.08  # strangers differ by so much even when both are quick
GRID_S = np.arange(-FARTHEST_S, FARTHEST_S + 0.01, 0.02)
REDRAWS = 60
QUARTILES_APART = 1.349  # of a normal distribution, in standard deviations
ERROR_MIN_S = 0.01


@dataclass(frozen=True)
class Clocks:
    """By account id: the seconds by which its clock is ahead, how well they are known, and its platform as a code.

    `doubt_s` is a standard error; not a number where the platform could not be compared with others.
    """

    ahead_s: pd.Series
    doubt_s: pd.Series
    platform: pd.Series

    def doubt_between(self, one: NDArray[Any], other: NDArray[Any]) -> Floats:
        """How well (s) the difference between the clocks of two accounts is known: wholly on one platform."""
        apart = np.hypot(self.doubt_s.reindex(one).to_numpy(), self.doubt_s.reindex(other).to_numpy())
        same = self.platform.reindex(one).to_numpy() == self.platform.reindex(other).to_numpy()
        return np.where(same, 0.0, apart)


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


@compiled
def _voices(pairs: Ints, gaps_s: Floats, accounts: int, step_s: Floats) -> tuple[Codes, Codes, Floats, Floats]:
    """Per pair of accounts that met often enough: the two, their typical gap (s) and its standard error.

    `pairs` are sorted; the clocks of `step_s` bound each gap.
    """
    one, other = np.empty(len(pairs), dtype=np.int32), np.empty(len(pairs), dtype=np.int32)
    middle, error = np.empty(len(pairs)), np.empty(len(pairs))
    count = start = 0
    for k in range(1, len(pairs) + 1):
        if k < len(pairs) and pairs[k] == pairs[start]:
            continue
        if k - start >= MEETINGS_MIN:
            own = gaps_s[start:k]
            own = own[:: max(-(-len(own) // MEETINGS_READ), 1)]
            near = own[np.abs(own - np.median(own)) <= TOGETHER_S]
            if len(near) >= max(MEETINGS_MIN, TOGETHER_MIN * len(own)):
                a, b = pairs[start] // accounts, pairs[start] % accounts
                one[count], other[count] = a, b
                middle[count], error[count], _ = typical_lag(near, step_s[a], step_s[b])
                count += 1
        start = k
    return one[:count], other[:count], middle[:count], error[:count]


def _difference(one: Codes, other: Codes, middle: Floats, error: Floats) -> tuple[float, float]:
    """Where the voices of pairs of accounts are densest, and its standard error; 0 where that may be no difference.

    The quickest strangers act most alike, so the densest place is taken and not the middle. Accounts are drawn anew
    with repetition to see how far it depends on who is there; a difference is believed if it would be less likely by
    that alone, from clocks that agree, than from clocks that are off by anything up to the farthest.
    """
    width = np.sqrt(error**2 + BLUR_S**2)[:, None]
    said = np.exp(-0.5 * ((GRID_S - middle[:, None]) / width) ** 2) / width
    rng = np.random.default_rng(len(middle))
    weights = (
        rng.poisson(1.0, (REDRAWS, one.max() + 1))[:, one] * rng.poisson(1.0, (REDRAWS, other.max() + 1))[:, other]
    )
    drawn = GRID_S[np.argmax(weights.astype(np.float64) @ said, axis=1)]
    low, seconds, high = np.quantile(drawn, [0.25, 0.5, 0.75])
    doubt = max((high - low) / QUARTILES_APART, ERROR_MIN_S)
    by_chance = math.exp(-0.5 * (seconds / doubt) ** 2) / (doubt * math.sqrt(2.0 * math.pi))
    believed = by_chance < 0.5 / FARTHEST_S and abs(seconds) >= DIFFERENCE_MIN_S
    return (float(seconds), doubt) if believed else (0.0, math.hypot(seconds, doubt))


def _differences(book: Book, group: Codes, groups: int) -> tuple[Floats, Floats]:
    """Seconds by which each group's clock is ahead of the busiest group's, 0 where nothing stands out; their errors.

    Not a number where too few strangers of the two meet to say.
    """
    ahead, doubt = np.zeros(groups), np.zeros(groups)
    if groups < 2:
        return ahead, doubt
    pairs, lags = _meetings(book, group, int(REACH_S * SECOND))
    accounts = len(book.own_start)
    busiest = int(np.bincount(group[book.account], minlength=groups).argmax())
    lower, higher = group[pairs // accounts], group[pairs % accounts]
    for g in range(groups):
        chosen = np.flatnonzero((lower == min(g, busiest)) & (higher == max(g, busiest)))
        if g == busiest:
            continue
        chosen = chosen[np.argsort(pairs[chosen], kind="stable")]
        one, other, middle, error = _voices(pairs[chosen], lags[chosen] / SECOND, accounts, book.step_us / SECOND)
        kept = slice(None, None, max(-(-len(one) // VOICES_MAX), 1))
        if len(one) < VOICES_MIN:
            ahead[g] = doubt[g] = np.nan
            continue
        seconds, doubt[g] = _difference(one[kept], other[kept], middle[kept], error[kept])
        ahead[g] = seconds if g > busiest else -seconds
    return ahead, doubt


def clock_differences(entries: Entries, accounts: pd.DataFrame, log: list[str]) -> Clocks:
    """By how much each account's clock is ahead, and how well that is known; adds what was found to the log.

    `accounts` has account_id and platform. Strangers act together at public moments (bars, news, levels, robots of
    one family); on one platform they are as often first as last, so that the gaps of their meetings centre on 0, and
    between two platforms on the difference of their clocks. Every pair of accounts that met often has one voice, as
    sharp as its meetings say, so that followers, who are always late, do not pass for a clock. A difference is
    believed where it hardly depends on which accounts are there.
    """
    known = accounts.drop_duplicates("account_id").set_index("account_id")["platform"]
    names: NDArray[Any] = known.reindex(entries.accounts).astype(object).fillna("").to_numpy()
    group, platforms = pd.factorize(names, sort=True)
    ahead, doubt = _differences(entries.book, group.astype(np.int32), len(platforms))
    for platform, seconds, error in zip(platforms, ahead, doubt, strict=True):
        name = platform or "unnamed platforms"
        if np.isnan(seconds):
            log.append(
                f"the clocks of {name} could not be compared with others: too few strangers act at the same moments; "
                "lags to accounts there are as the platforms told them"
            )
        elif seconds:
            log.append(f"the clocks of {name} are {seconds:+.2f} s off (known to {error:.2f} s) and were corrected")
    of = entries.accounts
    return Clocks(
        ahead_s=pd.Series(np.nan_to_num(ahead)[group], index=of),
        doubt_s=pd.Series(doubt[group], index=of),
        platform=pd.Series(group, index=of),
    )
