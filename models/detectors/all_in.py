"""All-in: the whole allowance on one idea."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from models.detectors.base import (
    Answers,
    Detector,
    Floats,
    Usual,
    log_density,
    log_steps,
    numbers,
    percent,
    steps,
    two_digits,
)

USUAL_STAKE, USUAL_SPREAD = math.log(0.008), 0.65
SIZE_SPREAD = 0.9
USUAL_WEIGHT = 30.0
OWN_SPREAD, OWN_WEIGHT = 0.4, 3.0
"""How stakes of one account vary, as a spread of logarithms, and how many ideas of its own that counts for."""


@dataclass(frozen=True)
class Terms:
    """Entries so close are one idea (seconds), in several instruments too where they are held together; the share of
    the allowance gamblers stake, and how it varies between them; the part of a gain that is taken for the stake where
    no stop is told; ideas after which an end came at once; the log-odds that so few ideas without a stop reach at
    most; the share of the allowance up to which a stake is little, and how many times as large a size may be to be
    alike; how many gamblers lose within so few ideas; from how many other ideas on one is compared with them."""

    version: str = "2026-12-05"
    merge_s: float = 120.0
    gambler_share: float = 0.85
    gambler_spread: float = 0.25
    of_gain: float = 0.6
    ideas_few: int = 3
    untold_at_most: float = 0.8
    little_share: float = 0.33
    as_large: float = 1.5
    gamblers_lose: float = 0.7
    others_enough: int = 5


def _middle(values: Floats, traders: pd.Series[str]) -> tuple[float, float, float]:
    """Middle and spread of a quantity among traders, and how far their number makes them known.

    Each trader counts once, however many accounts were burnt.
    """
    by_trader = pd.Series(values).groupby(traders.to_numpy()).median().dropna().to_numpy()
    if len(by_trader) == 0:
        return 0.0, 0.0, 0.0
    middle = float(np.median(by_trader))
    spread = 1.4826 * float(np.median(np.abs(by_trader - middle)))
    return middle, spread, len(by_trader) / (len(by_trader) + USUAL_WEIGHT)


def usual(seen: pd.DataFrame) -> Usual:
    """Middle and spread of the firm's traders' stakes and sizes (logarithms of shares of the balance).

    Stakes stay near what is usual anywhere, so that a firm full of gamblers does not make gambling usual; sizes come
    with how far they are known.
    """
    seen = seen[~_is_once(seen)]
    planned = numbers(seen["planned"]) > 0
    middle, spread, weight = _middle(numbers(seen["log_planned"])[planned], seen.loc[planned, "trader_id"])
    middle = min(weight * middle + (1 - weight) * USUAL_STAKE, USUAL_STAKE + 0.7)
    spread = float(np.clip(weight * spread + (1 - weight) * USUAL_SPREAD, 0.5, 0.68))
    size, apart, known = _middle(numbers(seen["log_size"], math.nan), seen["trader_id"])
    apart = max(known * apart + (1 - known) * SIZE_SPREAD, 2 / 3 * SIZE_SPREAD)
    return {
        "stake": [round(middle, 2), round(spread, 2)],
        "size": [round(size, 2), round(apart, 2), two_digits(known)],
    }


def _is_once(seen: pd.DataFrame) -> np.ndarray:
    """Which rows are of one idea beside the account's others."""
    return np.asarray(numbers(seen["others"]) > 0)


def _ideas(seen: pd.DataFrame) -> Floats:
    """How many ideas there were: by what was staked on each where stakes are told, or else simply counted."""
    return np.where(numbers(seen["planned"]) > 0, numbers(seen["ideas_weighed"]), numbers(seen["ideas"]))


def _size(seen: pd.DataFrame, among: Usual) -> Floats:
    """Log-odds of the usual size where no stop is told, beside the sizes of everyone else in the firm.

    A size is what as many lots usually win or lose, as a share of the balance.
    """
    middle, spread, known = among["size"]
    beside = steps((numbers(seen["log_size"], math.nan) - middle) / spread, [1.5, 2.5, 3.5], [0.0, 0.8, 2.0])
    return np.asarray(np.where(numbers(seen["planned"]) > 0, 0.0, known * beside), dtype=np.float64)


