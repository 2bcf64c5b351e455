"""Payout gaming: days filled with nothing, winners split over the reset, the account burnt once it has paid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from models.detectors.base import (
    Answers,
    Detector,
    Floats,
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
    """What is a filler beside the account's real size, or beside its real chance when closed within `filler_s`; what
    are twins; how near a reset (seconds) two ends are a split; days needed to say anything in full."""

    version: str = "2026-11"
    filler_share: float = 0.1
    filler_s: float = 300.0
    twin_s: float = 60.0
    twin_ratio_min: float = 0.8
    near_s: float = 3600.0
    days_enough: int = 5
    burnt_within_days: float = 14.0


def _burnt(seen: pd.DataFrame, terms: Terms) -> Floats:
    """Log-odds of an account thrown away once it had paid: breached soon after, at sizes or stakes far above those
    before."""
    soon = steps(numbers(seen["breached_after_days"], 1e6), [5, terms.burnt_within_days, 45], [2.0, 1.0, -1.0])
    larger = log_steps(seen[["size_after", "stake_after"]].max(axis=1), [1, 1.5, 2.5, 4], [-1.0, 0.5, 2.5, 3.2])
    return np.where(np.isnan(numbers(seen["breached_after_days"], np.nan)), 0.0, soon + larger)


def _of_all(splits: Floats, seen: pd.DataFrame) -> Floats:
    """What splits count: who often closes in two steps does so over a reset now and then."""
    return steps(share_of(splits, seen["winners_in_two"]), [0.1, 0.35], [0.4, 1.0])


def weigh(seen: pd.DataFrame, terms: Terms) -> pd.DataFrame:
    """Log-odds of each way: days of fillers only, winners that end on either side of a reset, the account burnt.

    Each way suffices alone, so that one not taken says nothing against another.
    """
    fillers = steps(share_of(seen["filler_days"], seen["days"]), [0.1, 0.2, 0.4, 0.7], [0, 1.0, 3.7, 5.0])
    several = np.minimum(numbers(seen["filler_days"]) / 3, 1.0)
    meant = numbers(seen["near_splits"]) - 2 * numbers(seen["splits_by_chance"])
    beyond_chance = numbers(seen["splits"]) - numbers(seen["over_resets_by_chance"])
    splits = steps(seen["splits"], [0, 1, 2, 4], [0, 0.7, 2, 3.5]) * _of_all(beyond_chance, seen)
    near = steps(meant, [0, 1, 2, 3], [0, 2.0, 4.3, 5.5]) * _of_all(meant, seen)
    return pd.DataFrame(
        {
            "prior": -3.5,
            "filler_days": thin(fillers, seen["days"], terms.days_enough) * several,
            "split_winners": np.maximum(splits, near),
            "burnt_after_payout": np.maximum(_burnt(seen, terms), 0.0),
        },
        index=seen.index,
    )


def sentence(row: pd.Series, terms: Terms) -> str:
    """The finding in words."""
    parts = [
        f"{row['filler_days']:.0f} of {row['days']:.0f} trading days before the payout hold nothing but tiny positions"
    ]
    if row["splits"]:
        parts.append(
            f"{row['splits']:.0f} winners were closed in two parts on either side of a reset"
            f" ({row['near_splits']:.0f} of them within {terms.near_s / 60:.0f} min of it)"
        )
    if pd.notna(row["breached_after_days"]):
        after = row[["size_after", "stake_after"]].max()
        larger = f", at {after:.1f} times the largest size or stake before" if pd.notna(after) else ""
        parts.append(f"{row['breached_after_days']:.1f} days after the payout the account was breached{larger}")
    return "; ".join(parts) + "."


def ruled_out(row: pd.Series, terms: Terms) -> list[str]:
    """What was considered and why it does not explain the finding."""
    told = [
        "sizes of many instruments: they are compared in money",
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
        assumes="Half of all traded is in positions of the real size and above; a day belongs to its entries.",
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
