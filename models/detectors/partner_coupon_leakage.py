"""Coupon leakage: a partner's code has escaped to places where the partner brings nobody."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import gammainc

from models.detectors.base import Answers, Detector, likelihood_ratio, numbers, thin


@dataclass(frozen=True)
class Terms:
    """Days that count as recent and coupon sales that count as enough."""

    version: str = "2026-11"
    recent_days: int = 30
    enough: float = 10.0


def weigh(seen: pd.DataFrame, terms: Terms) -> pd.DataFrame:
    """Log-odds from a rise of coupon sales without clicks beyond chance, and from buyers of other countries."""
    bare = numbers(seen["bare_coupon"])
    expected = np.maximum(numbers(seen["usual"]), 1.0)
    surprise = -np.log10(np.maximum(gammainc(numbers(seen["recent"]), 2 * expected), 1e-12))
    abroad = likelihood_ratio(seen["elsewhere"], bare, (6, 2), (2, 6), 4.0)
    return pd.DataFrame(
        {
            "prior": -4.0,
            "risen": np.interp(surprise, [0, 2, 4, 8], [-1.0, 0.5, 2.5, 4.0]),
            "elsewhere": thin(abroad, bare, terms.enough),
        },
        index=seen.index,
    )


def sentence(row: pd.Series, terms: Terms) -> str:
    """The finding in words."""
    return (
        f"{row['recent']:.0f} coupon sales without a click in {terms.recent_days} days, {row['usual']:.1f} are usual;"
        f" {row['elsewhere']:.0f} of {row['bare_coupon']:.0f} from countries that the partner's own link never reached."
    )


def ruled_out(row: pd.Series, terms: Terms) -> list[str]:
    """What was considered and why it does not explain the finding."""
    return ["growth of up to twice the usual (expected)", "buyers who clicked and then typed the code (not counted)"]


DETECTOR = Detector(
    name="coupon_leakage",
    subject="partner",
    relation="coupon_leakage",
    terms=Terms(),
    answers=Answers(
        behaviour="A code is shared on coupon sites: sales come with it that the partner did not bring.",
        data="Coupon sales without a click, their number over time and the buyers' countries.",
        assumes="A partner's own audience clicks the link and lives where it always has.",
        fails="For partners who work by voice or on paper, whose audience never clicks.",
        respond="Replace the code; pay the listed rate for what came with the old one only after a look.",
    ),
    weigh=weigh,
    sentence=sentence,
    ruled_out=ruled_out,
    rows=(
        "select partner_id as subject_id,"
        " rank() over (partition by partner_id order by first_at desc) as place,"
        " trader_id, first_at, country, coupon_purchases from detectors.partner_buyers where coupon_purchases > 0"
        " and clicked_purchases = 0 and partner_id in (select subject_id from reported)"
    ),
)
