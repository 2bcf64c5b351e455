"""News straddling: both sides of the market around an announcement, the loser thrown away."""

from __future__ import annotations

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
    share_of,
    steps,
    thin,
)

BOTH_SIDES_BY_CHANCE, BRACKETS_BY_CHANCE = (0.8, 19.2), (0.3, 29.7)
"""Around how many events the honest turn within `apart_s`, and within `bracket_s`, as Beta distributions."""
AT_ONCE_BY_CHANCE = (1.0, 5.0)
"""Of how many events traded the honest come in within `instant_s` of the release, as a Beta distribution."""
SOON_BY_CHANCE = (0.8, 2.4)
"""Of how many events traded the honest come in within `soon_s` after the release, as a Beta distribution."""


@dataclass(frozen=True)
class Terms:
    """The surroundings of an event (seconds before and after), within what two sides belong together and within what
    they are a bracket, what is at once, what is soon after where spreads widen and which share of that is at once when
    nobody waited to read, and at which round times (seconds) releases come."""

    version: str = "2026-12-04"
    before_s: float = 600.0
    after_s: float = 300.0
    apart_s: float = 300.0
    bracket_s: float = 15.0
    instant_s: float = 6.0
    soon_s: float = 30.0
    of_soon: float = 0.15
    clock_s: float = 300.0
    events_enough: int = 5


def usual(seen: pd.DataFrame) -> Usual:
    """Around how many of the events that they trade the firm's accounts come in within seconds, and soon after.

    Two events are enough to be asked: of those who trade many, half may straddle.
    """
    return {
        "at_once": list(peers(seen["at_once"], seen["events"], AT_ONCE_BY_CHANCE, tries_min=2)),
        "soon": list(peers(seen["soon"], seen["events"], SOON_BY_CHANCE, tries_min=2)),
    }


def _by_habit(seen: pd.DataFrame, name: str, by_chance: float, others: list[float]) -> tuple[Floats, Floats]:
    """How often an account comes in so near the clock at news if it does as away from news, as a Beta distribution; no
    less often than others do."""
    both = sum(others)
    clock = (numbers(seen[name]) + by_chance * both) / (numbers(seen["quiet_positions"]) + both)
    mean = np.clip(np.maximum(others[0] / both, clock), 0.0, 0.95)
    return both * mean, both * (1 - mean)


def _both(seen: pd.DataFrame, name: str, habit: str, by_chance: tuple[float, float]) -> Floats:
    """Log-likelihood ratio of the events with both sides, beside how often the account turns so quickly elsewhere."""
    elsewhere = numbers(seen[habit]) / np.maximum(numbers(seen["positions"]) - numbers(seen["news_positions"]), 10)
    a, b = by_chance
    mean = np.clip(a / (a + b) + 2 * elsewhere, 0.0, 0.8)
    return likelihood_ratio(seen[name], seen["events"], (2.0, 3.0), (mean * (a + b), (1 - mean) * (a + b)))


