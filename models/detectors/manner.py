"""How far two stages are traded alike: by one hand, or by two.

Each manner (instruments, holding, hours, …) either stayed or changed. How often it changes when the same trader starts
anew, and how often it differs between strangers, is learnt from the firm's own accounts (a mixture of two groups by
expectation and maximisation); how far it moves by itself comes from the median of a trader's own differences. What all
manners say together is held below how rarely any trader of the firm changes as much: the empirical null of Efron,
Large-Scale Inference (2010), chapter 6.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from models.detectors.base import Floats, Usual, numbers, two_digits

ENTRIES_A_DAY = 3
"""So many entries of a day tell of the manner as if they were independent."""
OWN_CHANGES, STRANGERS_DIFFER = (1.0, 19.0), (10.0, 10.0)
"""How often a manner changes with the same trader, and differs between strangers, as Beta distributions."""
ALL_CHANGES = (1.0, 99.0)
"""How many traders change everything from one start to another, as a Beta distribution."""
OWN_WEIGHT = 15.0
STARTS = ("again", "onward")


@dataclass(frozen=True)
class Manner:
    """How far a manner moves by itself (a spread), and among those who differ: evenly up to `range`, or by `apart`."""

    usual: float
    range: float = 0.0
    apart: float = 0.0


MANNERS = {
    "instruments": Manner(0.15, range=1.0),
    "holding_time": Manner(0.3, apart=1.2),
    "hours": Manner(0.8, range=12.0),
    "robot": Manner(0.1, range=1.0),
    "stops": Manner(0.12, range=1.0),
    "sizes_vary": Manner(0.1, apart=0.35),
    "pace": Manner(0.3, apart=0.8),
}


@dataclass(frozen=True)
class Apart:
    """Differences by manner and the variances that few positions leave them, and how much was seen of the lesser
    side."""

    by: dict[str, Floats]
    varied: dict[str, Floats]
    known: Floats


def apart(seen: pd.DataFrame) -> Apart:
    """How far either side's manners lie apart; NaN where a manner is not known."""

    unknown = pd.Series(np.nan, index=seen.index)

    def sides(name: str) -> tuple[Floats, Floats]:
        before, after = (numbers(seen.get(f"{name}_{side}", unknown), np.nan) for side in ("before", "after"))
        return before, after

    positions, days = sides("positions"), sides("days")
    told = [np.fmax(np.fmin(n, ENTRIES_A_DAY * day), 1.0) for n, day in zip(positions, days, strict=True)]
    of_few = 1 / told[0] + 1 / told[1]
    by: dict[str, Floats] = {}
    varied: dict[str, Floats] = {}
    overlap = np.clip(numbers(seen["instrument_overlap"], np.nan), 0.0, 1.0)
    by["instruments"] = np.sqrt(1 - overlap)
    varied["instruments"] = numbers(seen.get("instruments", unknown), 2.0) / 8 * of_few
    before, after = sides("log_hold")
    by["holding_time"] = np.abs(after - before)
    hold = [np.nan_to_num(one, nan=1.0) for one in sides("log_hold_varied")]
    varied["holding_time"] = ((hold[0] + hold[1]) / 2 + 0.1) * of_few
    by["hours"], varied["hours"] = _hours(sides("hour_x"), sides("hour_y"), of_few)
    by["robot"], varied["robot"] = _shares(*sides("by_robot"), told)
    stop, target = _shares(*sides("with_stop"), told), _shares(*sides("with_target"), told)
    more = stop[0] / np.sqrt(stop[1] + 0.01) >= target[0] / np.sqrt(target[1] + 0.01)
    by["stops"], varied["stops"] = np.where(more, stop[0], target[0]), np.where(more, stop[1], target[1])
    before, after = sides("sizes_spread")
    by["sizes_vary"] = np.abs(after - before)
    varied["sizes_vary"] = (((before + after) / 2) ** 2 / 2 + 0.02) * of_few
    by["pace"] = np.abs(np.log(positions[1] / days[1]) - np.log(positions[0] / days[0]))
    varied["pace"] = 0.5 / np.fmax(days[0], 1.0) + 0.5 / np.fmax(days[1], 1.0)
    return Apart(by, varied, np.nan_to_num(np.minimum(*positions), nan=0.0))


def _hours(x: tuple[Floats, Floats], y: tuple[Floats, Floats], of_few: Floats) -> tuple[Floats, Floats]:
    """Hours between the usual times of day, round the clock, and their variance from how they scatter."""
    turned = np.angle(np.exp(1j * (np.arctan2(y[1], x[1]) - np.arctan2(y[0], x[0]))))
    length = np.clip((np.hypot(x[0], y[0]) + np.hypot(x[1], y[1])) / 2, 0.05, 0.999)
    scattered = np.clip(-2 * np.log(length), 0.02, 4.0) * (12 / np.pi) ** 2
    return np.abs(turned) * 12 / np.pi, scattered * of_few


