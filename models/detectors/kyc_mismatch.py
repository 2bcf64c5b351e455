"""KYC mismatch: papers of one country, hands in another; papers or a payout destination that strangers share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from models.detectors.base import (
    Answers,
    Detector,
    Floats,
    Usual,
    beta_binomial,
    likelihood_ratio,
    log_steps,
    numbers,
    percent,
    share_of,
    steps,
    thin,
    two_digits,
)

KNOWN_DAYS = 5
"""Days with sign-ins from which on it is known where somebody lives."""


@dataclass(frozen=True)
class Terms:
    """From how many strangers on an address or device is shared; the share of honest people who travel, and of those
    who never were in the country of their papers; the share of a firm's people up to which a life abroad is rare there,
    and how many people must tell it; within how many seconds two countries are too near in time for travel, which share
    of a machine's sign-ins makes it one of a single country, and days of two countries at once needed to count in
    full; within how many days the next sign-in shows a turn to another country's machine, and how many such turns count
    in full; from how many people on a payout destination is one that a service keeps for many; and how many papers of
    others one owner holds who is nobody's relative."""

    version: str = "2026-12-05"
    shared_by: int = 3
    wanderers: float = 0.1
    emigrants: float = 0.01
    rare_up_to: float = 0.1
    rare_told_by: float = 20.0
    apart_s: float = 3600.0
    of_one_place: float = 0.8
    conflicts_enough: int = 4
    turn_days: int = 3
    turns_enough: int = 8
    custodial_from: int = 20
    papers_enough: int = 2


def _lives_abroad(seen: pd.DataFrame) -> np.ndarray:
    """Who was (nearly) never in the country of the papers."""
    days = numbers(seen["days"])
    return np.asarray((days >= KNOWN_DAYS) & (numbers(seen["home_days"]) <= 0.1 * days))


def usual(seen: pd.DataFrame) -> Usual:
    """How many of the firm's people live abroad, and of how many that is known."""
    known = int((numbers(seen["days"]) >= KNOWN_DAYS).sum())
    return {"abroad": [two_digits(float(_lives_abroad(seen).sum())), two_digits(float(known))]}


def _emigrants(seen: pd.DataFrame, terms: Terms, among: Usual) -> Floats:
    """The share of honest people who live abroad: few anywhere, more where more of the firm do than is rare."""
    abroad, known = among["abroad"]
    others = np.maximum(abroad - _lives_abroad(seen), 0.0) / (np.maximum(known - 1, 0) + terms.rare_told_by)
    return np.asarray(terms.emigrants + np.clip(others - terms.rare_up_to, 0.0, 0.1))


def _away(seen: pd.DataFrame, terms: Terms, among: Usual) -> tuple[Floats, Floats]:
    """Log-odds of days elsewhere, bounded by how many live abroad, and of how long they lasted.

    Who was at home first and then left once has moved.
    """
    elsewhere = beta_binomial(seen["home_days"], seen["days"], (1.0, 20.0))
    settled = np.log1p(-terms.wanderers) + beta_binomial(seen["home_days"], seen["days"], (9.0, 1.0))
    wandering = np.log(terms.wanderers) + beta_binomial(seen["home_days"], seen["days"], (1.0, 1.0))
    away = np.clip(elsewhere - np.logaddexp(settled, wandering), -8, -np.log(_emigrants(seen, terms, among)))
    has_returned = seen["has_returned"].fillna(False).to_numpy(dtype=bool)
    moved = np.where(has_returned, 0.0, steps(seen["home_days"], [1, 7], [0.0, 1.0]))
    lasting = log_steps(seen["away_span_days"], [5, 14, 40], [-2.5, -0.5, 0.0])
    return np.where(away > 0, away * (1 - moved), away), lasting


def weigh(seen: pd.DataFrame, terms: Terms, among: Usual | None = None) -> pd.DataFrame:
    """Log-odds from days at home and elsewhere, how long elsewhere lasted, two countries at once, the papers' state,
    and who else uses the papers or is paid to the same destination."""
    away, lasting = _away(seen, terms, usual(seen) if among is None else among)
    conflicts = numbers(seen["conflict_days"])
    at_once = likelihood_ratio(conflicts, np.maximum(numbers(seen["days"]), conflicts), (1.0, 3.0), (0.2, 20.0))
    # nobody crosses a border every other day, and leaves a machine on either side
    turned = steps(share_of(seen["turns"], seen["steps"]), [0.25, 0.45, 0.7], [0.0, 4.5, 6.0])
    others, strangers = numbers(seen["others"]) > 0, numbers(seen["strangers"]) > 0
    few = log_steps(seen["destination_users"], [5, terms.custodial_from], [1.0, 0.0])
    # two of one household may look like one owner, three of several countries do not
    owned = (numbers(seen["owned_papers"]) >= terms.papers_enough) & (numbers(seen["owned_countries"]) > 0)
    # who lends papers out, or sits beside a second hand, may well be at home
    by_itself = others | strangers | owned | (conflicts > 0) | (turned > 0)
    refused = seen["kyc_status"].isin(["rejected", "expired"]).to_numpy()
    return pd.DataFrame(
        {
            "prior": -4.0,
            "away": np.where(by_itself, np.maximum(away, 0.0), away),
            "lasting": np.where(by_itself, 0.0, lasting),
            "two_countries_at_once": thin(np.maximum(at_once, 0.0), conflicts, terms.conflicts_enough),
            "countries_by_turns": thin(turned, seen["turns"], terms.turns_enough),
            "papers_refused": np.where(refused, 0.7, 0.0),
            "papers_of_others": np.where(others, 5.0, 0.0),
            "paid_with_strangers": np.where(strangers, 5.0 * few, 0.0),
            "papers_of_one_owner": np.where(owned, 5.0, 0.0),
        },
        index=seen.index,
    )


