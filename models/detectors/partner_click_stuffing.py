"""Click stuffing: clicks that nobody made, to be credited with buyers who would have come anyway."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from models.detectors.base import Answers, Detector, likelihood_ratio, numbers, peers, thin


@dataclass(frozen=True)
class Terms:
    """Seconds from click to purchase that no person needs, clicks and sales that count as enough."""

    version: str = "2026-11"
    instant_s: int = 60
    clicks_enough: float = 100.0
    sales_enough: float = 5.0


def weigh(seen: pd.DataFrame, terms: Terms) -> pd.DataFrame:
    """Log-odds from sales right after the click, clicks of the same visitor, and clicks without sales.

    Visitors who click once tell nothing: what is fired in the browsers of many people comes from each of them once.
    """
    clicks, clicked = numbers(seen["clicks"]), numbers(seen["clicked"])
    instant = likelihood_ratio(seen["instant"], clicked, (6, 3), peers(seen["instant"], clicked, (0.3, 9.7)), 5.0)
    again = likelihood_ratio(seen["repeated"], clicks, (7, 3), peers(seen["repeated"], clicks, (1, 9), 20), 3.0)
    idle = likelihood_ratio(clicks - clicked, clicks, (995, 5), peers(clicks - clicked, clicks, (6, 4), 20), 2.0)
    return pd.DataFrame(
        {
            "prior": -4.5,
            "instant": thin(instant, clicked, terms.sales_enough),
            "repeated": np.maximum(thin(again, clicks, terms.clicks_enough), 0),
            "idle": thin(idle, clicks, terms.clicks_enough),
        },
        index=seen.index,
    )


def sentence(row: pd.Series, terms: Terms) -> str:
    """The finding in words."""
    return (
        f"{row['clicks']:.0f} clicks of {row['visitors']:.0f} visitors brought {row['clicked']:.0f} buyers,"
        f" {row['instant']:.0f} of whom bought within {terms.instant_s} seconds of the click."
    )


def ruled_out(row: pd.Series, terms: Terms) -> list[str]:
    """What was considered and why it does not explain the finding."""
    return ["a large audience that does not buy (clicks without sales alone do not suffice)"]


DETECTOR = Detector(
    name="click_stuffing",
    subject="partner",
    relation="click_stuffing",
    terms=Terms(),
    answers=Answers(
        behaviour="Clicks are fired in the background or bought on the firm's own name, just before a purchase.",
        data="Clicks by visitor, and the time from click to purchase.",
        assumes="A person needs more than a minute from the first visit to the purchase.",
        fails="For buyers who come back by the same link when they have already made up their minds.",
        respond="Ask for the page that links; pay by first touch, not by the last click.",
    ),
    weigh=weigh,
    sentence=sentence,
    ruled_out=ruled_out,
    rows=(
        "select partner_id as subject_id,"
        " rank() over (partition by partner_id order by click_to_purchase_s) as place,"
        " trader_id, first_at, click_to_purchase_s, click_device from detectors.partner_buyers"
        " where clicked_purchases > 0 and partner_id in (select subject_id from reported)"
    ),
)
