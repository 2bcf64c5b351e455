"""Families too large to be seen pair by pair: accounts of one robot whose common moments are crowds of their own."""

from __future__ import annotations

import numpy as np
import pandas as pd

from models.coordination.entries import SECOND, Entries, Ints, near_news
from models.coordination.terms import CoordinationTerms

MOMENTS_MIN = 8  # moments at which two must have been together
TOGETHER_MIN = 0.5  # share of the crowds of whoever joins fewer that they must have been together in
STEADY_S = 1.0  # median distance from their usual lag up to which they are machines, and not people of one habit


def crowd_families(
    entries: Entries, news: pd.DataFrame | None, terms: CoordinationTerms, shared_min: float
) -> pd.DataFrame:
    """Pairs of a family's members: columns a, b and strength, each member beside the one most often there.

    Chance does not tell them apart, as a crowd of thirty-five explains whoever is in it; but of a crowd of strangers
    other people come each time, and of a family nearly all come again, machines at one distance from each other.
    """
    book = entries.book
    side = book.side.astype(np.int64)
    inside = book.crowd[np.arange(len(side)), side] & ~near_news(book.opened_us, news, terms)
    rows = np.flatnonzero(inside)
    moment = _moments(book.instrument[rows].astype(np.int64) * 2 + side[rows], book.opened_us[rows], terms)
    met = pd.DataFrame({"moment": moment, "account": book.account[rows], "at_us": book.opened_us[rows]})
    met = met.sort_values("at_us", kind="stable").drop_duplicates(["moment", "account"])
    met["crowds"] = met.groupby("account")["moment"].transform("size")
    met = met[met["crowds"] >= MOMENTS_MIN].sort_values(["crowds", "account"], ascending=[False, True], kind="stable")
    if met.empty:
        return pd.DataFrame({"a": np.empty(0, np.int32), "b": np.empty(0, np.int32), "strength": np.empty(0)})
    first = met.drop_duplicates("moment").rename(columns=lambda name: f"first_{name}" if name != "moment" else name)
    beside = met.merge(first, on="moment")
    return _together(beside[beside["account"] != beside["first_account"]], shared_min)


def _moments(key: Ints, opened_us: Ints, terms: CoordinationTerms) -> Ints:
    """The number of the moment of each entry: runs of one market and side without a gap of a crowd's reach."""
    order = np.lexsort((opened_us, key))
    new = np.append(True, (np.diff(key[order]) != 0) | (np.diff(opened_us[order]) > terms.crowd_window_s * SECOND))
    moment = np.empty(len(key), dtype=np.int64)
    moment[order] = np.cumsum(new[: len(key)]) - 1
    return moment


def _together(beside: pd.DataFrame, shared_min: float) -> pd.DataFrame:
    """Of those beside the one most often at a moment, who was there often, steadily, and for a good part of both."""
    lag = (beside["at_us"] - beside["first_at_us"]) / SECOND
    pair = [beside["account"], beside["first_account"]]
    stray = (lag - lag.groupby(pair).transform("median")).abs()
    pairs = (
        beside.assign(stray=stray)
        .groupby(["account", "first_account"], as_index=False)
        .agg(
            together=("moment", "size"),
            stray=("stray", "median"),
            fewer=("crowds", "first"),
            more=("first_crowds", "first"),
        )
    )
    pairs = pairs[
        (pairs["together"] >= MOMENTS_MIN)
        & (pairs["together"] >= TOGETHER_MIN * pairs["fewer"])
        & (pairs["together"] >= shared_min * pairs["more"])
        & (pairs["stray"] <= STEADY_S)
    ]
    return pd.DataFrame(
        {"a": pairs["account"], "b": pairs["first_account"], "strength": pairs["together"] / pairs["fewer"]}
    )