def sentence(row: pd.Series, terms: Terms) -> str:
    """The finding in words."""
    found = []
    if (row["others"] or 0) > 0:
        found.append(f"The papers were also handed in by {row['others']:.0f} traders of another birth date or country.")
    if (row["strangers"] or 0) > 0:
        found.append(
            f"Payouts go to a destination of {row['strangers']:.0f} other people of other names, birth dates and homes."
        )
    if row["owned_papers"] >= terms.papers_enough and row["owned_countries"] > 0:
        found.append(
            f"The same owner holds papers of {row['owned_papers']:.0f} others, of other names and birth dates, from "
            f"{row['owned_countries']:.0f} other {'country' if row['owned_countries'] == 1 else 'countries'}."
        )
    if row["conflict_days"] > 0:
        found.append(
            f"On {row['conflict_days']:.0f} of {row['days']:.0f} days there were sign-ins from two countries within "
            f"{terms.apart_s / 60:.0f} minutes, at a machine of its own in each."
        )
    if row["turns"] >= terms.turns_enough / 2:
        found.append(
            f"{row['turns']:.0f} times in {row['steps']:.0f} the next sign-in, within {terms.turn_days} days, came from"
            " another country, at a machine of its own."
        )
    if not found or (row["days"] > 0 and row["home_days"] <= 0.5 * row["days"]):
        found.append(
            f"Papers of {row['papers_country']}, but on {row['days'] - row['home_days']:.0f} of "
            f"{row['days']:.0f} days the sign-ins "
            f"came from elsewhere (mostly {row['other_country']}), over {row['away_span_days']:.0f} days."
        )
    return " ".join(found)


def ruled_out(row: pd.Series, terms: Terms) -> list[str]:
    """What was considered and why it does not explain the finding."""
    home = percent(row["home_days"] / max(row["days"], 1))
    told = [
        f"travel: {home} of the days were at home",
        f"exits, machine images and services: addresses and devices of {terms.shared_by} and more traders are left out",
    ]
    if row["conflict_days"] > 0:
        told.append("a private exit or roaming: a machine that is seen in both countries is left out, a robot's too")
    if row["owned_papers"] >= terms.papers_enough and row["owned_countries"] > 0:
        told.append("a couple or family on one machine: these are three and more, and not of one country")
    if (row["strangers"] or 0) > 0:
        told.append("a family: none shares a surname or address, nor in one country a card, device or connection")
        told.append(f"an exchange: {row['destination_users']:.0f} people use the destination")
    return told


DETECTOR = Detector(
    name="kyc_mismatch",
    subject="trader",
    relation="kyc_mismatch",
    terms=Terms(),
    answers=Answers(
        behaviour="The papers belong to someone else or somewhere else: bought, lent or forged.",
        data=(
            "Country of the papers against the countries of sign-ins by day, and two countries at once; the same "
            "document under other dates or countries; payout destinations that strangers share; papers of several "
            "people and countries with one owner."
        ),
        assumes=(
            "Countries of addresses are right; people sign in from home on most days; a household shares a surname, "
            "an address, or in one country a card, device or connection."
        ),
        fails=(
            "For emigrants, whose life abroad nothing tells from bought papers; for a telephone "
            "that roams beside a computer that never was at home; for relatives of other names who live apart and "
            "share a wallet."
        ),
        respond=(
            "Ask for a fresh check with a live picture and proof of address, and of who owns the destination, before "
            "the next payout."
        ),
    ),
    weigh=weigh,
    sentence=sentence,
    ruled_out=ruled_out,
    usual=usual,
    usual_of=("days", "home_days"),
    rows=(
        "select subject_id, rank() over (partition by subject_id order by destination is null, is_single,"
        " occurred_at) as place, occurred_at, country, ip, device_id, account_id, destination from ("
        "select trader_id as subject_id, occurred_at, country, ip, device_id, account_id, null as destination,"
        " min(country) over days = max(country) over days as is_single from staging.logins"
        " where trader_id in (select subject_id from reported)"
        " window days as (partition by trader_id, cast(occurred_at as date))"
        " union all select paid.trader_id, payouts.requested_at, null, null, null, payouts.account_id, destination,"
        " null from detectors.shared_destinations as paid inner join staging.payouts as payouts using (destination))"
    ),
)
