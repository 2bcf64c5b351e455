"""Latency arbitrage: stale quotes taken for a moment, with hardly a loser."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from models.detectors.base import (
    Answers,
    Detector,
    Floats,
    duration,
    likelihood_ratio,
    log_steps,
    numbers,
    percent,
    positions_by,
    share_of,
    steps,
    thin,
)


@dataclass(frozen=True)
class Terms:
    """Seconds after entry at which the market is looked at again, up to which holding time (and for whom) a position is
    brief; positions needed to say anything in full; by how much a market that moved in favour at once outweighs that
    little was made of it, or that few were won."""

    version: str = "2026-12-03"
    markout_s: float = 5.0
    markout_hold_s_max: float = 30.0
    positions_enough: int = 15
    markout_over_exit: float = 0.85


def _by_exit(told: Floats, moved: Floats, terms: Terms) -> Floats:
    """What the exits say: little against, the more the market is known to have moved in favour at once (0 to 1)."""
    doubted = told * (1 - terms.markout_over_exit * np.clip(moved, 0.0, 1.0))
    return np.asarray(np.where(told < 0, doubted, told), dtype=np.float64)


def weigh(seen: pd.DataFrame, terms: Terms) -> pd.DataFrame:
    """Log-odds from holding times, wins, edge and gains of brief positions, and where the market was a moment after
    entry."""
    even = numbers(seen["hold_three_quarters_s"]) / np.maximum(numbers(seen["hold_quarter_s"]), 0.01)
    wins = likelihood_ratio(seen["brief_wins"], seen["brief_positions"], (12.0, 2.0), (6.0, 6.0))
    markout = np.where(
        numbers(seen["markouts"]) >= terms.positions_enough / 2,
        steps(seen["markout_spreads"], [-0.5, 0, 0.5, 1.5], [-2, -1, 1, 3]),
        0.0,
    )
    edge = steps(seen["brief_edge"], [0, 0.3, 0.8, 1.5], [-3, -1, 1, 2])
    reasons = {
        "brief": log_steps(seen["hold_s"], [0.5, 3, 8, 15, 30, 60], [3, 3, 2, 0, -3, -8]),
        "wins": _by_exit(wins, markout / 2, terms),
        "even_holds": log_steps(even, [1.3, 2, 4, 10], [1, 0.5, -0.5, -1.5]),
        "edge": _by_exit(edge, markout, terms),
        "markout": markout,
        # days filled with tiny positions are made for their number, not for what they make
        "little_made": log_steps(seen["brief_share_of_gains"], [0.01, 0.05, 0.15], [-3, -1, 0]),
    }
    weighed = {name: thin(values, seen["brief_positions"], terms.positions_enough) for name, values in reasons.items()}
    return pd.DataFrame({"prior": -4.7, **weighed}, index=seen.index)


def sentence(row: pd.Series, terms: Terms) -> str:
    """The finding in words."""
    after = ""
    if row["markouts"]:
        after = f" {terms.markout_s:.0f} s after entry the market stood {row['markout_spreads']:.1f} spreads in favour."
    won = percent(row["brief_wins"] / max(row["brief_positions"], 1))
    return (
        f"Half of {row['positions']:.0f} positions were held for {duration(row['hold_s'])} or less and "
        f"{won} of the brief ones won: quotes were taken that the market had already left.{after}"
    )


def ruled_out(row: pd.Series, terms: Terms) -> list[str]:
    """What was considered and why it does not explain the finding."""
    told = ["stops and targets of usual distance that were hit at once (left out)", "entries around news (left out)"]
    if share_of([row["brief_wins"]], [row["brief_positions"]])[0] > 0.75:
        told.append("a quick hand without an edge: it does not win that often")
    if not row["markouts"]:
        told.append("no quotes were delivered: the market after entry could not be looked at")
    return told


DETECTOR = Detector(
    name="latency_arbitrage",
    subject="account",
    relation="paces",
    terms=Terms(),
    answers=Answers(
        behaviour=(
            "Prices that lag behind another venue are hit before they move: positions live for moments and rarely lose."
        ),
        data=(
            "Holding times, share of wins, profit per position against its spread; mid prices after "
            "entry where quotes exist."
        ),
        assumes="The trader chooses the exit; what stops, targets and news decided is left out.",
        fails=(
            "With holding padded to minutes, or losers placed on purpose; an honest scalper on a feed "
            "that lags looks alike."
        ),
        respond="Compare fills with the feed's own gaps before anything is said; hold payouts until then.",
    ),
    weigh=weigh,
    sentence=sentence,
    ruled_out=ruled_out,
    rows=positions_by("hold_s, opened_at", "closed_at is not null"),
)
