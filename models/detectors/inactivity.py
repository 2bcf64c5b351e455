"""Inactivity: an account that could be traded and is not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from models.detectors.base import Answers, Detector, numbers, positions_by


@dataclass(frozen=True)
class Terms:
    """Days of rest that count where the product names none; how long an unpaid payout request excuses waiting;
    accounts from which on a silent server is taken for trades not delivered; the share of accounts without any trade
    from which on trades are likelier missing than unmade."""

    version: str = "2026-11"
    days: int = 30
    waiting_days: int = 14
    feed_accounts: int = 10
    untraded_share: float = 0.4


def weigh(seen: pd.DataFrame, terms: Terms) -> pd.DataFrame:
    """Log-odds from the rest as a share of the days allowed: certain beyond them, rising towards them."""
    reached = seen["is_reached"].to_numpy(dtype=bool)
    near = 20 * (np.minimum(numbers(seen["rested_days"]) / numbers(seen["allowed_days"]), 1.0) - 1.0)
    return pd.DataFrame(
        {"rest": np.where(reached, 4.0, near - 0.5), "could_not": np.where(seen["is_excused"], -30.0, 0.0)},
        index=seen.index,
    )


def sentence(row: pd.Series, terms: Terms) -> str:
    """The finding in words."""
    since = "since it was opened" if row["never_traded"] else "since the last trade or payout"
    end = "until it was closed" if row["is_closed"] else "and it is still open"
    return f"No trade for {row['rested_days']:.0f} days {since} ({row['allowed_days']:.0f} are allowed), {end}."


def ruled_out(row: pd.Series, terms: Terms) -> list[str]:
    """What was considered and why it does not explain the finding."""
    return [
        "an open position",
        "a payout request that waits",
        "an account that was passed, breached or followed by the next one",
        "trades that were not delivered: the server's other accounts have later ones, the balance stands still",
    ]


DETECTOR = Detector(
    name="inactivity",
    subject="account",
    relation="inactivity",
    terms=Terms(),
    answers=Answers(
        behaviour="Nothing happens on an account that its owner paid for.",
        data="Opening, last trade and last payout of the account, the product's rule on inactivity.",
        assumes="Trades are delivered up to the newest of the account's server; beyond it nothing is known.",
        fails="When the trades of single accounts are missing and no balance is observed; when a small server is late.",
        respond="Warn before the account expires; a message often brings the trader back.",
    ),
    weigh=weigh,
    sentence=sentence,
    ruled_out=ruled_out,
    rows=positions_by("opened_at desc"),
)