def _shares(before: Floats, after: Floats, told: list[Floats]) -> tuple[Floats, Floats]:
    """How far two shares lie apart, and the variance of that."""
    both = (before * told[0] + after * told[1] + 0.5) / (told[0] + told[1] + 1)
    return np.abs(after - before), both * (1 - both) * (1 / told[0] + 1 / told[1])


def _log_density(by: Floats, spread: Floats) -> Floats:
    """Logarithm of the density of half a normal distribution."""
    return np.asarray(0.5 * np.log(2 / np.pi) - np.log(spread) - (by / spread) ** 2 / 2, dtype=np.float64)


def _changed(seen: Apart, name: str, spread: float) -> Floats:
    """How much likelier a difference is where a manner changed than where it stayed; NaN where it is not known."""
    by, few, manner = seen.by[name], np.sqrt(seen.varied[name]), MANNERS[name]
    stayed = _log_density(by, np.hypot(spread, few))
    wide = -np.log(manner.range) if manner.range else _log_density(by, np.hypot(manner.apart, few))
    return np.asarray(np.exp(np.clip(wide - stayed, -15.0, 15.0)), dtype=np.float64)


def _share(ratios: Floats, usual: tuple[float, float]) -> float:
    """How many of some pairs changed, held near what is usual where there are few."""
    known, held = ratios[~np.isnan(ratios)], usual[0] / sum(usual)
    for _ in range(50):
        changed = held * known / (1 - held + held * known)
        held = (usual[0] + float(changed.sum())) / (sum(usual) + len(known))
    return held


def learn(seen: pd.DataFrame, known_from: float) -> Usual:
    """What is usual in a firm, from pairs of accounts of its traders: of one, who goes on (`onward`) or starts again
    (`again`), and of two (`strangers`).

    By manner: how far it moves by itself, how often it changes with the same trader, how often strangers differ. And by
    kind of start how many traders were seen, and what all manners say of each of whom they say anything.
    """
    seen = seen.sort_values(["kind", "account_id"])
    own, others = apart(seen[seen["kind"].isin(STARTS)]), apart(seen[seen["kind"] == "strangers"])
    told: dict[str, list[float]] = {}
    for name, manner in MANNERS.items():
        spread = _own_spread(own, name, manner, known_from)
        stay = _share(_changed(own, name, spread)[own.known >= known_from], OWN_CHANGES)
        differ = _share(_changed(others, name, spread)[others.known >= known_from], STRANGERS_DIFFER)
        told[name] = [two_digits(spread), two_digits(stay), round(max(differ, stay), 2)]
    for kind in STARTS:
        pairs = apart(seen[seen["kind"] == kind])
        speaks = sum(log_odds(pairs, told).values(), np.zeros(len(pairs.known)))[pairs.known >= known_from]
        told[kind] = [float(len(speaks)), *sorted(round(float(one), 1) for one in speaks if one > 0)]
    return told


def _own_spread(own: Apart, name: str, manner: Manner, known_from: float) -> float:
    """How far a manner moves by itself, beyond what few positions explain."""
    enough = (own.known >= known_from) & ~np.isnan(own.by[name])
    weight = enough.sum() / (enough.sum() + OWN_WEIGHT)
    moved = 0.0
    if enough.any():
        by, few = np.median(own.by[name][enough]) / 0.6745, np.median(own.varied[name][enough])
        moved = max(by**2 - few, 0.0)
    spread = np.sqrt(weight * moved + (1 - weight) * manner.usual**2)
    return float(np.clip(spread, manner.usual / 2, 2 * manner.usual))


def log_odds(seen: Apart, usual: Usual) -> dict[str, Floats]:
    """Log-likelihood ratio of each manner's difference: between strangers, or with the same trader."""
    told = {}
    for name in MANNERS:
        spread, stay, differ = usual[name]
        ratio = _changed(seen, name, spread)
        told[name] = np.nan_to_num(np.log((1 - differ + differ * ratio) / (1 - stay + stay * ratio)), nan=0.0)
    return told


def at_most(together: Floats, usual: Usual) -> Floats:
    """What manners may say together at most: how rarely a trader of the firm changes as much by himself.

    Who lost an account has reason to try another manner, who goes on has none: where both are known the rarer counts.
    """
    told = []
    for kind in STARTS:
        traders, *speaks = usual[kind]
        as_much = len(speaks) - np.searchsorted(np.asarray(speaks), np.round(together, 1))
        told.append(-np.log((ALL_CHANGES[0] + as_much) / (sum(ALL_CHANGES) + traders)))
    return np.asarray(np.maximum(*told), dtype=np.float64)