def weigh(seen: pd.DataFrame, terms: Terms, among: Usual | None = None) -> pd.DataFrame:
    """Log-odds from events entered on both sides, from fills within seconds, and from how far the account lives on
    news."""
    held = usual(seen) if among is None else among
    at_once = likelihood_ratio(
        seen["at_once"],
        seen["events"],
        (6.0, 2.0),
        _by_habit(seen, "by_the_clock", terms.instant_s / terms.clock_s, held["at_once"]),
    )
    soon = likelihood_ratio(
        seen["soon"],
        seen["events"],
        (12.0, 1.0),
        _by_habit(seen, "soon_by_the_clock", terms.soon_s / terms.clock_s, held["soon"]),
    )
    # a stop that is hit by the release rides it; a limit order that is hit stands against it
    rode = steps((numbers(seen["rode"]) + 1) / (numbers(seen["at_once"]) + 2), [0.2, 0.4, 0.7], [-1.5, 0.0, 0.7])
    reasons = {
        "both_sides": np.maximum(
            _both(seen, "both_sides", "turns", BOTH_SIDES_BY_CHANCE),
            np.where(
                numbers(seen["brackets"]) >= 2, _both(seen, "brackets", "turns_at_once", BRACKETS_BY_CHANCE), -np.inf
            ),
        ),
        "at_once": np.clip(at_once, -0.3, 2.5),
        "lives_on_news": steps(share_of(seen["news_positions"], seen["positions"]), [0.05, 0.2, 0.5], [-0.4, 0, 1]),
    }
    weighed = {name: thin(values, seen["events"], terms.events_enough) for name, values in reasons.items()}
    # a likelihood ratio knows itself how little was seen
    weighed["both_sides"] = reasons["both_sides"]
    one_sided = numbers(seen["both_sides"]) < 2
    # the other side was never filled and is not in the feed: fills of the first seconds stand for it
    first = np.maximum(at_once, np.where(numbers(seen["at_once"]) >= terms.of_soon * numbers(seen["soon"]), soon, -3.0))
    bracket = np.where(numbers(seen["soon"]) >= 3, np.clip(first + rode - weighed["at_once"], -3.0, 5.0), -3.0)
    unfilled = np.where(bracket > 0, 0.0, -0.5)
    weighed["both_sides"] = np.where(one_sided, np.maximum(weighed["both_sides"], unfilled), weighed["both_sides"])
    bracket = np.where(one_sided, bracket, np.maximum(bracket - np.maximum(weighed["both_sides"], 0.0), 0.0))
    return pd.DataFrame({"prior": -4.2, **weighed, "one_filled_at_once": bracket}, index=seen.index)


def sentence(row: pd.Series, terms: Terms) -> str:
    """The finding in words."""
    return (
        f"Around {row['both_sides']:.0f} of {row['events']:.0f} high-impact events both a long and a short "
        "were opened within "
        f"{terms.apart_s:.0f} s of each other, around {row['brackets']:.0f} within "
        f"{terms.bracket_s:.0f} s; around {row['at_once']:.0f} the first fill came within "
        f"{terms.instant_s:.0f} s, around {row['soon']:.0f} within {terms.soon_s:.0f} s "
        f"of the release. {percent(row['news_positions'] / row['positions'])} of all positions are entries around news."
    )


def ruled_out(row: pd.Series, terms: Terms) -> list[str]:
    """What was considered and why it does not explain the finding."""
    return [
        "a view on the news: that is one side, and it is not entered within seconds of every release",
        f"hedging as a habit: away from news the account turned within {terms.apart_s:.0f} s {row['turns']:.0f} times",
        f"coming in by the clock: away from news {row['by_the_clock']:.0f} of {row['quiet_positions']:.0f} positions "
        "were opened within seconds of the full five minutes",
        "being one of a crowd: strangers who trade the same minute do not open both sides",
    ]


DETECTOR = Detector(
    name="news_straddling",
    subject="account",
    relation="news_straddling",
    terms=Terms(),
    answers=Answers(
        behaviour=(
            "Orders wait on both sides of the price when an announcement comes; one is filled and rides, "
            "the other dies."
        ),
        data="Entries around high-impact events of the calendar that move the instrument, by side and by offset.",
        assumes="The calendar is right to the second; of a bracket whose other side never filled, one fill is seen.",
        fails=(
            "When an event was moved, or for a limit order at every release; a hedger who is always on both "
            "sides looks alike."
        ),
        respond="Check the event's time and the product's news rule, then strip what those positions made.",
    ),
    weigh=weigh,
    sentence=sentence,
    ruled_out=ruled_out,
    usual=usual,
    usual_of=("at_once", "soon", "events"),
    rows=(
        "select account_id as subject_id, rank() over (partition by account_id order by event_id, "
        "opened_at, trade_id) as place,"
        " trade_id, instrument, side, opened_at, event_id, round(offset_s, 3) as offset_s, "
        "round(net_profit, 2) as net_profit"
        " from detectors.news_entries where account_id in (select subject_id from reported)"
    ),
)
