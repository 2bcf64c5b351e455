"""Chargeback abuse: the fee is disputed once the account is lost or has paid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from models.detectors.base import Answers, Detector, numbers, steps


@dataclass(frozen=True)
class Terms:
    """Within how many days after a breach a dispute is taken as its answer."""

    version: str = "2026-12-05"
    answer_days: float = 12.0


def weigh(seen: pd.DataFrame, terms: Terms) -> pd.DataFrame:
    """Log-odds from disputes that answer a breach, disputes after a payout, their number and that of instruments,
    and others whose payments by the same instrument were disputed."""
    answers = numbers(seen["soon_after_breach"])
    # each way suffices alone: whose every card is disputed need not have lost the account
    unanswered = steps(seen["instruments"], [1, 3], [-1.5, 0.0])
    return pd.DataFrame(
        {
            "prior": -2.0,
            "answers_a_breach": np.where(
                answers < 1, unanswered + (2.3 - unanswered) * answers, steps(answers, [1, 2, 3], [2.3, 4.0, 5.0])
            ),
            "after_payout": steps(seen["after_payout"], [0, 1, 2], [0, 4.2, 5.5]),
            "repeated": steps(seen["disputes"], [1, 2, 3], [0, 1.2, 2.0]),
            "instruments": steps(seen["instruments"], [1, 2, 3], [0, 0.8, 2.5]),
            "one_instrument_of_several": steps(seen["others_on_instrument"], [0, 1, 2], [0, 4.2, 5.5]),
        },
        index=seen.index,
    )


def sentence(row: pd.Series, terms: Terms) -> str:
    """The finding in words."""
    return (
        f"{row['disputes']:.0f} of {row['purchases']:.0f} purchases were disputed, "
        f"{row['soon_after_breach']:.0f} of them within "
        f"{terms.answer_days:.0f} days after the account was breached, {row['after_payout']:.0f} after a "
        f"payout had been received; {row['instruments']:.0f} "
        f"{'instrument was' if row['instruments'] == 1 else 'instruments were'} used"
        + (
            f", also disputed by {row['others_on_instrument']:.0f} other "
            f"{'trader' if row['others_on_instrument'] == 1 else 'traders'}."
            if row["others_on_instrument"] > 0
            else "."
        )
    )


def ruled_out(row: pd.Series, terms: Terms) -> list[str]:
    """What was considered and why it does not explain the finding."""
    return [
        "refunds given by the firm (not counted)",
        "a dispute while the account could still be traded (not counted as an answer)",
        "a fee that was taken twice and disputed once: it stays paid (not counted)",
    ]


DETECTOR = Detector(
    name="chargeback_abuse",
    subject="trader",
    relation="chargeback_abuse",
    terms=Terms(),
    answers=Answers(
        behaviour=(
            "The account is used up or has paid, then the bank is told that the purchase never was; or "
            "several buy with one stolen card."
        ),
        data=(
            "Disputed payments, the challenges they paid for, when those were breached and when payouts arrived, and "
            "others whose payments by the same instrument were disputed."
        ),
        assumes=(
            "A dispute soon after a breach answers the breach; one that names no challenge means the latest purchase."
        ),
        fails="For a stolen card whose owner disputes late by chance, and for banks that report weeks afterwards.",
        respond="Freeze payouts of everyone on the instrument, send the bank the account's trading record.",
    ),
    weigh=weigh,
    sentence=sentence,
    ruled_out=ruled_out,
    rows=(
        "select trader_id as subject_id, rank() over (partition by trader_id order by occurred_at) "
        "as place, payment_id,"
        " challenge_id, occurred_at, amount, currency, instrument, breached_at, round(days_after_breach, "
        "2) as days_after_breach"
        " from detectors.disputed_payments where trader_id in (select subject_id from reported)"
    ),
)