def _stake(seen: pd.DataFrame, terms: Terms, among: Usual) -> Floats:
    """Log-likelihood ratio of the usual stake: near the allowance, beside the stakes of everyone else in the firm."""
    planned = numbers(seen["planned"])
    stake = np.where(planned > 0, numbers(seen["log_planned"]), numbers(seen["log_stake"]))
    middle, spread = among["stake"]
    ideas = np.maximum(np.where(planned > 0, planned, numbers(seen["ideas"])), 1)
    allowance = np.log(np.maximum(numbers(seen["allowance"], math.nan), 1e-6))
    apart = stake - allowance - math.log(terms.gambler_share)
    # a loss far beyond the allowance was not the plan: it ran away
    ran_away = np.where(planned > 0, 0.0, np.maximum(apart - terms.gambler_spread, 0.0))
    gambler = log_density(np.minimum(apart, 0.0) + ran_away, 0.0, np.hypot(terms.gambler_spread, 0.1 / np.sqrt(ideas)))
    anyone = log_density(np.maximum(stake - middle, 0.0), 0.0, np.hypot(spread, 0.35 / np.sqrt(ideas)))
    ratio = np.clip(np.nan_to_num(gambler - anyone, nan=-3.0), -8.0, 6.0)
    unplanned = np.where(planned > 0, 1.0, np.minimum(0.65 + 0.15 * ideas, 1.0))
    return np.asarray(np.where(ratio > 0, ratio * unplanned, ratio), dtype=np.float64)


def _constant(seen: pd.DataFrame) -> Floats:
    """Log-odds of the same stake again and again: of stops where they are told, or else of what was lost.

    It is a gambler's mark near the allowance only: well below it, it is discipline. Losses without a stop that vary say
    nothing against.
    """
    told = numbers(seen["planned"]) > 0
    ideas = np.maximum(np.where(told, numbers(seen["planned"]), numbers(seen["losses"])) - 1, 0)
    varied = np.square(np.where(told, numbers(seen["spread"]), numbers(seen["lost_spread"]))) * ideas
    constant = np.clip(2 * np.log(0.15 / np.sqrt((0.15**2 * 2 + varied) / (2 + ideas))), -1.5, 1.2)
    stake = np.where(told, numbers(seen["log_planned"]), numbers(seen["log_lost"], -9.0))
    share = np.exp(stake) / np.maximum(numbers(seen["allowance"], math.nan), 1e-6)
    near = np.clip((np.nan_to_num(share, nan=1.0) - 0.6) / 0.25, 0.0, 1.0)
    return np.asarray(np.where(constant > 0, near * constant, np.where(told, constant, 0.0)), dtype=np.float64)


def _unlike_others(seen: pd.DataFrame) -> Floats:
    """Log-likelihood ratio of one told stake beside how large the largest of an account's ideas is.

    Its size has to be beyond them too: a stop far away, kept against disaster, stakes nothing on purpose.
    """
    others, by = numbers(seen["others"]), numbers(seen["stake_beyond"], 0.0)
    known = np.maximum(others - 1, 0.0)
    varied = (OWN_WEIGHT * OWN_SPREAD**2 + known * numbers(seen["others_varied"])) / (OWN_WEIGHT + known)
    # two or three usual pieces entered together are one idea, now and then
    largest = np.maximum(np.sqrt(2 * varied * np.log(np.maximum(others + 1, 2))), np.log(2.5))
    honest = log_density(np.maximum(by, largest), largest, np.sqrt(0.3 * varied + 0.06))
    beyond = np.clip(np.log(0.25) - honest, -4.0, 4.0)
    is_larger = steps(seen["size_beyond"], [np.log(1.5), np.log(3.0)], [0.0, 1.0])
    found = np.where(beyond > 0, beyond * is_larger, beyond) - 4.0 * (1 - is_larger)
    return np.asarray(np.where(_is_once(seen), found, 0.0), dtype=np.float64)


