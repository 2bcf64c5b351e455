"""Martingale: the next position is larger because the last one lost."""

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
    likelihood_ratio,
    numbers,
    peers,
    percent,
    positions_by,
    steps,
    thin,
)

EACH, BY_RUNS = (7.0, 2.0), (10.0, 10.0)
"""How often losses are answered: each of them, or, as in one, one, two, three, five, from the second of a run on."""
RUNS_SHARE = 0.25
"""How many martingales are of the second kind."""
MISSED, MISSED_WEIGHT = 0.15, 4.0
"""How far sizes miss their rung by rounding and the like, and how many sizes that is worth."""


@dataclass(frozen=True)
class Ladder:
    """One way in which sizes climb with the depth of a run: its columns, the least climb of a rung, and what is taken
    off as it is one of several."""

    of: str
    climb_min: float = math.log(1.3)
    rarer: float = 0.0


LADDERS = (
    Ladder("rung"),
    Ladder("lots_more", climb_min=0.5),
    Ladder("later", rarer=math.log(4)),
    Ladder("layer", rarer=math.log(4)),
)
"""A factor with each loss; a lot more with each; from the second loss on; with each layer beside a losing one."""


@dataclass(frozen=True)
class Terms:
    """From which ratio a size counts as raised, each smaller step by which it may climb there, the climbs needed to say
    anything in full, positions that make a usual size, the rung from which a ladder is level."""

    version: str = "2026-11-30"
    step_min: float = 1.4
    climb_min: float = 1.15
    climbs_enough: int = 5
    usual_positions: int = 4
    rungs_max: int = 6


def usual(seen: pd.DataFrame) -> Usual:
    """How often the firm's accounts raise sizes after losses and after wins."""
    return {
        "after_loss": list(peers(seen["raised_after_loss"], seen["losses"], (3.2, 10.8))),
        "after_win": list(peers(seen["raised_after_win"], seen["wins"], (3.2, 10.8))),
    }


def _ladder(seen: pd.DataFrame) -> tuple[Floats, Floats]:
    """Log-likelihood ratio of sizes that climb with the depth of a run, by the ladder that fits best, against sizes
    that do not care for it; and how much of how sizes vary it explains.

    Whoever raises at random, however often, raises no more the deeper a run is.
    """
    varied, noise = numbers(seen["heights_varied"]), MISSED_WEIGHT * MISSED**2
    ratio, explained = np.full(len(seen), -np.inf), np.zeros(len(seen))
    for ladder in LADDERS:
        depth, together = numbers(seen[f"{ladder.of}_varied"]), numbers(seen[f"{ladder.of}_with_height"])
        climb = np.maximum(together / np.maximum(depth, 1e-9), ladder.climb_min)
        left = np.maximum(varied - 2 * climb * together + climb**2 * depth, 0.0)
        share = (left + noise) / (varied + noise)
        told = -numbers(seen["heights"]) / 2 * np.log(share) - ladder.rarer
        explained = np.where(told > ratio, 1 - share, explained)
        ratio = np.maximum(told, ratio)
    return ratio, explained


def weigh(seen: pd.DataFrame, terms: Terms, among: Usual | None = None) -> pd.DataFrame:
    """Log-odds from how sizes climb within runs of losses, and how often they are raised after losses and after wins
    beside the firm's other accounts."""
    held = usual(seen) if among is None else among
    after_loss, after_win = ((a, b) for a, b in (held["after_loss"], held["after_win"]))
    at_once, later = (
        likelihood_ratio(seen["raised_after_loss"], seen["losses"], guilty, after_loss) for guilty in (EACH, BY_RUNS)
    )
    raised = np.logaddexp(np.log(1 - RUNS_SHARE) + at_once, np.log(RUNS_SHARE) + later)
    not_after_win = likelihood_ratio(seen["raised_after_win"], seen["wins"], (1.0, 11.0), after_win)
    ladder, explained = _ladder(seen)
    reasons = {
        # one step that went far is no ladder
        "ladder": thin(np.clip(ladder, -10, 10), seen["climbed_after_loss"], terms.climbs_enough),
        # who climbs on purpose strays little, however many sizes there are
        "explained": steps(explained, [0.1, 0.3, 0.5, 0.7], [-8, -4, -1.5, 0]),
        # a ladder tells already that losses are answered and wins are not, by however small a step
        "raised_after_loss": np.minimum(raised, 0.0) * steps(explained, [0.5, 0.7], [1, 0]),
        "not_after_win": np.minimum(not_after_win, 0.0),
    }
    return pd.DataFrame({"prior": -5.5, **reasons}, index=seen.index)


def sentence(row: pd.Series, terms: Terms) -> str:
    """The finding in words."""
    return (
        f"After {row['raised_after_loss']:.0f} of {row['losses']:.0f} losses the next position was at least"
        f" {terms.step_min:g} times as large as the last or as the first of the run (usually"
        f" {row['step_after_loss']:.2g} times the last), after wins in {row['raised_after_win']:.0f} of "
        f"{row['wins']:.0f} cases."
    )


def ruled_out(row: pd.Series, terms: Terms) -> list[str]:
    """What was considered and why it does not explain the finding."""
    share = row["raised_after_win"] / max(row["wins"], 1)
    return [
        f"sizes that vary anyway: after wins they rise in {percent(share)} of cases only",
        "planned scaling with equal sizes: the step is not one",
        "other instruments with other contracts: sizes are compared in money where the instrument changes",
    ]


DETECTOR = Detector(
    name="martingale",
    subject="account",
    relation="martingale",
    terms=Terms(),
    answers=Answers(
        behaviour="Each loss is answered by a larger position, until one win pays for all or the account is gone.",
        data=(
            "The order of positions, their sizes, and how many before had lost in a row, by account and by instrument."
        ),
        assumes="The next position answers the last one; one still open at a worse price counts as lost.",
        fails="With several strategies in one account, with loss sequences across accounts, and below four steps up.",
        respond=(
            "Show the sequence; apply the product's martingale rule, otherwise watch the exposure of the next step."
        ),
    ),
    weigh=weigh,
    sentence=sentence,
    ruled_out=ruled_out,
    numbers=(
        "sequence",
        "losses",
        "raised_after_loss",
        "wins",
        "raised_after_win",
        "step_after_loss",
        "first_at",
        "last_at",
    ),
    usual=usual,
    usual_of=("raised_after_loss", "losses", "raised_after_win", "wins"),
    rows=positions_by("opened_at, trade_id"),
)
