"""Payout gaming: days filled with nothing, winners split over the reset, the account burnt once it has paid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from models.detectors.base import Answers, Detector, log_steps, numbers, percent, positions_by, share_of, steps, thin


@dataclass(frozen=True)
class Terms:
    """What is a filler beside the account's large positions, what are twins, and days needed to say anything
    in full."""

    version: str = "2026-11"
    filler_share: float = 0.1
    twin_s: float = 60.0
    twin_ratio_min: float = 0.8
    days_enough: int = 5
    burnt_within_days: float = 14.0


def weigh(seen: pd.DataFrame, terms: Terms) -> pd.DataFrame:
    """Log-odds from days of fillers only, twins that end on either side of a reset, and the account's end after
    payout."""
    soon = steps(numbers(seen["breached_after_days"], 1e6), [3, terms.burnt_within_days, 45], [1.5, 0.7, 0.0])
    larger = log_steps(seen["size_after"], [1, 2, 4], [-0.3, 0.7, 1.2])
    fillers = steps(share_of(seen["filler_days"], seen["days"]), [0.05, 0.2, 0.4, 0.7], [-2, 0, 2.5, 4.5])
    few = np.where(numbers(seen["filler_days"]) < 2, -1.0, 0.0)
    return pd.DataFrame(
        {
            "prior": -3.5,
            "filler_days": thin(fillers, seen["days"], terms.days_enough) + few,
            "split_winners": steps(seen["splits"], [0, 1, 2, 4], [0, 0.7, 2, 3.5]),
            "burnt_after_payout": soon,
            "larger_after_payout": np.where(np.isnan(numbers(seen["size_after"], np.nan)), 0.0, larger),
        },
        index=seen.index,
    )


def sentence(row: pd.Series, terms: Terms) -> str:
    """The finding in words."""
    parts = [
        f"{row['filler_days']:.0f} of {row['days']:.0f} trading days before the payout hold nothing but tiny positions"
    ]
    if row["splits"]:
        parts.append(f"{row['splits']:.0f} twin positions were closed on either side of a reset")
    if pd.notna(row["breached_after_days"]):
        parts.append(f"{row['breached_after_days']:.1f} days after the payout the account was breached")
    return "; ".join(parts) + "."


def ruled_out(row: pd.Series, terms: Terms) -> list[str]:
    """What was considered and why it does not explain the finding."""
    told = [
        "partial closes: a position counts once",
        "an early payout request by itself: many honest traders are impatient",
    ]
    if row["filler_days"] / max(row["days"], 1) >= 0.2:
        told.append(f"trying out a market: it does not fill {percent(row['filler_days'] / row['days'])} of the days")
    return told


DETECTOR = Detector(
    name="payout_gaming",
    subject="account",
    relation="payout_gaming",
    terms=Terms(),
    answers=Answers(
        behaviour=(
            "Conditions of a payout are met in form only: filler trades make days, a winner is cut in "
            "two days, then all is risked."
        ),
        data=(
            "Sizes beside the account's own large ones, days that hold only small ones, twins around "
            "resets, what followed the payout."
        ),
        assumes="Real positions are those near the account's largest; a day belongs to its entries.",
        fails=(
            "For traders whose sizes truly span two orders of magnitude, and where the days are filled "
            "with real but flat trades."
        ),
        respond="Count the days without the fillers and join the twins before the payout is judged.",
    ),
    weigh=weigh,
    sentence=sentence,
    ruled_out=ruled_out,
    rows=positions_by("opened_at, trade_id"),
)