def _company(seen: pd.DataFrame, alone: Floats) -> Floats:
    """What the same trader's other accounts show beyond a bold habit: a hand that goes all in does so again.

    One habit seen in several accounts is seen once: stakes that say little alone say nothing more together.
    """
    usually = ~_is_once(seen)
    frame = pd.DataFrame(
        {"trader": seen["trader_id"].to_numpy(), "alone": np.where(usually, np.maximum(alone, 0.0), 0.0)}
    )
    grouped = frame.assign(usually=usually).groupby("trader")
    others: pd.Series[float] = (grouped["alone"].transform("sum") - frame["alone"]) / np.maximum(
        grouped["usually"].transform("sum") - 1, 1
    )
    return np.asarray(np.where(usually, np.clip(others.to_numpy() - 2.0, 0.0, 2.0), 0.0), dtype=np.float64)


def _at_that_size(seen: pd.DataFrame, terms: Terms) -> Floats:
    """Log-odds against, where the same trader's other accounts staked little on ideas of that size: this loss ran away.

    Where a stop is told it says itself what was meant.
    """
    untold = numbers(seen["planned"]) == 0
    told = pd.DataFrame(
        {
            "trader": seen["trader_id"].to_numpy(),
            "place": np.arange(len(seen)),
            "size": numbers(seen["log_size"], math.nan),
            "ideas": numbers(seen["ideas"]),
            "share": np.exp(numbers(seen["log_stake"])) / np.maximum(numbers(seen["allowance"], math.nan), 1e-6),
        }
    )
    asked = told[untold & (told["ideas"] <= terms.ideas_few)]
    # one idea beside an account's others is counted among these already
    both = asked.merge(told[~_is_once(seen)], on="trader", suffixes=("", "_elsewhere"))
    as_large = both["size_elsewhere"] >= both["size"] - math.log(terms.as_large)
    others = both[as_large & (both["place"] != both["place_elsewhere"])]
    others = others.assign(is_little=others["share_elsewhere"] <= terms.little_share)
    others = others.assign(ideas_little=others["ideas_elsewhere"] * others["is_little"])
    by_place = others.groupby("place").agg(ideas=("ideas_little", "sum"), little=("is_little", "mean"))
    by_place = by_place.reindex(told["place"], fill_value=0)
    # who stakes as much in most accounts means it
    mostly = np.clip(2 * by_place["little"].to_numpy(dtype=np.float64) - 1, 0.0, 1.0)
    return np.asarray(mostly * log_steps(by_place["ideas"], [2, 6, 20], [0.0, -1.5, -3.0]), dtype=np.float64)


def _bad_luck(seen: pd.DataFrame, soon: Floats, terms: Terms) -> Floats:
    """What is taken off for an early end where stops told the stake: who stakes much ends soon by bad luck alone.

    As many losses in a row as fill the allowance end it, and losses come whole; the stake itself is seen once.
    """
    losses = numbers(seen["allowance"], math.nan) / np.exp(numbers(seen["log_planned"], math.nan))
    at_most = np.maximum(np.log(terms.gamblers_lose) + (losses + 0.5) * np.log(2), 0.0)
    told = seen["is_ended"].fillna(False).to_numpy(dtype=bool) & (numbers(seen["planned"]) > 0)
    return np.asarray(np.where(told, -np.nan_to_num(np.maximum(soon - at_most, 0.0), nan=0.0), 0.0), dtype=np.float64)


