"""Challenge farming: many evaluations at once, each staked at once, so that one passes by luck."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from models.detectors import recurring_breaches
from models.detectors.base import (
    Answers,
    Detector,
    Floats,
    likelihood_ratio,
    log_steps,
    numbers,
    share_of,
    steps,
    strength,
)

GAMBLED, LOOKED_AFTER = (3.0, 3.0), (2.0, 8.0)
"""Which share of many evaluations is lost by gamblers, and by who means to pass, as Beta distributions."""


@dataclass(frozen=True)
class Terms:
    """The span in which purchases are counted; days with trades within which an evaluation is burnt at once; hours
    within which the next one is bought at once; the share of evaluations that must be lost for their quick end to count
    in full."""

    version: str = "2026-12-04"
    busy_days: int = 30
    burnt_days: float = 5.0
    again_h: int = 24
    burnt_share: float = 0.4


def _in_a_row(seen: pd.DataFrame) -> Floats:
    """How likely the breaches are those of someone who loses one evaluation and buys the next, again and again."""
    names = ("breaches", "days_to_breach", "returns", "days_to_each_return", "is_in_ring")
    row = seen[["in_a_row"]].assign(**{name: seen[f"row_{name}"] for name in names}).fillna({"breaches": 1})
    return strength(recurring_breaches.weigh(row, recurring_breaches.DETECTOR.terms))


def weigh(seen: pd.DataFrame, terms: Terms) -> pd.DataFrame:
    """Log-odds from evaluations side by side, purchases in the busiest span, how soon and how often they burnt, how
    often the next was bought at once, the stake, and recurring breaches as the other reading."""
    burnt = log_steps(seen["days_to_breach"], [3, 6, 12, 25], [1.5, 1.0, 0, -1.5], missing=-1.0)
    of_all = np.minimum(share_of(seen["breached"], seen["traded"]) / terms.burnt_share, 1.0)
    burnt_at_once = numbers(seen["days_to_breach"], 99.0) <= terms.burnt_days
    gambled = np.clip((numbers(seen["stake_share"]) - 0.2) / 0.2, 0.0, 1.0)
    by_several_losses = steps(seen["stake_share"], [0.45, 0.55], [1.0, 0.0])
    return pd.DataFrame(
        {
            "prior": -4.5,
            "side_by_side": steps(seen["side_by_side"], [1, 2, 3, 5, 8], [-3, -0.5, 1.5, 3, 4.5]),
            "busiest": log_steps(seen["busiest"], [2, 4, 5, 6, 12], [-2, 0.2, 1.2, 1.8, 3]),
            "burnt": np.where(burnt > 0, burnt * of_all, burnt),
            # many at once of which few are ever lost are looked after; what was never traded tells nothing
            "survived": np.minimum(likelihood_ratio(seen["breached"], seen["traded"], GAMBLED, LOOKED_AFTER), 0.0),
            # soon burnt, and again and again
            "burnt_often": np.where(
                burnt_at_once,
                log_steps(seen["breached"], [2, 4, 6, 10], [0, 1.0, 1.8, 2.5]),
                0.0,
            ),
            # staked high, burnt, and bought again the same day: rolled, one after the other
            "again_at_once": np.where(
                burnt_at_once, gambled * log_steps(seen["again_at_once"], [2, 4, 8], [0, 1.0, 2.0]), 0.0
            ),
            "stake": steps(seen["stake_share"], [0.1, 0.2, 0.4, 0.6, 0.8], [-3.0, -2.0, 0.3, 1.6, 2.6], missing=-0.5),
            # lost by several ideas each, one after the other, and bought again: breached again and again
            "in_a_row": -3.0 * by_several_losses * _in_a_row(seen),
        },
        index=seen.index,
    )


def sentence(row: pd.Series, terms: Terms) -> str:
    """The finding in words."""
    stake = (
        f", usually at {100 * row['stake_share']:.0f} % of the allowance on one idea"
        if pd.notna(row["stake_share"])
        else ""
    )
    of_owner = f" of one owner's {row['records']:.0f} records" if row["records"] > 1 else ""
    return (
        f"{row['challenges']:.0f} challenges{of_owner}, up to {row['side_by_side']:.0f} side by side and "
        f"{row['busiest']:.0f} within "
        f"{terms.busy_days} days; {row['breached']:.0f} breached{stake}; {row['again_at_once']:.0f} times the next was "
        f"bought within {terms.again_h} hours."
    )


def ruled_out(row: pd.Series, terms: Terms) -> list[str]:
    """What was considered and why it does not explain the finding."""
    in_a_row = int(numbers([row["in_a_row"]])[0])
    in_turn = f"{in_a_row} of {row['breached']:.0f} breaches" if in_a_row else "no breach"
    return [
        "honest retries: they come one after the other, days apart, at ordinary stakes",
        "several accounts traded with ordinary stakes",
        f"breaching again and again: {in_turn} came one after the other, which explains them where each took several"
        " losses",
    ]


DETECTOR = Detector(
    name="challenge_farming",
    subject="trader",
    relation="challenge_farming",
    terms=Terms(),
    answers=Answers(
        behaviour=(
            "Evaluations are bought in bulk and gambled away side by side; the one that passes by luck "
            "pays for the rest."
        ),
        data=(
            "Purchases and ends of the challenges of a trader and of his other records, how many overlap, "
            "trading days until the breach, usual stakes."
        ),
        assumes="One owner buys them: records count together where identity holds them as one's.",
        fails=(
            "For those who spread purchases over records that nothing ties, and for traders who honestly run many "
            "accounts at high risk."
        ),
        respond="Cap concurrent evaluations per owner; review the passed one for the style that passed it.",
    ),
    weigh=weigh,
    sentence=sentence,
    ruled_out=ruled_out,
    rows=(
        "select own.trader_id as subject_id, rank() over (partition by own.trader_id order by purchased_at) as place,"
        " challenge_id, theirs.trader_id, purchased_at, breached_at, positions, days from detectors.bought as theirs"
        " inner join (select distinct trader_id, owner from detectors.bought) as own using (owner)"
        " where own.trader_id in (select subject_id from reported)"
    ),
)
