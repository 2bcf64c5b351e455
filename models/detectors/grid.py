"""Grid: layer upon layer against the market at even distances, closed as one."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from models.detectors.base import Answers, Detector, likelihood_ratio, log_steps, percent, share_of, steps, thin


@dataclass(frozen=True)
class Terms:
    """Layers that make a basket deep, how near its ends and how near the pieces of one order lie (seconds), and the
    steps needed to say anything in full."""

    version: str = "2026-11-30"
    layers_min: int = 4
    together_s: float = 60.0
    piece_s: float = 10.0
    steps_enough: int = 8


def weigh(seen: pd.DataFrame, terms: Terms) -> pd.DataFrame:
    """Log-odds from deep baskets, steps against the position, their evenness and the common end."""
    reasons = {
        "deep": steps(seen["deep_baskets"], [0, 1, 2, 4], [-3.5, 0, 1.5, 3]),
        "layers": log_steps(seen["layers_max"], [3, 5, 8], [-1, 0.3, 1.5]),
        "against": likelihood_ratio(seen["against"], seen["steps"], (18.0, 2.0), (4.0, 4.0)),
        "even": log_steps(seen["unevenness"], [0.1, 0.25, 0.5, 0.9], [2.0, 1.0, -1.0, -3.0], missing=-1.0),
        "closed_together": steps(seen["closed_together"], [0.2, 0.5, 0.9], [-1.5, 0, 1]),
    }
    weighed = {name: thin(values, seen["steps"], terms.steps_enough) for name, values in reasons.items()}
    return pd.DataFrame({"prior": -4.5, **weighed}, index=seen.index)


def sentence(row: pd.Series, terms: Terms) -> str:
    """The finding in words."""
    return (
        f"{row['deep_baskets']:.0f} times {terms.layers_min} or more layers (at most "
        f"{row['layers_max']:.0f}) were open in one "
        f"instrument; {percent(row['against'] / max(row['steps'], 1))} of {row['steps']:.0f} additions were "
        "made at a worse "
        f"price, and {percent(row['closed_together'])} of the baskets were closed at once."
    )


def ruled_out(row: pd.Series, terms: Terms) -> list[str]:
    """What was considered and why it does not explain the finding."""
    typical = 100 * row["unevenness"] if pd.notna(row["unevenness"]) else 0.0
    return [
        f"planned scaling: it has at most {terms.layers_min - 1} entries and is not always against the position",
        f"additions by mood: their distances differ from the usual one by {typical:.0f} % only",
        f"separate ideas: {percent(share_of([row['closed_together']], [1])[0])} of the baskets have one end",
    ]


DETECTOR = Detector(
    name="grid",
    subject="account",
    relation="grid",
    terms=Terms(),
    answers=Answers(
        behaviour=(
            "Orders lie at even distances; each one the market takes adds to a losing side until a small "
            "turn pays for all."
        ),
        data="Opening deals that are open together in one instrument and direction: prices, times and ends.",
        assumes=(
            "Layers of one basket overlap in time, on both sides where each adds against itself; a netted "
            "position's additions are layers too."
        ),
        fails=(
            "For grids of two or three layers, for those spaced by volatility, and when baskets of several robots mix."
        ),
        respond="Look at the open result of the largest basket; apply the product's rule on layers.",
    ),
    weigh=weigh,
    sentence=sentence,
    ruled_out=ruled_out,
    rows=(
        "select account_id as subject_id, rank() over (partition by account_id order by "
        "basket_layers desc, instrument,"
        " side, basket, opened_at) as place, entry, instrument, side, lots, opened_at, price, closed_at from ("
        " select *, count(*) over (partition by account_id, instrument, side, basket) as basket_layers "
        "from detectors.layers"
        " where account_id in (select subject_id from reported))"
    ),
)