def weigh(seen: pd.DataFrame, terms: Terms, among: Usual | None = None) -> pd.DataFrame:
    """Log-odds from the usual stake and size, its constancy, ideas a day and in all, the end, and other accounts."""
    planned = numbers(seen["planned"])
    held = usual(seen) if among is None else among
    stake = _stake(seen, terms, held)
    ideas = _ideas(seen)
    ended = seen["is_ended"].fillna(False).to_numpy(dtype=bool)
    is_once = _is_once(seen)
    few_ideas = np.where(is_once, 0.0, log_steps(ideas, [3, 6, 12, 25, 50], [1.2, 0.2, -0.8, -2, -4]))
    ended_at_once = np.where(ended & ~is_once & (ideas <= terms.ideas_few), 0.8, 0.0)
    ideas_a_day = log_steps(ideas / np.maximum(numbers(seen["days"]), 1), [2.5, 5, 10], [0.4, -1, -2.5])
    reasons = pd.DataFrame(
        {
            "prior": -4.0,
            "stake": stake,
            "size": _size(seen, held),
            "constant": np.where(is_once, 0.0, _constant(seen)),
            "unlike_others": _unlike_others(seen),
            "ideas_a_day": np.where(is_once, 0.0, ideas_a_day),
            "few_ideas": few_ideas,
            "ended_at_once": ended_at_once,
            "bad_luck": _bad_luck(seen, np.maximum(few_ideas, 0.0) + ended_at_once, terms),
            "other_accounts": _company(seen, stake),
            "last_of_a_ladder": steps(seen["rungs"], [2, 3, 5], [0.0, -1.5, -4.0]),
        },
        index=seen.index,
    )
    # one to three results without a stop make it likely at most: what was planned is not told
    thinly = (planned == 0) & (numbers(seen["ideas"]) <= terms.ideas_few)
    beyond = np.maximum(reasons.sum(axis=1).to_numpy() - terms.untold_at_most, 0.0)
    return reasons.assign(stop_not_told=np.where(thinly, -beyond, 0.0), size_elsewhere=_at_that_size(seen, terms))


def sentence(row: pd.Series, terms: Terms) -> str:
    """The finding in words."""
    planned = row["planned"] > 0
    stake = math.exp(row["log_planned"] if planned else row["log_stake"])
    if row["others"] > 0:
        return (
            f"One idea of {row['others'] + 1:.0f} had a planned loss at the stop of {100 * stake:.1f} % of the initial "
            f"balance, {percent(stake / row['allowance'])} of what may be lost before the account ends and "
            f"{math.exp(row['stake_beyond']):.1f} times what the others usually stake."
        )
    how = "planned loss at the stop" if planned else "loss"
    ideas = f"{row['ideas']:.0f} {'idea' if row['ideas'] == 1 else 'ideas'}"
    return (
        f"The usual {how} of {ideas} {row['phase']} was {100 * stake:.1f} % of the initial balance, "
        f"{percent(stake / row['allowance'])} of what may be lost before the account ends."
    )


def ruled_out(row: pd.Series, terms: Terms) -> list[str]:
    """What was considered and why it does not explain the finding."""
    return [
        "wide stops with small size: the stake is the money lost at the stop, not the distance",
        "a loss without a stop that ran away: what the same trader's other accounts stake at that size is looked at",
        "the last rungs of a martingale: sizes that answered losses speak against it",
        "pieces of one idea, scaling in, several instruments at once: entries close together are counted as one",
        f"{row['ideas'] / max(row['days'], 1):.1f} ideas a day: not the sum of many small ones",
        "a stop far away, kept against disaster: beside an account's other ideas its size has to be larger too",
    ]


DETECTOR = Detector(
    name="all_in",
    subject="account",
    relation="all_in",
    terms=Terms(),
    answers=Answers(
        behaviour=(
            "Nearly all that may be lost is staked on one idea, once or twice, target or nothing; or on one of many, "
            "far beyond the others."
        ),
        data=(
            "Loss at the stop (without one: what was lost, part of what was won, the usual result of that size) "
            "beside the terminating allowance."
        ),
        assumes="Profit per point is learnt from closed positions; the stop seen at the opening is the one meant.",
        fails="For a loss without a stop that ran away, for products whose allowance is tiny beside one contract.",
        respond="Compare with the same trader's other accounts here and ask whether another firm holds the other side.",
    ),
    weigh=weigh,
    sentence=sentence,
    ruled_out=ruled_out,
    usual=usual,
    usual_of=("trader_id", "planned", "log_planned", "log_size", "others"),
    together="trader_id",
    rows=(
        "select account_id as subject_id, rank() over (partition by account_id order by stake desc, "
        "opened_at) as place,"
        " instrument, side, opened_at, closed_at, is_planned, round(100 * stake, 3) as stake_pct,"
        " round(100 * allowance, 3) as allowance_pct from detectors.stakes"
        " where account_id in (select subject_id from reported)"
    ),
    numbers=(
        "ideas",
        "planned",
        "days",
        "phase",
        "log_planned",
        "log_stake",
        "log_size",
        "spread",
        "allowance",
        "stake_max",
        "rungs",
        "others",
        "stake_beyond",
        "size_beyond",
    ),
)
