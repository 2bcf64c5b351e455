"""Tick scalping: positions by the dozen, held for seconds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from models.detectors import latency_arbitrage
from models.detectors.base import (
    Answers,
    Detector,
    duration,
    log_steps,
    numbers,
    percent,
    positions_by,
    share_of,
    steps,
    strength,
    thin,
)


@dataclass(frozen=True)
class Terms:
    """What counts as short (seconds), and the positions needed to say anything in full."""

    version: str = "2026-11-30"
    short_s: float = 60.0
    positions_enough: int = 20


def weigh(seen: pd.DataFrame, terms: Terms) -> pd.DataFrame:
    """Log-odds from holding times, the share of short positions in number and in gains, their number a day, and
    arbitrage as the other reading."""
    a_day = numbers(seen["positions"]) / np.maximum(numbers(seen["days"]), 1)
    arbitrage = strength(latency_arbitrage.weigh(seen, latency_arbitrage.DETECTOR.terms))
    reasons = {
        "brief": log_steps(seen["hold_s"], [5, 15, 30, 45, 75, 150], [4.5, 4.5, 3, 0.5, -3, -7]),
        "short_share": steps(
            share_of(seen["short_positions"], seen["positions"]), [0.3, 0.5, 0.7, 0.9], [-4, -1, 0.5, 1.5]
        ),
        # whose quick positions are losses at a tight stop lives on the others
        "gains": numbers(seen["short_share_stopped"])
        * steps(seen["short_share_of_gains"], [0.1, 0.3, 0.5], [-4.0, -1.5, 0.0]),
        "a_day": log_steps(a_day, [2, 5, 10, 20], [-2, 0, 1, 1.5]),
        "arbitrage": steps(arbitrage, [0.2, 0.5, 0.8], [0.0, -4.0, -8.0]),
    }
    weighed = {name: thin(values, seen["positions"], terms.positions_enough) for name, values in reasons.items()}
    return pd.DataFrame({"prior": -4.0, **weighed}, index=seen.index)


def sentence(row: pd.Series, terms: Terms) -> str:
    """The finding in words."""
    gained = row["short_share_of_gains"]
    gains = "nothing was gained" if pd.isna(gained) else f"they made {percent(gained)} of all that was gained"
    return (
        f"{percent(row['short_positions'] / row['positions'])} of {row['positions']:.0f} positions were "
        "held for less than "
        f"{terms.short_s:.0f} s (half of them {duration(row['hold_s'])} or less), "
        f"{row['positions'] / max(row['days'], 1):.0f} a day; {gains}."
    )


def ruled_out(row: pd.Series, terms: Terms) -> list[str]:
    """What was considered and why it does not explain the finding."""
    return [
        "partial closes: a position counts once, until its last close",
        "stops and targets of usual distance that were hit at once (left out)",
        "entries around news (left out)",
        f"stale quotes: {percent(row['wins'] / row['positions'])} of the positions won",
    ]


DETECTOR = Detector(
    name="tick_scalping",
    subject="account",
    relation="paces",
    terms=Terms(),
    answers=Answers(
        behaviour="Positions are opened by the dozen and held for seconds, for a tick or two each.",
        data="Holding times by position, the share of short ones and of gains made in them, positions per trading day.",
        assumes="A position is what the platform calls one; short means under a minute unless the terms say otherwise.",
        fails="For a quick manual trader near the limit, and where latency decides the fill rather than the hand.",
        respond=(
            "Apply the product's rule on holding time where it has one; otherwise talk to the trader before a payout."
        ),
    ),
    weigh=weigh,
    sentence=sentence,
    ruled_out=ruled_out,
    rows=positions_by("hold_s, opened_at", "closed_at is not null"),
)
