"""Whether a few who act together lead by turns: then nobody is close behind whoever is first."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.stats import norm

from models.coordination.entries import SECOND, Book, Codes, Entries, Ints

MOST = 8  # accounts that may be a ring; of more a source is likelier
MATCHES_MIN = 10
ORDERED = 0.9  # share of matches in one order from which there is one leader
EXITS_NEAR = 0.3  # of matches, beyond chance: who acts as one leaves as one
ONE_LEADS = 0.8  # share of moments opened by one account, of either side, from which there are no turns
SPREADS = 3.0  # about the lags of a group that are still one moment
REACH_MOST_S = 60.0


def _asked(seen: pd.DataFrame) -> pd.DataFrame:
    """Pairs on one side without a constant order, few around, whose exits are near each other."""
    near = seen["exits_near"] - seen["near_by_chance"].fillna(0.0)
    few = (seen["others"] <= MOST - 2) & (seen["matched"] >= MATCHES_MIN)
    return seen[(seen["relation"] == 0) & few & (seen["same_order"] < ORDERED) & (near >= EXITS_NEAR)]


def _moments(book: Book, members: Codes, reach_us: int) -> tuple[Ints, Ints, Ints]:
    """Of each moment at which two or more of a group enter alike: who is first, its side, and the gap (us) behind."""
    at = np.concatenate([book.own[book.own_start[m] : book.own_start[m + 1]] for m in members])
    key = book.instrument[at].astype(np.int64) * 2 + book.side[at]
    order = np.lexsort((book.opened_us[at], key))
    at, key = at[order], key[order]
    when, who = book.opened_us[at], book.account[at]
    first, side, gap = [], [], []
    i = 0
    while i < len(at):
        j = i + 1
        second = -1
        while j < len(at) and key[j] == key[i] and when[j] - when[i] <= reach_us:
            if second < 0 and who[j] != who[i]:
                second = j
            j += 1
        if second >= 0:
            first.append(who[i])
            side.append(key[i] % 2)
            gap.append(when[second] - when[i])
        i = j
    return np.array(first), np.array(side), np.array(gap)


def _by_turns(first: Ints, side: Ints) -> bool:
    """Whether no account opens nearly all moments, nor nearly all of one side."""
    parts = [first[side == one] for one in (0, 1)]
    shares = [
        np.unique(part, return_counts=True)[1].max() / len(part) for part in parts if len(part) >= MATCHES_MIN / 2
    ]
    return bool(shares) and max(shares) < ONE_LEADS


def _silence(gap: Ints) -> float:
    """Log-probability of gaps behind the first that are so seldom short, were all told at once.

    Of independent delays with one hump the gap between the first two is the likelier the shorter it is (marginals of
    log-concave densities are log-concave, and this one falls from nought on), so that gaps below their median are on
    average no more than evenly spread up to it.
    """
    middle = float(np.median(gap))
    below = gap[gap < middle] / middle
    return float(norm.logsf((below.mean() - 0.5) * np.sqrt(12.0 * len(below)))) if len(below) else 0.0


def add_turns(entries: Entries, seen: pd.DataFrame) -> pd.DataFrame:
    """The pairs with `silence_log_p`: whether the group they are of leads by turns, 0 where that is not known."""
    asked = _asked(seen)
    log_p = pd.Series(0.0, index=seen.index)
    if len(asked):
        size = len(entries.accounts)
        graph = coo_array((np.ones(len(asked)), (asked["a"], asked["b"])), shape=(size, size))
        group = connected_components(graph, directed=False)[1][asked["a"]]
        for _, ties in asked.groupby(group):
            members = np.unique(ties[["a", "b"]].to_numpy(dtype=np.int64))
            if len(members) > MOST:
                continue
            reach_s = (ties["lag_s"].abs() + SPREADS * ties["lag_spread_s"]).median()
            first, side, gap = _moments(entries.book, members, int(min(reach_s, REACH_MOST_S) * SECOND))
            if len(gap) >= MATCHES_MIN and _by_turns(first, side):
                log_p[ties.index] = _silence(gap)
    return seen.assign(silence_log_p=log_p)
