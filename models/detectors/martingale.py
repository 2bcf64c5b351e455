"""Martingale: the next position is larger because the last one lost."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from models.detectors.base import (
    Answers,
    Detector,
    Usual,
    likelihood_ratio,
    log_steps,
    numbers,
    peers,
    percent,
    positions_by,
    thin,
)

EACH, BY_RUNS = (7.0, 2.0), (10.0, 10.0)
"""How often losses are answered: each of them, or, as in one, one, two, three, five, from the second of a run on."""
RUNS_SHARE = 0.25
"""How many martingales are of the second kind."""


@dataclass(frozen=True)
class Terms:
    """From which ratio a size counts as raised, each smaller step by which it may climb there, the losses needed to say
    anything in full, positions that make a usual size."""

    version: str = "2026-11"
    step_min: float = 1.4
    climb_min: float = 1.15
    losses_enough: int = 6
    usual_positions: int = 4


def usual(seen: pd.DataFrame) -> Usual:
    """How often the firm's accounts raise sizes after losses and after wins."""
    return {
        "after_loss": list(peers(seen["raised_after_loss"], seen["losses"], (3.2, 10.8))),
        "after_win": list(peers(seen["raised_after_win"], seen["wins"], (3.2, 10.8))),
    }


def weigh(seen: pd.DataFrame, terms: Terms, among: Usual | None = None) -> pd.DataFrame:
    """Log-odds from how often sizes are raised after losses and after wins, beside the firm's other accounts."""
    held = usual(seen) if among is None else among
    after_loss, after_win = ((a, b) for a, b in (held["after_loss"], held["after_win"]))
    loss_share = (numbers(seen["raised_after_loss"]) + 1) / (numbers(seen["losses"]) + 3)
    win_share = (numbers(seen["raised_after_win"]) + 1) / (numbers(seen["wins"]) + 3)
    at_once, later = (
        likelihood_ratio(seen["raised_after_loss"], seen["losses"], guilty, after_loss) for guilty in (EACH, BY_RUNS)
    )
    reasons = {
        "raised_after_loss": np.logaddexp(np.log(1 - RUNS_SHARE) + at_once, np.log(RUNS_SHARE) + later),
        "not_after_win": np.clip(
            likelihood_ratio(seen["raised_after_win"], seen["wins"], (1.0, 11.0), after_win), -6, 2.5
        ),
        "contrast": log_steps(loss_share / win_share, [1, 2, 4, 12, 30], [-3, 0, 1, 2, 3]),
        "step": log_steps(seen["step_after_loss"], [1.3, 1.6], [-0.5, 0.5]),
        "steady_step": log_steps(np.maximum(numbers(seen["step_spread"], 0.35), 0.05), [0.12, 0.3, 0.6], [1.5, 0, -2]),
    }
    # between two sizes every step is the same
    several = np.clip((numbers(seen["raised_sizes"]) - 1) / 2, 0.0, 1.0)
    steady = reasons["steady_step"]
    reasons["steady_step"] = np.where(steady > 0, steady * several, steady)
    weighed = {name: thin(values, seen["losses"], terms.losses_enough) for name, values in reasons.items()}
    return pd.DataFrame({"prior": -5.0, **weighed}, index=seen.index)


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
        data="The order of positions, their sizes, and whether the one before had lost, by account and by instrument.",
        assumes="The next position answers the last one; one still open at a worse price counts as lost.",
        fails="With several strategies in one account, with loss sequences across accounts, and below five losses.",
        respond=(
            "Show the sequence; apply the product's martingale rule, otherwise watch the exposure of the next step."
        ),
    ),
    weigh=weigh,
    sentence=sentence,
    ruled_out=ruled_out,
    usual=usual,
    usual_of=("raised_after_loss", "losses", "raised_after_win", "wins"),
    rows=positions_by("opened_at, trade_id"),
)
