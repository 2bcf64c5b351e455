"""Every comparison of the pass that clears trades matters: turned one notch, it keeps other than it must."""

from __future__ import annotations

import ast
import random
from collections.abc import Iterator
from decimal import Decimal
from functools import reduce
from itertools import chain, pairwise
from operator import or_
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pytest

from models import suspects
from models.suspects import NEARLY, TRADE, Given, Instants
from tests import suspects_oracle
from tests.test_walk_mutants import NOTCHES, at_most, interpreted

SOURCE = Path(suspects.__file__).read_text(encoding="utf-8")
UNIT = 1_000_000_000
"""A step of time in microseconds: so long that a share of nearly one of it is a whole number."""
FIRMS = 1200
SECONDS_PER_FIRM = 2.0
SAME = {
    "_days: n < starts[a + 1]  ->  n <= starts[a + 1]": "while an opening is to come, so is its closing",
    "_days: t.held[by_close[n]] < t.opened[i]  ->  t.held[by_close[n]] <= t.opened[i]": "what happens at one instant is"
    " of one day in either order",
    "_settle: by_result > by_size  ->  by_result >= by_size": "the larger of two equal values is either",
}
"""Turned comparisons that say the same, and why."""


def reaching(size: float) -> float:
    """A limit whose nearly whole is exactly a size."""
    near = np.float64(size / NEARLY)
    steps = [near, np.nextafter(near, np.inf), np.nextafter(near, -np.inf)]
    return float(next(one for one in steps if one * NEARLY == size))


CHOICES: tuple[tuple[str, list[float]], ...] = (
    ("held_us short_us within_us overlap_us", [0, UNIT, 2 * UNIT]),
    ("idea_merge_us entry_merge_us", [0, UNIT]),
    ("idle_us", [UNIT, 2 * UNIT, 4 * UNIT]),
    ("average_us winner_us", [0, round(UNIT * NEARLY), UNIT]),
    ("lots exposure idea_size day_size stop_size", [1, reaching(1), 2]),
    ("short_share short_profit margin", [50, 100, reaching(100), reaching(50)]),
    ("layers entries losses day_trades shares_from", [0, 1, 2, 3]),
    ("news stops losing per_market opposed lines clock", [0, 1]),
    ("weekend overnight bars", [-1, 0, 1]),
    ("added multiple", [1, 2, reaching(1)]),
    ("entry_low", [0.5, NEARLY]),
    ("entry_high", [1.5, 1.0, reaching(1)]),
    ("leverage", [1, 2]),
)
"""What limits may be: on what trades reach and beside it."""


class Trades:
    """Columns of trades, which plain Python reads faster than rows."""

    def __init__(self, rows: Any) -> None:
        self.rows = rows
        for name in TRADE.names or ():
            setattr(self, name, rows[name])

    def __len__(self) -> int:
        return len(self.rows)


def limits(draw: random.Random) -> Any:
    """Limits of a stage: each on what trades reach, or none."""
    row = suspects.stage_limits({}, "USD", Decimal(100))
    for names, values in CHOICES:
        for name in names.split():
            if draw.random() < 0.7:
                row[name] = draw.choice(values)
    return row


def instants(draw: random.Random, fewest: int) -> Instants:
    """Two lists of instants."""
    lists = [sorted(draw.sample(range(-1, 12), draw.randint(fewest, 3))) for _ in range(2)]
    return Instants(np.cumsum([0] + [len(one) for one in lists]), np.array([*chain(*lists)]) * UNIT)


def firm(draw: random.Random) -> Given:
    """A firm of three small accounts whose trades crowd together and lie on every limit."""
    counts = [draw.choice([0, 1, 2, 3, 5]) for _ in range(3)]
    starts = np.cumsum([0, *counts])
    rows = np.zeros(starts[-1], TRADE)
    for a, count in enumerate(counts):
        opened = sorted(draw.randrange(8) for _ in range(count))
        for place, at in enumerate(opened):
            row = rows[starts[a] + place]
            row["account"], row["trade"], row["opened"] = a, starts[a] + place, at * UNIT
            row["held"] = row["opened"] + draw.choice([0, 0, 1, 2, 4]) * UNIT
            row["closed"], row["sold"] = draw.random() < 0.8, draw.random() < 0.4
            row["code"] = row["market"] = draw.choice([0, 0, 0, 1])
            row["lots"] = draw.choice([0, 1, 1, NEARLY, 2, 4])
            row["net"] = draw.choice([-1, -1, -NEARLY, -2, 0, 1, 1])
            row["losses"] = draw.choice([0, 0, 1, NEARLY])
            row["deals"], row["openings"] = draw.choice([1, 2, 2, 3]), draw.choice([1, 1, 1, 2])
            row["stop"], row["value"] = draw.choice([np.nan, 1, NEARLY, 2]), draw.choice([0, 1, 1, NEARLY])
            row["price"] = draw.choice([1, 1, 2])
    ends = [int(rows["held"][starts[a] : starts[a + 1]].max(initial=0)) for a in range(3)]
    news = sorted(draw.sample(range(12), 4))
    return Given(
        starts,
        np.array([limits(draw) for _ in range(3)]),
        rows,
        2,
        instants(draw, 0),
        instants(draw, 1),
        np.array([[True, False], [False, True]]),
        np.array([[0, 1], [0, 0]]),
        (np.array(news[::2]) * UNIT, np.array(news[1::2]) * UNIT),
        np.array([draw.choice([-1, 0, 1, 2]) for _ in range(3)], np.float64),
        np.array([draw.choice([-1, 0, 1]) * UNIT for _ in range(3)]),
        np.array([end + draw.choice([0, 0, 1, 2]) * UNIT for end in ends]),
    )


