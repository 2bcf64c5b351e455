"""Payout gaming: days filled with nothing or won by just enough, winners split over the reset, one spike and silence,
the account burnt.

Each payout ends a cycle, and each cycle is judged beside all of them together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from models.detectors.base import (
    Answers,
    Detector,
    Floats,
    beta_binomial,
    likelihood_ratio,
    log_density,
    numbers,
    percent,
    positions_by,
    share_of,
    steps,
    thin,
)

MOVED_HONESTLY = 0.3
"""How far honest people's usual sizes move from one time to another, as a spread of logarithms."""
USUAL_SPREAD, USUAL_WEIGHT = 0.4, 3.0
THIN_TOLD = 3
"""Days that won just enough from which they are told."""
SMALL_DAYS = (0.2, 4.0)
"""Which share of honest people's days holds nothing but tiny positions, as a Beta distribution."""
JUST_ENOUGH, BY_CHANCE = (8.0, 1.5), (4.0, 8.0)
"""Which share of days that end near what a day must win has just enough, on purpose and by chance, as Beta
distributions: one of three ranges of one width, more or less where somebody's results are few sizes."""


@dataclass(frozen=True)
class Terms:
    """What is a filler beside the account's real size, or beside its real chance when closed within `filler_s`, and
    what a day of them wins and loses at most beside a real day; what are twins; how near a reset (seconds) two ends
    are a split; up to how many times what a day must win is just enough, and the log-odds that such days reach at most;
    days needed to say anything in full, and ideas beside which one is a spike; within how many days of a payout an
    account is burnt; how many times its usual size one who burns it or spikes trades, and how that varies among them
    (in logarithms); how often a winner split on purpose is the one that won most, and the log-odds that this reaches at
    most."""

    version: str = "2026-12-04"
    filler_share: float = 0.1
    filler_s: float = 300.0
    filler_moved: float = 0.2
    twin_s: float = 60.0
    twin_ratio_min: float = 0.2
    near_s: float = 3600.0
    thin_times: float = 1.2
    thin_at_most: float = 6.0
    days_enough: int = 5
    ideas_enough: int = 4
    burnt_within_days: float = 14.0
    burnt_times: float = 2.5
    spike_times: float = 5.0
    times_spread: float = 0.5
    split_largest: float = 0.6
    largest_at_most: float = 2.0


def _variance(varied: pd.Series[float], ideas: Floats) -> Floats:
    """Variance of the logarithms of an account's sizes, held near what is usual where few ideas tell it."""
    known = np.maximum(ideas - 1, 0.0)
    return np.asarray((USUAL_WEIGHT * USUAL_SPREAD**2 + known * numbers(varied)) / (USUAL_WEIGHT + known))


def _larger(of: str, seen: pd.DataFrame, terms: Terms) -> Floats:
    """Log-likelihood ratio of how far sizes or stakes moved after a payout: on purpose, or as they do by themselves."""
    before, after = numbers(seen[f"{of}s_before"]), numbers(seen[f"{of}s_after"])
    error = _variance(seen[f"{of}_varied"], before) * (1 / np.maximum(before, 1) + 1 / np.maximum(after, 1))
    meant, by = np.log(terms.burnt_times), numbers(seen[f"{of}_moved"], np.nan)
    burnt = log_density(np.minimum(by, meant), meant, np.sqrt(error + terms.times_spread**2))
    honest = log_density(by, 0.0, np.sqrt(error + MOVED_HONESTLY**2))
    return np.asarray(np.clip(burnt - honest, -1.5, 4.0), dtype=np.float64)


def _burnt(seen: pd.DataFrame, terms: Terms) -> Floats:
    """Log-odds of an account thrown away once it had paid: breached soon after, at sizes or stakes above those
    before."""
    within = terms.burnt_within_days
    soon = steps(numbers(seen["breached_after_days"], 1e6), [5, within, 1.5 * within, 45], [2.5, 1.5, 0.0, -1.0])
    # whichever is known, or the larger of both
    larger = np.nan_to_num(np.fmax(_larger("stake", seen, terms), _larger("size", seen, terms)), nan=0.0)
    return np.asarray(np.where(np.isnan(numbers(seen["breached_after_days"], np.nan)), 0.0, soon + larger))


def _spike(seen: pd.DataFrame, terms: Terms) -> Floats:
    """Log-odds of one idea far above the usual size that won the payout, with silence from then on."""
    others = numbers(seen["spike_others"])
    variance = _variance(seen["spike_varied"], others)
    meant, by = np.log(terms.spike_times), numbers(seen["spike"], np.nan)
    # the largest of as many, which varies less than any one of them
    honest_by = np.sqrt(variance * np.log(np.maximum(others + 1, 2)))
    honest_spread = np.sqrt(0.3 * variance + MOVED_HONESTLY**2 / 2)
    spiked = log_density(np.minimum(by, meant), meant, terms.times_spread)
    honest = log_density(np.maximum(by, honest_by), honest_by, honest_spread)
    size = np.nan_to_num(np.clip(spiked - honest, -4.0, 5.0), nan=-4.0)
    won = steps(seen["won_share"], [0.2, 0.35, 0.7], [-4.0, -1.0, 0.7], -4.0)
    # as many days of trading as were usual until then, or none
    expected, after = numbers(seen["spike_days_expected"]), numbers(seen["spike_days_after"])
    quiet = np.clip(0.9 * expected - after * np.log(10), -4.0, 1.5)
    return thin(size + won + quiet, others, terms.ideas_enough)


