"""Recycled buyers: the same people bought before through another partner."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from models.detectors.base import Answers, Detector, likelihood_ratio, numbers, thin


@dataclass(frozen=True)
class Terms:
    """Buyers that count as enough, and how common changing partners is among honest buyers (Beta)."""

    version: str = "2026-11"
    enough: float = 5.0
    usual_hits: float = 0.5
    usual_misses: float = 9.5


def weigh(seen: pd.DataFrame, terms: Terms) -> pd.DataFrame:
    """Log-odds of so many buyers who were another partner's before."""
    buyers = numbers(seen["buyers"])
    ratio = likelihood_ratio(seen["recycled"], buyers, (6, 3), (terms.usual_hits, terms.usual_misses), 8.0)
    return pd.DataFrame({"prior": -3.0, "recycled": thin(ratio, buyers, terms.enough)}, index=seen.index)


def sentence(row: pd.Series, terms: Terms) -> str:
    """The finding in words."""
    return f"{row['recycled']:.0f} of {row['buyers']:.0f} buyers had been credited to another partner before."


def ruled_out(row: pd.Series, terms: Terms) -> list[str]:
    """What was considered and why it does not explain the finding."""
    return [
        "several records of one person (owners are counted, not traders)",
        "the partner who was first (not counted)",
    ]


DETECTOR = Detector(
    name="recycled_buyers",
    subject="partner",
    relation="recycled_buyers",
    terms=Terms(),
    answers=Answers(
        behaviour="One circle of buyers is passed from partner to partner, each paid for bringing them anew.",
        data="The partner first credited with each owner, and those after.",
        assumes="Few honest buyers come back through another partner's link.",
        fails="For large comparison sites, whose visitors have seen other partners first.",
        respond="Pay for a first purchase only once per owner; look whether the partners are one.",
    ),
    weigh=weigh,
    sentence=sentence,
    ruled_out=ruled_out,
    rows=(
        "select partner_id as subject_id,"
        " rank() over (partition by partner_id order by first_at) as place, trader_id,"
        " owner_id, first_at, purchases from detectors.partner_buyers"
        " where is_recycled and partner_id in (select subject_id from reported)"
    ),
)
