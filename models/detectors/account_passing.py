"""Account passing: another hand in the evaluation than once funded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from models.detectors import manner
from models.detectors.base import Answers, Detector, Floats, Usual, duration, log_steps, numbers, percent, steps, thin

NO_PAIRS = pd.DataFrame(columns=["kind", "account_id", "instrument_overlap", "instruments"])


@dataclass(frozen=True)
class Terms:
    """Sign-ins and positions on either side that are needed to say anything in full; more sign-ins where one device did
    not simply replace another, which is a share of them; so many on either side at the same devices leave hardly room
    for another hand; what a manner that stayed may say against at most; and how many traders are enough to know how
    traders change by themselves."""

    version: str = "2026-12-05"
    sessions_enough: int = 2
    sessions_mixed: int = 8
    replaced_share: float = 0.6
    sessions_many: int = 40
    positions_enough: int = 8
    alike_at_most: float = -3.0
    pairs_enough: int = 1000


def usual(seen: pd.DataFrame) -> Usual:
    """How far the firm's traders change by themselves, and how far they differ from each other."""
    return manner.learn(seen, Terms.positions_enough / 2)


def _manner(seen: pd.DataFrame, positions: Floats, terms: Terms, among: Usual) -> pd.DataFrame:
    """Log-odds from what is traded, for how long, when, by whose finger, with which stops and how evenly; smaller sizes
    once funded are no reason.

    `changes_of_others` takes off what traders of the firm show without any funding.
    """
    apart = manner.apart(seen)
    known = (positions > 0) & (apart.known >= 1)
    weighed = pd.DataFrame(
        {
            name: thin(np.where(known, worth, 0.0), positions, terms.positions_enough)
            for name, worth in manner.log_odds(apart, among).items()
        },
        index=seen.index,
    )
    together = weighed.sum(axis=1).to_numpy(dtype=np.float64)
    # a robot that is handed over, or a service that goes on trading, leaves everything alike
    against = np.minimum(weighed, 0.0).sum(axis=1)
    weighed = weighed.where(
        weighed > 0, weighed.mul(np.minimum(1.0, terms.alike_at_most / against.clip(upper=-1e-9)), axis=0)
    )
    left = manner.at_most(together, among) - np.maximum(weighed.sum(axis=1).to_numpy(dtype=np.float64), 0.0)
    return weighed.assign(changes_of_others=np.minimum(left, 0.0))


def weigh(seen: pd.DataFrame, terms: Terms, among: Usual | None = None) -> pd.DataFrame:
    """Log-odds from devices and countries that change with the funding, the devices' other users, and the manner."""
    sessions = np.minimum(numbers(seen["sessions_before"]), numbers(seen["sessions_after"]))
    positions = np.minimum(numbers(seen["positions_before"]), numbers(seen["positions_after"]))
    # the buyer may have looked in before: what counts is whose device does the work. That it stayed says little where a
    # hired hand trades over the terminal's own connection, or on the machine of the buyer
    device = steps(seen["devices_changed"], [0, 0.3, 0.6, 1], [-1, -0.5, 0.5, 2.5])
    # where no device came or went, the more often these signed in on either side the surer it is who did
    same = (numbers(seen["devices_gone"]) == 0) & (numbers(seen["devices_new"]) == 0)
    device = np.where(same & (device < 0), -1.0 - 1.5 * np.minimum(sessions / terms.sessions_many, 1.0), device)
    # a mix of devices is known from more sign-ins than one device that replaces another
    replaced = np.minimum(numbers(seen["devices_gone"]), numbers(seen["devices_new"])) >= terms.replaced_share
    enough = np.where(replaced, terms.sessions_enough, terms.sessions_mixed)
    country = steps(seen["countries_changed"], [0, 0.5, 1], [-0.3, 0, 2.2])
    changed = np.where(device > 0, 1.0, 0.0)
    others = log_steps(seen["device_users_before"], [1, 2, 5], [0, 2, 3.5]) * changed
    # one machine that several give up, each with the own funding, is no home computer that was replaced
    also = steps(seen["also_given_up"], [0, 1, 2, 4], [0, 1.5, 2.7, 3.5]) * changed
    held = usual(NO_PAIRS) if among is None else among
    seen_both = np.where(sessions > 0, 1.0, 0.0)
    # where nobody's sign-ins are delivered, having none says nothing
    unseen = np.where((sessions > 0) | ~(sessions > 0).any(), 0.0, -1.0)
    return pd.DataFrame(
        {
            "prior": -4.0,
            "device": thin(device * seen_both, sessions, enough),
            "country": thin(country * changed * seen_both, sessions, terms.sessions_enough),
            "device_of_many": others * seen_both,
            "given_up_by_others": also * seen_both,
            "no_sign_ins": unseen,
            **_manner(seen, positions, terms, held),
        },
        index=seen.index,
    )


def sentence(row: pd.Series, terms: Terms) -> str:
    """The finding in words."""
    device = f"{percent(row['devices_changed'])} of the sign-ins moved to other devices with the funding"
    if pd.isna(row["sessions_before"]) or pd.isna(row["sessions_after"]):
        device = "No sign-ins are known on both sides of the funding"
    users = (
        f", one of them used by {row['device_users_before']:.0f} traders"
        if (row["device_users_before"] or 0) > 1
        else ""
    )
    if (row["also_given_up"] or 0) > 0:
        users += f" of whom {row['also_given_up']:.0f} others gave it up with their funding"
    manner = ""
    if pd.notna(row["log_hold_before"]) and pd.notna(row["log_hold_after"]):
        manner = (
            f"; usual holding {duration(float(np.exp(row['log_hold_before'])))} before, "
            f"{duration(float(np.exp(row['log_hold_after'])))} after, instruments in common "
            f"{percent(row['instrument_overlap'])}"
        )
    return device + users + manner + "."


def ruled_out(row: pd.Series, terms: Terms) -> list[str]:
    """What was considered and why it does not explain the finding."""
    return [
        "a smaller size once funded: sizes are not looked at",
        "travel: the own device travels with its owner",
        "a new machine alone: the manner of trading would stay",
        "a change of plan: what traders of the firm change without any funding is taken off",
    ]


DETECTOR = Detector(
    name="account_passing",
    subject="account",
    relation="account_passing",
    terms=Terms(),
    answers=Answers(
        behaviour="A hired hand trades the evaluation; the buyer takes over the funded account.",
        data=(
            "Devices and countries of sign-ins on either side of the funding (where delivered), who else uses them; "
            "instruments, holding, hours, robot, stops, how sizes vary, pace, beside what traders here change."
        ),
        assumes=(
            "Being funded changes a manner no more than going on or starting again does; sign-ins lie on the right "
            "side of it."
        ),
        fails=(
            "When the service lends its device to the buyer, when the buyer signs in as often as the service, with "
            "very few sign-ins or funded positions, where traders change their whole manner often."
        ),
        respond=(
            "Ask for the trader's plan and a session together before the first payout; look at the "
            "device's other users."
        ),
    ),
    weigh=weigh,
    sentence=sentence,
    ruled_out=ruled_out,
    usual=usual,
    usual_from="changes_of_manner",
    rows=(
        "select accounts.account_id as subject_id, rank() over (partition by accounts.account_id"
        " order by logins.occurred_at) as place, logins.occurred_at, logins.device_id, logins.country, logins.ip,"
        " logins.occurred_at >= accounts.opened_at as is_funded from facts.accounts as accounts"
        " inner join staging.logins as logins using (trader_id)"
        " where accounts.account_id in (select subject_id from reported)"
    ),
)