def _fillers(seen: pd.DataFrame, terms: Terms) -> Floats:
    """Log-odds of days of fillers: their share, and how unlike the account's other cycles it is."""
    share = steps(share_of(seen["filler_days"], seen["days"]), [0.1, 0.2, 0.4, 0.7], [0, 1.0, 3.7, 5.0])
    several = np.minimum(numbers(seen["filler_days"]) / 3, 1.0)
    a, b = SMALL_DAYS
    elsewhere = numbers(seen["other_filler_days"])
    known = (a + elsewhere, b + numbers(seen["other_days"]) - elsewhere)
    unlike = likelihood_ratio(seen["filler_days"], seen["days"], SMALL_DAYS, known)
    found = thin(share, seen["days"], terms.days_enough)
    beside = np.where(found > 0, np.clip(unlike, 0.0, 2.0), 0.0) + _at_the_end(seen)
    return np.asarray((found + beside) * several)


def _at_the_end(seen: pd.DataFrame) -> Floats:
    """Log-odds of cycles that end with days of fillers: what is missing is filled once the profit is made.

    By chance as many of the last days hold only small ones as the share of all other days, held near what is usual.
    """
    last = numbers(seen["end_filler_days"])
    a, b = SMALL_DAYS
    fillers = a + numbers(seen["filler_days"]) - last
    real = b + numbers(seen["days"]) - numbers(seen["filler_days"])
    by_chance = beta_binomial(last, last, (fillers, real))
    meant = steps(last, [1, 2, 3, 6], [0.0, 1.2, 2.5, 4.5])
    return np.asarray(np.clip(np.log(0.5) - by_chance, 0.0, meant))


def _thin_days(seen: pd.DataFrame, terms: Terms) -> Floats:
    """Log-odds of days that end once they count, beside as much less and more, and where nothing hangs on it.

    Who wins as much elsewhere has a goal of his own, who wins it on days that end otherwise has one target.
    """
    others = numbers(seen["other_thin_days"])
    a, b = BY_CHANCE
    known = (a + others, b + numbers(seen["other_near_days"]) - others)
    ended = likelihood_ratio(seen["thin_days"], seen["near_days"], JUST_ENOUGH, known, terms.thin_at_most)
    return np.asarray(np.maximum(ended, 0.0))


def _of_all(splits: Floats, seen: pd.DataFrame) -> Floats:
    """What splits count: who often closes in two steps does so over a reset now and then."""
    return steps(share_of(splits, seen["winners_in_two"]), [0.1, 0.35], [0.4, 1.0])


def _largest(seen: pd.DataFrame, terms: Terms) -> Floats:
    """Log-odds of the winner split at a reset having won most in its cycle, as few of as many winners do by chance.

    What is split to keep a best day small is the winner that would have made one.
    """
    largest, by_chance = numbers(seen["near_largest"]), numbers(seen["largest_by_chance"])
    ratio = terms.split_largest * largest / np.maximum(by_chance, 1e-3)
    return np.asarray(np.clip(np.log(np.maximum(ratio, 1.0)), 0.0, terms.largest_at_most), dtype=np.float64)


def _looks(seen: pd.DataFrame, found: Floats) -> Floats:
    """What is taken off where an account had several cycles, of which one may look alike by coincidence.

    Half of those who game payouts do it in every cycle, half in one, whichever that is.
    """
    cycles = numbers(seen["cycles"])
    whole = np.isnan(numbers(seen["cycle"], np.nan))
    taken = np.where(cycles > 1, np.log(np.where(whole, 2.0, 2.0 * cycles)), 0.0)
    return -np.minimum(taken, np.maximum(found, 0.0))


def weigh(seen: pd.DataFrame, terms: Terms) -> pd.DataFrame:
    """Log-odds of each way: days of fillers only, days that won just enough, winners that end on either side of a
    reset, a spike and silence, the account burnt.

    Each way suffices alone, so that one not taken says nothing against another.
    """
    meant = numbers(seen["near_splits"]) - 2 * numbers(seen["splits_by_chance"])
    beyond_chance = numbers(seen["splits"]) - numbers(seen["over_resets_by_chance"])
    splits = steps(seen["splits"], [0, 1, 2, 4], [0, 0.7, 2, 3.5]) * _of_all(beyond_chance, seen)
    largest = np.minimum(np.maximum(meant, 0.0), 1.0) * _largest(seen, terms)
    near = (steps(meant, [0, 1, 2, 3, 4], [0, 2.0, 4.3, 6.0, 7.0]) + largest) * _of_all(meant, seen)
    fillers = _fillers(seen, terms)
    in_cycle = pd.DataFrame(
        {
            "filler_days": fillers,
            # a day of fillers that won just enough is seen once
            "thin_days": np.maximum(_thin_days(seen, terms) - np.maximum(fillers, 0.0), 0.0),
            "split_winners": np.maximum(splits, near),
            # beside one large idea all others are small: that is seen once
            "spike_and_silence": np.maximum(_spike(seen, terms) - fillers, 0.0),
        },
        index=seen.index,
    )
    return in_cycle.assign(
        looks=_looks(seen, in_cycle.sum(axis=1).to_numpy(dtype=np.float64)),
        burnt_after_payout=np.maximum(_burnt(seen, terms), 0.0),
        prior=-3.5,
    )


