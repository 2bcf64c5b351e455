"""Which instruments are one market to the search, and which of them are quoted the other way round."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_suffix(".toml")


@dataclass(frozen=True)
class Place:
    """Where an instrument is traded: its market, whether its buys are the market's sells, and its lots in the market's.

    `size` is how many lots of the market's own instrument one lot or contract is, roughly.
    """

    market: str
    inverse: bool = False
    size: float = 1.0


@cache
def listed() -> dict[str, Place]:
    """Every instrument of the table, by its name."""
    found: dict[str, Place] = {}
    for market, row in tomllib.loads(FILE.read_text(encoding="utf-8")).items():
        _list(found, market, Place(market))
        for how in ("same", "inverse"):
            for name, size in row.pop(how, {}).items():
                _list(found, name, Place(market, how == "inverse", _size(name, size)))
        if row:
            raise ValueError(f"{FILE.name}: {market} has {', '.join(sorted(row))}: only same and inverse are known")
    return found


def _list(found: dict[str, Place], name: str, place: Place) -> None:
    """Adds one instrument, which may stand in one market alone."""
    if name in found:
        raise ValueError(f"{FILE.name}: {name} is in the markets {found[name].market} and {place.market}")
    found[name] = place


def _size(name: str, told: Any) -> float:
    """A size as written, which must be a number above 0."""
    if isinstance(told, bool) or not isinstance(told, int | float) or told <= 0:
        raise ValueError(f"{FILE.name}: the size of {name} is {told!r}, not a number above 0")
    return float(told)


def place_of(instrument: str) -> Place:
    """Where an instrument is traded; one that the table does not hold is a market of its own."""
    return listed().get(instrument) or Place(instrument)


def one_market(pairs: Iterable[tuple[str, str]]) -> list[str]:
    """A sentence for each two instruments that are one market, in the order of their names; none for one instrument."""
    told = {(min(pair), max(pair)) for pair in pairs if pair[0] != pair[1]}
    return [_sentence(first, second) for first, second in sorted(told)]


def _sentence(first: str, second: str) -> str:
    """That two instruments are one market, and what a buy of one is to the other."""
    turned = place_of(first).inverse != place_of(second).inverse
    how = f", quoted the other way round: who buys {first} sells {second}" if turned else ""
    return f"{first} and {second} are one market{how}."
