"""Recurring breaches: bought, breached, bought again, in quick succession."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from models.detectors.base import Answers, Detector, log_steps, numbers, steps

RETURN = 1.2
"""Log-odds of each return within a day: the honest take about six days, one such return in a row says little."""


@dataclass(frozen=True)
class Terms:
    """Days after a breach up to which a return is at once, and from which it says no more."""

    version: str = "2026-12-04"
    soon_days: float = 1.0
    late_days: float = 10.0


def weigh(seen: pd.DataFrame, terms: Terms) -> pd.DataFrame:
    """Log-odds from breaches in a row, how soon each came and the next purchase, and what else explains them.

    Who buys several at once did not come back for each of them.
    """
    beside = numbers(seen["breaches"]) / numbers(seen["in_a_row"], 1.0)
    each_return = log_steps(seen["days_to_each_return"], [terms.soon_days, 3, terms.late_days], [RETURN, 0.0, -RETURN])
    back = np.clip(each_return * numbers(seen["returns"]), -1.5, 3.6)
    return pd.DataFrame(
        {
            "prior": -5.0,
            "in_a_row": steps(seen["in_a_row"], [2, 3, 4, 5, 6, 8, 11], [-3, -1, 2.7, 4.2, 5, 6, 7]),
            "soon_breached": log_steps(seen["days_to_breach"], [4, 10, 25], [1.0, 0.3, -1.0]),
            "soon_back": np.where(back > 0, back / beside**2, back),
            "side_by_side": steps(beside, [1.2, 1.6, 2.0], [0.0, -1.5, -4.0]),
            "in_a_ring": np.where(seen["is_in_ring"], -2.0, 0.0),
        },
        index=seen.index,
    )


def sentence(row: pd.Series, terms: Terms) -> str:
    """The finding in words."""
    return (
        f"{row['in_a_row']:.0f} challenges were breached one after the other within {row['span_days']:.0f} "
        "days, usually "
        f"{row['days_to_breach']:.1f} days after purchase; {row['returns']:.0f} times another one was bought, usually "
        f"{row['days_to_return']:.1f} days later."
    )


def ruled_out(row: pd.Series, terms: Terms) -> list[str]:
    """What was considered and why it does not explain the finding."""
    return [
        "challenges side by side: they count as one trial",
        "honest retries: they are fewer and take their time",
        "the losing side of a ring: coordination tells that better",
    ]


DETECTOR = Detector(
    name="recurring_breaches",
    subject="trader",
    relation="recurring_breaches",
    terms=Terms(),
    answers=Answers(
        behaviour="Challenge after challenge is breached within days and bought again at once.",
        data="Purchases and breaches of a trader in order, days between them.",
        assumes="Breaches are those of the walk; challenges side by side are one trial.",
        fails="For a patient trader with many small accounts; it says nothing about intent.",
        respond="Offer a pause or coaching; a duty of care more than an accusation.",
    ),
    weigh=weigh,
    sentence=sentence,
    ruled_out=ruled_out,
    rows=(
        "select trader_id as subject_id, rank() over (partition by trader_id order by purchased_at) as place,"
        " challenge_id, purchased_at, breached_at, positions, days from detectors.purchases"
        " where breached_at is not null and trader_id in (select subject_id from reported)"
    ),
)
