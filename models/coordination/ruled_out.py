"""What was ruled out before a pair was held to trade as one, in words and numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from models.chance import by_chance

ORDERED = 0.9
TIMED = 0.7
BY_HAND = 0.1  # share of entries by a robot up to which one trades by hand
CROWDED = 2.0  # times the usual number of strangers from which a crowd is not ruled out


def ruled_out(matched: int, expected: float, evidence: Mapping[str, Any]) -> list[str]:
    """One sentence for each innocent explanation that the numbers of a pair speak against; none for what is unknown."""
    told = [f"chance: it would give {by_chance(expected)} of the {matched} matches"] if expected < matched / 2 else []
    shifted = evidence.get("shifted")
    if shifted is not None and shifted < matched / 2:
        told.append(f"a common rhythm: with one clock moved by minutes to days, {shifted:,.1f} match on average")
    passers, usual = evidence.get("passers"), evidence.get("passers_usual")
    if passers is not None and usual is not None and passers <= CROWDED * usual + 1:
        told.append(f"news and crowds: strangers within 2 s of the matches are {passers:.0f}, usual {usual:.1f}")
    bars = [evidence[name] for name in ("bar_share_a", "bar_share_b") if name in evidence]
    if bars and min(bars) < TIMED:
        told.append(f"bar openings: {100 * min(bars):.0f} % of the entries of one fall at one second of the minute")
    if evidence.get("others") == 0:
        told.append("a common robot or signal: nobody else recurs at the matched moments")
    robots = [evidence[name] for name in ("robot_a", "robot_b") if evidence.get(name) is not None]
    if len(robots) == 2 and min(robots) <= BY_HAND:
        told.append(
            f"a common robot: of the matched entries robots opened {robots[0]:.0%} of one, {robots[1]:.0%} of the other"
        )
    order = evidence.get("same_order")
    if order is not None and order >= ORDERED:
        told.append(f"two who read one source: one is behind the other in {100 * order:.0f} % of the matches")
    return told
