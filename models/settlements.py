"""Transfers put with the requests they pay: one to one, by the assignment that fits best as a whole.

Two records that may belong together are compared by amount, days between them and text. How much each comparison
tells is learned from the records themselves: the log ratio of how often matched and other candidates show it (Fellegi
and Sunter, 1969), from a first pass of plain weights on. Of all pairs that speak for themselves the assignment with
the largest sum is taken (Jonker and Volgenant, 1987), within each group of records that compete with each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rapidfuzz.fuzz import ratio
from rapidfuzz.process import cpdist
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import connected_components, min_weight_full_bipartite_matching

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

AMOUNT_STEPS = (0.0, 1e-9, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.045, 0.065, 0.09, 0.15)
DAY_STEPS = (-0.01, 0.5, 1.5, 2.5, 3.5, 4.5, 6.5, 9.5, 13.5, 20.5, 31.0)
TEXT_STEPS = (0.3, 0.45, 0.6, 0.7, 0.8, 0.9, 0.9999)
FURTHEST_DAYS = 31
FURTHEST_SHARE = 0.15
ROUNDS = 4
SUGGESTED = 3
DAYS_BEFORE = 1
COMPARED_MOST = 400
"""Of the transfers that share an amount or a name with a request so many are compared, the first to come."""
BLOCK_DAYS = 1_000_000
"""Further apart than any two records of one block."""


@dataclass(frozen=True)
class Matching:
    """Pairs (left, right, score), and for each leftover its likeliest partners (side, id, other, score)."""

    pairs: pd.DataFrame
    left_over: list[Any]
    right_over: list[Any]
    suggestions: pd.DataFrame


@dataclass(frozen=True)
class _Candidates:
    """Pairs of places that may belong together, and how each comparison came out (bin numbers)."""

    left: Ints
    right: Ints
    bins: list[Ints]


def match(left: pd.DataFrame, right: pd.DataFrame) -> Matching:
    """Puts records of two sides together, each at most once.

    Both frames: id, at (datetime), amount (number), text (or null), currency, known (the other side's id when a
    record names it, else null; on the right only). A record that names its partner is put with it when amounts
    allow it and nobody else is. A right record may come up to 31 days after the left, amounts may differ by 15 %.
    """
    left, right = left.reset_index(drop=True), right.reset_index(drop=True)
    found = _candidates(left, right)
    scores = _scores(found, len(left), len(right))
    named = _named(found, left, right)
    total = scores + np.where(named, 20.0, 0.0)
    chosen = _assign(found, total, len(left), len(right))
    pairs = pd.DataFrame(
        {
            "left": left["id"].to_numpy()[found.left[chosen]],
            "right": right["id"].to_numpy()[found.right[chosen]],
            "score": total[chosen],
        }
    )
    left_over = np.setdiff1d(np.arange(len(left)), found.left[chosen])
    right_over = np.setdiff1d(np.arange(len(right)), found.right[chosen])
    return Matching(
        pairs,
        left["id"].to_numpy()[left_over].tolist(),
        right["id"].to_numpy()[right_over].tolist(),
        _suggestions(found, total, left, right, left_over, right_over),
    )


def _key(text: pd.Series[Any]) -> pd.Series[Any]:
    """The beginning of a text by which records are looked up: its first two words."""
    words = text.fillna("").str.upper().str.replace(r"[^\w]+", " ", regex=True).str.strip().str.split()
    return words.map(lambda held: " ".join(held[:2]))


def _candidates(left: pd.DataFrame, right: pd.DataFrame) -> _Candidates:
    """Pairs that share an amount, the beginning of their text or a named partner, close in time and amount."""
    sides = []
    for frame in (left, right):
        days = pd.to_datetime(frame["at"], utc=True).astype("datetime64[us, UTC]").astype("int64") / 86_400_000_000
        sides.append(
            pd.DataFrame(
                {
                    "place": np.arange(len(frame)),
                    "day": days,
                    "amount": frame["amount"].astype("float64"),
                    "cents": (frame["amount"].astype("float64") * 100).round(),
                    "start": _key(frame["text"]),
                    "currency": frame["currency"],
                }
            )
        )
    joined = [_near(sides[0], sides[1], key) for key in ("cents", "start")]
    named = right.assign(place=np.arange(len(right)), known=right["known"].astype(object))[["known", "place"]].dropna()
    by_name = (
        left.assign(place=np.arange(len(left)))[["id", "place"]]
        .astype({"id": object})
        .merge(named, left_on="id", right_on="known")
    )
    joined.append((by_name["place_x"].to_numpy(), by_name["place_y"].to_numpy()))
    pairs = np.unique(np.stack([np.concatenate(side) for side in zip(*joined, strict=True)]).astype(np.int64), axis=1)
    return _compared(sides[0], sides[1], left, right, pairs[0], pairs[1])


def _near(one: pd.DataFrame, two: pd.DataFrame, key: str) -> tuple[Ints, Ints]:
    """Pairs of one currency and key within the furthest days and shares of the amount; of many, the first to come."""
    codes = pd.concat([one, two]).groupby(["currency", key], dropna=False).ngroup().to_numpy()
    place = codes * BLOCK_DAYS
    base = min(one["day"].min(), two["day"].min()) if len(one) and len(two) else 0.0
    starts = place[: len(one)] + one["day"].to_numpy() - base
    order = np.argsort(comes := place[len(one) :] + two["day"].to_numpy() - base, kind="stable")
    first = np.searchsorted(comes[order], starts - DAYS_BEFORE, "left")
    last = np.minimum(np.searchsorted(comes[order], starts + FURTHEST_DAYS, "right"), first + COMPARED_MOST)
    counts = np.maximum(last - first, 0)
    a = np.repeat(np.arange(len(one)), counts)
    b = order[np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts - first, counts)]
    amounts = one["amount"].to_numpy()[a], two["amount"].to_numpy()[b]
    close = np.abs(amounts[0] - amounts[1]) <= FURTHEST_SHARE * np.maximum(np.abs(amounts[0]), 0.01)
    return a[close], b[close]


def _compared(
    one: pd.DataFrame, two: pd.DataFrame, left: pd.DataFrame, right: pd.DataFrame, a: Ints, b: Ints
) -> _Candidates:
    amounts = one["amount"].to_numpy()[a], two["amount"].to_numpy()[b]
    off = np.abs(amounts[0] - amounts[1]) / np.maximum(np.abs(amounts[0]), 0.01)
    days = two["day"].to_numpy()[b] - one["day"].to_numpy()[a]
    texts = [frame["text"].fillna("").str.upper().to_numpy()[places] for frame, places in ((left, a), (right, b))]
    alike = cpdist(texts[0], texts[1], scorer=ratio, dtype=np.float64) / 100 if len(a) else np.empty(0)
    unknown = (texts[0] == "") | (texts[1] == "")
    text_bin = np.where(unknown, 0, 1 + np.digitize(alike, TEXT_STEPS))
    bins = [np.digitize(off, AMOUNT_STEPS, right=True), np.digitize(days, DAY_STEPS), text_bin]
    return _Candidates(a, b, [one.astype(np.int64) for one in bins])


def _first_scores(found: _Candidates) -> Floats:
    """Plain weights to begin with: alike is good, a wider gap in amount and time is worse."""
    amount, day, text = found.bins
    plain: Floats = 8.0 - 1.2 * amount - 0.4 * day + 1.0 * text
    return plain


def _scores(found: _Candidates, lefts: int, rights: int) -> Floats:
    """Log odds of every candidate, learned in rounds from the assignment of the round before."""
    if not len(found.left):
        return np.empty(0)
    scores = _first_scores(found)
    for _ in range(ROUNDS):
        chosen = np.zeros(len(scores), bool)
        chosen[_best_of_both(found, scores, lefts, rights)] = True
        share = chosen.sum() / len(chosen)
        scores = np.full(len(scores), np.log(share / max(1 - share, 1e-9)))
        for held in found.bins:
            scores += _evidence(held, chosen)[held]
    return scores


def _evidence(held: Ints, chosen: NDArray[np.bool_]) -> Floats:
    """Per bin the log ratio of its frequency among matched and among other candidates."""
    size = int(held.max()) + 1
    matched = np.bincount(held[chosen], minlength=size) + 0.5
    others = np.bincount(held[~chosen], minlength=size) + 0.5
    evidence: Floats = np.log(matched / matched.sum()) - np.log(others / others.sum())
    return evidence


def _best_of_both(found: _Candidates, scores: Floats, lefts: int, rights: int) -> Ints:
    """Candidates that are the best of their left and of their right record."""
    best_left, best_right = np.full(lefts, -np.inf), np.full(rights, -np.inf)
    np.maximum.at(best_left, found.left, scores)
    np.maximum.at(best_right, found.right, scores)
    both = (scores >= best_left[found.left]) & (scores >= best_right[found.right])
    return np.flatnonzero(both)


def _named(found: _Candidates, left: pd.DataFrame, right: pd.DataFrame) -> NDArray[np.bool_]:
    ids, known = left["id"].to_numpy(dtype=object), right["known"].to_numpy(dtype=object)
    named: NDArray[np.bool_] = np.array(ids[found.left] == known[found.right], dtype=bool)
    return named


def _assign(found: _Candidates, scores: Floats, lefts: int, rights: int) -> Ints:
    """The places of the candidates chosen: within each group the assignment with the largest sum of log odds."""
    kept = np.flatnonzero(scores > 0)
    if not len(kept):
        return kept
    rows, columns = found.left[kept], found.right[kept] + lefts
    size = lefts + rights
    graph = coo_matrix((np.ones(len(kept)), (rows, columns)), shape=(size, size))
    _, group = connected_components(graph, directed=False)
    order = np.argsort(group[rows], kind="stable")
    bounds = np.flatnonzero(np.diff(group[rows[order]])) + 1
    chosen = [_assign_group(found, scores, kept[part]) for part in np.split(order, bounds)]
    return np.concatenate(chosen)


def _assign_group(found: _Candidates, scores: Floats, kept: Ints) -> Ints:
    if len(kept) == 1:
        return kept
    rows, row_of = np.unique(found.left[kept], return_inverse=True)
    columns, column_of = np.unique(found.right[kept], return_inverse=True)
    # a record on the left may stay alone, which gains nothing; every edge is one dearer, since zeros are no edges
    alone = np.arange(len(rows))
    gains = np.concatenate([scores[kept] + 1.0, np.ones(len(rows))])
    ends = np.concatenate([row_of, alone]), np.concatenate([column_of, len(columns) + alone])
    edges = csr_matrix((gains, ends), shape=(len(rows), len(columns) + len(rows)))
    taken_rows, taken_columns = min_weight_full_bipartite_matching(edges, maximize=True)
    place = dict(zip(zip(row_of.tolist(), column_of.tolist(), strict=True), kept.tolist(), strict=True))
    taken = zip(taken_rows.tolist(), taken_columns.tolist(), strict=True)
    return np.array([place[one] for one in taken if one in place], dtype=np.int64)


def _suggestions(
    found: _Candidates, scores: Floats, left: pd.DataFrame, right: pd.DataFrame, left_over: Ints, right_over: Ints
) -> pd.DataFrame:
    """For each leftover its likeliest partners, also those that went to others."""
    frame = pd.DataFrame({"a": found.left, "b": found.right, "score": scores})
    parts = []
    for side, mine, other, over, ids, others in (
        ("left", "a", "b", left_over, left["id"], right["id"]),
        ("right", "b", "a", right_over, right["id"], left["id"]),
    ):
        best = frame[frame[mine].isin(over)].sort_values("score", ascending=False).groupby(mine).head(SUGGESTED)
        named = {"side": side, "id": ids.to_numpy()[best[mine]], "other": others.to_numpy()[best[other]]}
        parts.append(pd.DataFrame(named | {"score": best["score"].to_numpy()}))
    return pd.concat(parts, ignore_index=True)


def precision_recall(pairs: pd.DataFrame, truth: Sequence[tuple[Any, Any]]) -> tuple[float, float]:
    """Share of the pairs that are true, and share of the truth that was found."""
    right = len(set(zip(pairs["left"], pairs["right"], strict=True)) & set(truth))
    return right / max(len(pairs), 1), right / max(len(truth), 1)


def sides(requests: pd.DataFrame, transfers: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Payout requests and provider transfers as the two sides of a matching; failed transfers pay nothing.

    Requests: payout_id, requested_at, amount, due (null: the amount counts), currency, destination. Transfers:
    settlement_id, payout_id, settled_at, amount, currency, destination, status.
    """
    went = transfers[transfers["status"] != "failed"]
    due = requests["due"].astype("float64").fillna(requests["amount"].astype("float64"))
    left = pd.DataFrame(
        {
            "id": requests["payout_id"],
            "at": requests["requested_at"],
            "amount": due,
            "text": requests["destination"],
            "currency": requests["currency"],
            "known": None,
        }
    )
    right = went.rename(columns={"settlement_id": "id", "settled_at": "at", "destination": "text"})
    right = right.assign(known=went["payout_id"], amount=went["amount"].astype("float64"))
    return left, right[list(left.columns)]