def _where(row: pd.Series) -> str:
    """The cycle of a row in words."""
    if row["cycles"] == 1:
        return "before the payout"
    if pd.isna(row["cycle"]):
        return f"in all {row['cycles']:.0f} payout cycles"
    until = f", until {row['ends_at']:%Y-%m-%d}" if pd.notna(row["ends_at"]) else ""
    return f"in payout cycle {row['cycle'] + 1:.0f} of {row['cycles']:.0f}{until}"


def sentence(row: pd.Series, terms: Terms) -> str:
    """The finding in words."""
    parts = [
        f"{row['filler_days']:.0f} of {row['days']:.0f} trading days {_where(row)} hold nothing but tiny positions"
    ]
    if row["end_filler_days"] >= 2:
        parts[0] += f", {row['end_filler_days']:.0f} of them the last before a payout"
    if row["thin_days"] >= THIN_TOLD:
        parts.append(
            f"{row['thin_days']:.0f} of {row['counting_days']:.0f} days that count as profitable won at most"
            f" {percent(terms.thin_times - 1)} more than the {row['profitable_day']:,.2f} that a day must win"
        )
    if row["splits"]:
        parts.append(
            f"{row['splits']:.0f} winners were closed in two parts on either side of a reset"
            f" ({row['near_splits']:.0f} of them within {terms.near_s / 60:.0f} min of it"
            f"{', one the largest winner' if row['near_largest'] else ''})"
        )
    if row["spike"] > np.log(terms.spike_times / 2):
        parts.append(
            f"one idea of {np.exp(row['spike']):.1f} times the usual size made {percent(row['won_share'])} of what was "
            f"won, and {row['spike_days_after']:.0f} days of trading followed it"
        )
    if pd.notna(row["breached_after_days"]):
        after = float(np.exp(row[["size_moved", "stake_moved"]].astype(float).max()))
        told = f", at {after:.1f} times the usual size or stake before" if pd.notna(after) else ""
        parts.append(f"{row['breached_after_days']:.1f} days after the last payout the account was breached{told}")
    return "; ".join(parts) + "."


def ruled_out(row: pd.Series, terms: Terms) -> list[str]:
    """What was considered and why it does not explain the finding."""
    told = [
        "sizes of many instruments: they are compared in money",
        "an early payout request by itself: many honest traders are impatient",
    ]
    if row["cycles"] > 1:
        told.append(f"coincidence in one of {row['cycles']:.0f} cycles: it is taken off")
    if row["filler_days"] / max(row["days"], 1) >= 0.2:
        told.append(f"trying out a market: it does not fill {percent(row['filler_days'] / row['days'])} of the days")
    if row["thin_days"] >= THIN_TOLD:
        less_or_more, near = row["near_days"] - row["thin_days"], row["other_near_days"]
        told.append(
            f"results that fall there by chance: {less_or_more:.0f} days ended as near below or above; where it does"
            f" not count (other days' positions, other accounts) {row['other_thin_days']:.0f} of {near:.0f} fell there"
        )
    return told


DETECTOR = Detector(
    name="payout_gaming",
    subject="account",
    relation="payout_gaming",
    terms=Terms(),
    answers=Answers(
        behaviour=(
            "Conditions of a payout are met in form only: filler trades make days, days end once they count, "
            "a winner is cut in two days, one spike is followed by silence, then all is risked."
        ),
        data=(
            "By payout cycle: sizes beside the account's own large ones, days that hold only small ones, days that won "
            "just what a day must win beside those as near below and above, twins around "
            "resets, the idea that won most; what followed the last payout."
        ),
        assumes=(
            "Half of all traded in a cycle is in positions of the real size and above; a day belongs to its entries; "
            "a cycle counts once it was paid or a payout was asked for in it."
        ),
        fails=(
            "For traders whose sizes truly span two orders of magnitude, and where the days are filled "
            "with real but flat trades, or with tiny ones that win or lose much."
        ),
        respond="Count the days without the fillers and join the twins before the payout is judged.",
    ),
    weigh=weigh,
    sentence=sentence,
    ruled_out=ruled_out,
    rows=positions_by("opened_at < first_at or opened_at > last_at, opened_at, trade_id"),
)
