"""Self-referral: a partner is credited with their own purchases."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from models.detectors.base import Answers, Detector, Floats, numbers, steps


@dataclass(frozen=True)
class Terms:
    """The log-odds of a partner before anything is known; how many times as common as in the firm a partner's name is
    among the buyers, who are mostly of one country, and the log-odds that a name makes at most."""

    version: str = "2026-11-30"
    prior: float = -3.5
    of_one_country: float = 5.0
    name_at_most: float = 4.5


def _same_name(seen: pd.DataFrame, terms: Terms) -> Floats:
    """Log-odds of a buyer of the partner's name: how unlikely one of so many buyers bears it by chance."""
    share = terms.of_one_country * numbers(seen["namesakes"], 1.0) / np.maximum(numbers(seen["traders"]), 1.0)
    by_chance = np.clip(share * numbers(seen["buyers"], 1.0), 1e-9, 1.0)
    return np.where(numbers(seen["same_name"]) > 0, np.minimum(-np.log(by_chance), terms.name_at_most), 0.0)


def weigh(seen: pd.DataFrame, terms: Terms) -> pd.DataFrame:
    """Log-odds from where money goes, who writes, who is one owner with the partner, and rare names in common."""
    return pd.DataFrame(
        {
            "prior": terms.prior,
            "same_destination": steps(seen["same_destination"], [0, 1, 2], [0, 6.0, 7.0]),
            "same_instrument": steps(seen["same_instrument"], [0, 1, 2], [0, 6.0, 7.0]),
            "same_mailbox": steps(seen["same_mailbox"], [0, 1, 2], [0, 5.0, 6.0]),
            "own_cluster": steps(seen["own_cluster"], [0, 1, 2], [0, 4.5, 5.5]),
            "one_owner": steps(seen["one_owner"], [1, 2, 3, 5], [0, 1.5, 3.5, 5.0]),
            "same_name": _same_name(seen, terms),
            "shared_click_device": steps(seen["shared_click_device"], [0, 2, 5], [0, 0.8, 1.5]),
        },
        index=seen.index,
    )


def sentence(row: pd.Series, terms: Terms) -> str:
    """The finding in words."""
    ties = {
        "paid to the partner's own destination": row["same_destination"],
        "bought with the partner's own instrument": row["same_instrument"],
        "writing from the partner's mailbox": row["same_mailbox"],
        "of one owner with the partner": row["own_cluster"],
        "of the partner's name": row["same_name"],
        "records of a single owner": row["one_owner"],
        "clicking from a device that another of them clicked from": row["shared_click_device"],
    }
    told = ", ".join(f"{count:.0f} {words}" for words, count in ties.items() if count)
    return f"Of {row['buyers']:.0f} buyers credited to this partner: {told}."


def ruled_out(row: pd.Series, terms: Terms) -> list[str]:
    """What was considered and why it does not explain the finding."""
    return [
        "a common mail provider (only the whole mailbox counts)",
        "a common name (what counts is how many in the firm bear it, and how many buyers there are)",
        "the buyer's own device at click and log-in (every referred buyer has that)",
    ]


DETECTOR = Detector(
    name="self_referral",
    subject="partner",
    relation="self_referral",
    terms=Terms(),
    answers=Answers(
        behaviour="A partner buys through their own link, or has people of their own household of accounts do so.",
        data="Payout destinations, payment instruments, mailboxes and owner clusters of partner and buyers.",
        assumes="A payout destination, an instrument and a mailbox belong to one person.",
        fails="For a partner who receives payouts for others, such as an agency or an employer.",
        respond="Hold the commissions on these buyers; ask the partner; close the link when it repeats.",
    ),
    weigh=weigh,
    sentence=sentence,
    ruled_out=ruled_out,
    rows=(
        "select partner_id as subject_id,"
        " rank() over (partition by partner_id order by first_at) as place, trader_id,"
        " purchases, first_at, same_destination, same_instrument, same_mailbox, in_own_cluster, same_name"
        " from detectors.partner_buyers where partner_id in (select subject_id from reported)"
        " and (same_destination or same_instrument or same_mailbox or in_own_cluster or same_name)"
    ),
)