def won_back() -> Given:
    """The very first trade is a loss, a win follows, then the lots are raised: no row of losses."""
    given = firm(random.Random(1))
    rows, limits = np.zeros(3, TRADE), given.limits.copy()
    rows["opened"], rows["net"], rows["lots"] = (np.arange(3) * UNIT, (-1, 1, 1), (1, 1, 2))
    rows["held"], rows["closed"], rows["deals"], rows["openings"] = rows["opened"] + 1, True, 2, 1
    limits[0] = suspects.stage_limits({}, "USD", Decimal(100))
    limits[0]["losses"], limits[0]["multiple"], limits[0]["within_us"] = 1, 2, 9 * UNIT
    return given._replace(starts=np.array([0, 3, 3, 3]), trades=rows, limits=limits)


def looked(module: ModuleType, given: Given) -> suspects_oracle.Kept:
    """What the passes of a module keep."""
    kept, flagged = np.zeros((3, len(given.trades)), np.int8), np.zeros((5, len(given.limits)), np.int64)
    with np.errstate(invalid="ignore"):
        for one in module.passes(given, kept, flagged):
            one()
    return np.bitwise_or.reduce(kept).tolist(), np.bitwise_or.reduce(flagged).tolist()


KNOWN = np.array([[np.nan], [0.5]])
MARKETS = np.array([4, 5])


def mixed(given: Given) -> Any:
    """Trades of a firm as they may come: in any order within their account, their markets not yet told."""
    draw = random.Random(3)
    places = [draw.sample(range(first, last), last - first) for first, last in pairwise(given.starts.tolist())]
    rows = given.trades[np.array([*chain(*places)], np.int64)]
    rows["market"] = -1
    return rows


def settled(module: ModuleType, given: Given) -> list[Any]:
    """What a module makes of trades that came in any order."""
    rows = mixed(given).view(np.recarray if module is not suspects else np.ndarray)
    module._settle(rows, given.starts, 0, len(given.limits), np.zeros(3, np.int64), MARKETS, KNOWN)
    return list(rows.tolist())


def settled_by_hand(given: Given) -> list[Any]:
    """The same in plain words: by account and opening, those at one instant as they came; the larger known worth."""
    rows = sorted(mixed(given), key=lambda row: (row["account"], row["opened"]))
    for row in rows:
        by_size = row["lots"] * KNOWN[row["code"], 0]
        row["market"], row["value"] = MARKETS[row["code"]], np.fmax(by_size, row["value"])
    return [row.item() for row in rows]


class Told(NamedTuple):
    """A firm with what must be kept of it, and its trades once they were put in order."""

    given: Given
    kept: suspects_oracle.Kept
    settled: str


def keeps(module: ModuleType, told: Told) -> bool:
    """Whether a module keeps what must be kept."""
    trades = told.given.trades if module is suspects else Trades(told.given.trades)
    return looked(module, told.given._replace(trades=trades)) == told.kept


def settles(module: ModuleType, told: Told) -> bool:
    """Whether a module puts trades in order and tells what they are worth."""
    return str(settled(module, told.given)) == told.settled


@pytest.fixture(scope="module")
def firms() -> list[Told]:
    """Firms with what must come of them."""
    draw = random.Random(7)
    made = [won_back(), *(firm(draw) for _ in range(FIRMS))]
    with np.errstate(invalid="ignore"):
        kept = [suspects_oracle.tell(one._replace(trades=Trades(one.trades))) for one in made]
    return [Told(one, told, str(settled_by_hand(one))) for one, told in zip(made, kept, strict=True)]


def test_what_is_kept_is_what_must_be(firms: list[Told]) -> None:
    """Guards the compiled passes: no trade and no account more or less than the oracle keeps."""
    for told in firms:
        assert keeps(suspects, told)
        assert settles(suspects, told)
    reasons, flags = (reduce(or_, (one for told in firms for one in told.kept[n])) for n in (0, 1))
    assert (reasons, flags) == (127, 255)


def mutants() -> Iterator[tuple[str, ast.Module]]:
    """The passes with one comparison turned, and where; one tree, turned back before the next."""
    tree = ast.parse(SOURCE)
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef) and compiled(node)]
    for function in functions:
        for node in (one for one in ast.walk(function) if isinstance(one, ast.Compare)):
            for place, op in enumerate(node.ops):
                before = ast.unparse(node)
                node.ops[place] = NOTCHES[type(op)]()
                yield f"{function.name}: {before}  ->  {ast.unparse(node)}", tree
                node.ops[place] = op


def compiled(function: ast.FunctionDef) -> bool:
    """Whether a function is part of the compiled passes."""
    return any(ast.unparse(one) in ("compiled", "inlined") for one in function.decorator_list)


def killed(module: ModuleType, ready: list[Told]) -> bool:
    """Whether a firm is told otherwise or the passes fall over; the firm that noticed goes first for the next."""
    for holds in (keeps, settles):
        for place, told in enumerate(ready):
            try:
                with at_most(SECONDS_PER_FIRM):
                    same = holds(module, told)
            except (ArithmeticError, LookupError, TimeoutError, ValueError):
                same = False
            if not same:
                ready.insert(0, ready.pop(place))
                return True
    return False


@pytest.mark.slow
def test_every_turned_comparison_is_noticed(firms: list[Told]) -> None:
    ready = list(firms)
    assert not killed(interpreted(ast.parse(SOURCE)), ready), "the passes themselves must keep what must be kept"
    turned = ((name, tree) for name, tree in mutants() if name not in SAME)
    survivors = {name for name, tree in turned if not killed(interpreted(tree), ready)}
    assert survivors == set()
