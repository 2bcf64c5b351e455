"""KYC mismatch: papers of one country, hands in another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from models.detectors.base import Answers, Detector, beta_binomial, log_steps, numbers, percent


@dataclass(frozen=True)
class Terms:
    """From how many strangers on an address or device is shared; the share of honest people who live abroad or
    travel, and of those who have left the country of their papers for good, which bounds what days elsewhere say."""

    version: str = "2026-11-29"
    shared_by: int = 3
    wanderers: float = 0.1
    emigrants: float = 0.05


def weigh(seen: pd.DataFrame, terms: Terms) -> pd.DataFrame:
    """Log-odds from days at home and elsewhere, how long elsewhere lasted, the papers' state and who else uses them."""
    elsewhere = beta_binomial(seen["home_days"], seen["days"], (1.0, 20.0))
    settled = np.log1p(-terms.wanderers) + beta_binomial(seen["home_days"], seen["days"], (9.0, 1.0))
    wandering = np.log(terms.wanderers) + beta_binomial(seen["home_days"], seen["days"], (1.0, 1.0))
    others = numbers(seen["others"]) > 0
    away = np.clip(elsewhere - np.logaddexp(settled, wandering), -8, -np.log(terms.emigrants))
    lasting = log_steps(seen["away_span_days"], [5, 14, 40], [-2.5, 0.0, 1.5])
    refused = seen["kyc_status"].isin(["rejected", "expired"]).to_numpy()
    return pd.DataFrame(
        {
            "prior": -4.0,
            # who lends papers out may well sit at home
            "away": np.where(others, np.maximum(away, 0.0), away),
            "lasting": np.where(others, np.maximum(lasting, 0.0), lasting),
            "papers_refused": np.where(refused, 0.7, 0.0),
            "papers_of_others": np.where(others, 5.0, 0.0),
        },
        index=seen.index,
    )


def sentence(row: pd.Series, terms: Terms) -> str:
    """The finding in words."""
    if (row["others"] or 0) > 0 and row["days"] == row["home_days"]:
        return f"The papers were also handed in by {row['others']:.0f} traders of another birth date or country."
    return (
        f"Papers of {row['papers_country']}, but on {row['days'] - row['home_days']:.0f} of "
        f"{row['days']:.0f} days the sign-ins "
        f"came from elsewhere (mostly {row['other_country']}), over {row['away_span_days']:.0f} days."
    )


def ruled_out(row: pd.Series, terms: Terms) -> list[str]:
    """What was considered and why it does not explain the finding."""
    home = percent(row["home_days"] / max(row["days"], 1))
    return [
        f"travel: {home} of the days were at home",
        f"exits, machine images and services: addresses and devices of {terms.shared_by} and more traders are left out",
    ]


DETECTOR = Detector(
    name="kyc_mismatch",
    subject="trader",
    relation="kyc_mismatch",
    terms=Terms(),
    answers=Answers(
        behaviour="The papers belong to someone else or somewhere else: bought, lent or forged.",
        data=(
            "Country of the papers against the countries of sign-ins by day; the same document under "
            "other dates or countries."
        ),
        assumes="Countries of addresses are right; people sign in from home on most days.",
        fails="For those who moved without new papers, and for private tunnels that always end abroad.",
        respond="Ask for a fresh check with a live picture and proof of address before the next payout.",
    ),
    weigh=weigh,
    sentence=sentence,
    ruled_out=ruled_out,
    rows=(
        "select trader_id as subject_id, row_number() over (partition by trader_id order by occurred_at) as place,"
        " occurred_at, country, ip, device_id from staging.logins where trader_id in (select subject_id from reported)"
    ),
)
