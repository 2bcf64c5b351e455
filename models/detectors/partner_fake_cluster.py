"""Fake clusters: buyers made up for the commission, who come at once, never trade and take their money back."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from models.detectors.base import Answers, Detector, likelihood_ratio, numbers, peers, thin


@dataclass(frozen=True)
class Terms:
    """Days a buyer has to begin trading, seconds between sales that are a burst, buyers that count as enough."""

    version: str = "2026-11"
    settle_days: int = 14
    burst_s: int = 900
    enough: float = 6.0


def weigh(seen: pd.DataFrame, terms: Terms) -> pd.DataFrame:
    """Log-odds of each share of buyers under made-up ones against what is usual among the firm's partners."""
    buyers = numbers(seen["buyers"])

    def reason(name: str, guilty: tuple[float, float], usual: tuple[float, float]) -> pd.Series:
        ratio = likelihood_ratio(seen[name], buyers, guilty, peers(seen[name], buyers, usual), 4.0)
        return pd.Series(thin(ratio, buyers, terms.enough), index=seen.index)

    return pd.DataFrame(
        {
            "prior": -4.0,
            "without_trade": reason("without_trade", (6, 2), (0.5, 9.5)),
            "in_burst": reason("in_burst", (6, 3), (0.4, 9.6)),
            "on_shared_device": reason("on_shared_device", (5, 5), (0.3, 9.7)),
            "disputing": reason("disputing", (4, 6), (0.2, 9.8)),
        },
        index=seen.index,
    )


def sentence(row: pd.Series, terms: Terms) -> str:
    """The finding in words."""
    return (
        f"Of {row['buyers']:.0f} buyers {row['without_trade']:.0f} never traded, {row['in_burst']:.0f} bought within "
        f"{terms.burst_s / 60:.0f} minutes of another, {row['on_shared_device']:.0f} clicked on a device shared with"
        f" another buyer and {row['disputing']:.0f} disputed the fee."
    )


def ruled_out(row: pd.Series, terms: Terms) -> list[str]:
    """What was considered and why it does not explain the finding."""
    return [
        "a campaign that brings many buyers at once (bursts alone do not suffice)",
        f"buyers of the last {terms.settle_days} days who have not begun yet (not counted as idle)",
    ]


DETECTOR = Detector(
    name="fake_cluster",
    subject="partner",
    relation="fake_cluster",
    terms=Terms(),
    answers=Answers(
        behaviour="Purchases made for the commission: minutes apart, on few devices, never traded, later disputed.",
        data="Times of purchase, trades, click devices and disputes of the partner's buyers.",
        assumes="People who pay a fee mean to trade, and do not come in bursts on one device.",
        fails="For a partner whose audience watches one live stream, while it lasts.",
        respond="Hold the partner's commissions past the chargeback window; look at the buyers one by one.",
    ),
    weigh=weigh,
    sentence=sentence,
    ruled_out=ruled_out,
    rows=(
        "select partner_id as subject_id,"
        " rank() over (partition by partner_id order by first_at) as place, trader_id,"
        " first_at, trades, nearest_sale_s, shares_click_device, chargebacks from detectors.partner_buyers"
        " where partner_id in (select subject_id from reported)"
        " and (trades = 0 or shares_click_device or chargebacks > 0)"
    ),
)
