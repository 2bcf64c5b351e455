"""Sub-partner loops: a partner recruits themselves to earn the override too."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from models.detectors.base import Answers, Detector, steps


@dataclass(frozen=True)
class Terms:
    """How far up the tree is looked."""

    version: str = "2026-11"
    levels: int = 10


def weigh(seen: pd.DataFrame, terms: Terms) -> pd.DataFrame:
    """Log-odds from being one's own ancestor and from ancestors with the same payee or mailbox."""
    return pd.DataFrame(
        {
            "prior": -3.0,
            "own_ancestor": steps(seen["own_ancestor"], [0, 1], [0, 6.0]),
            "same_destination": steps(seen["same_destination"], [0, 1], [0, 5.5]),
            "same_mailbox": steps(seen["same_mailbox"], [0, 1], [0, 5.0]),
        },
        index=seen.index,
    )


def sentence(row: pd.Series, terms: Terms) -> str:
    """The finding in words."""
    told = [
        "is their own ancestor in the tree" if row["own_ancestor"] else "",
        "is paid to the same place as a partner above" if row["same_destination"] else "",
        "writes from the mailbox of a partner above" if row["same_mailbox"] else "",
    ]
    return f"This partner {' and '.join(words for words in told if words)}."


def ruled_out(row: pd.Series, terms: Terms) -> list[str]:
    """What was considered and why it does not explain the finding."""
    return ["partners who merely share a parent (only those above are compared)"]


DETECTOR = Detector(
    name="sub_partner_loop",
    subject="partner",
    relation="sub_partner_loop",
    terms=Terms(),
    answers=Answers(
        behaviour="One payee stands at two levels of the tree and earns the override on their own sales.",
        data="The tree, payout destinations and mailboxes of partners.",
        assumes="Different partners are paid to different places.",
        fails="For an agency that manages several partners and collects for all.",
        respond="Pay no override until the tree is corrected; ask who is behind both.",
    ),
    weigh=weigh,
    sentence=sentence,
    ruled_out=ruled_out,
    rows=(
        "select partner_id as subject_id, 1 as place, parent_partner_id, payout_destination, email, joined_at"
        " from staging.partners where partner_id in (select subject_id from reported)"
    ),
)
