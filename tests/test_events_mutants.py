"""Every comparison of what orders deals and follows positions matters: turned one notch, an oracle says otherwise.

The oracle follows positions in plain words, deal by deal. A deal that closes what is only opened at the same instant
belongs to that opening; else what it closes was opened nobody knows when.
"""

from __future__ import annotations

import ast
import random
from collections import defaultdict
from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from models import events
from models.events import IN, INOUT, NONE, OUT
from models.walk import BALANCE, CREDIT, DEPOSIT, FLAT, LOTS_SCALE, OBSERVATION, OPENING, PAUSING, PAYOUT, TRADE, Events
from tests.test_walk_mutants import NOTCHES, at_most, interpreted

SOURCE = Path(events.__file__).read_text(encoding="utf-8")
FOLLOWING = ("_held_after", "_opens", "_follow", "_rounded", "_sort_within", "_ties", "_merge")
WORLDS = 2_000
SECONDS_PER_TURN = 40.0
INITIAL = 1_000
SECOND = 1_000_000
OWED_MOST = 16
SAME = {
    "value[row] >= 0  ->  value[row] > 0": "nothing is nothing with either sign",
    "held > 0  ->  held >= 0": "of nothing held nothing is left with either sign",
    "now > 0  ->  now >= 0": "of nothing left nothing is left with either sign, or only where no entry is told",
    "line == len(lines)  ->  line != len(lines)": "only decides when room is made",
    "count == len(open_ids)  ->  count != len(open_ids)": "only decides when room is made",
    "at[i] < at[i - 1]  ->  at[i] <= at[i - 1]": "what is in order stays so",
    "kind[order[i]] < kind[order[i - 1]]  ->  kind[order[i]] <= kind[order[i - 1]]": "what is in order stays so",
    "len(still_open) > 0  ->  len(still_open) >= 0": "without places nothing is set",
}
"""Turned comparisons that say the same, and why."""
Deals = dict[str, np.ndarray[Any, Any]]
COLUMNS = ("at", "kind", "amount", "entry", "side", "lots", "position", "market", "netted", "traded", "correction")


def deals(draw: random.Random) -> tuple[Deals, list[int]]:
    """Deals of two small accounts that crowd together in few instants and positions, and how many each has."""
    counts = [draw.choice([1, 3, 6, 9]) for _ in range(2)]
    rows = []
    for count in counts:
        at = sorted(draw.choice([0, 0, 1, 2, 2, 5, 8]) * SECOND + draw.choice([0, 0, 0, 1]) for _ in range(count))
        netted = draw.random() < 0.3
        for one in at:
            kind = draw.choice([TRADE] * 9 + [BALANCE, CREDIT])
            position = draw.choice([1, 1, 2, 3, 4])
            amount = draw.choice([INITIAL, -5, 7, 0]) if kind != TRADE else draw.choice([-3, 0, 4, 9])
            lots = draw.choice([1, 1, 1, 2, 0.5, 0])
            entry, side = draw.choice([NONE, IN, IN, OUT, OUT, INOUT]), draw.choice([-1, 1, 1, 0])
            market = 1 if position < 4 else 2
            traded = kind == TRADE and draw.random() < 0.9
            rows.append((one, kind, amount, entry, side, lots, position, market, netted, traded, draw.random() < 0.2))
    return {name: np.array(column) for name, column in zip(COLUMNS, zip(*rows, strict=True), strict=True)}, counts


def crowd(closings: int) -> tuple[Deals, list[int]]:
    """One instant in which many positions are closed before the first and the last of them are opened."""
    rows = [(5, TRADE, 1, OUT, -1, 1.0, number, 1, False, True, False) for number in range(closings)]
    rows += [(5, TRADE, 2, IN, 1, 1.0, number, 1, False, True, False) for number in (0, closings - 1)]
    return {name: np.array(column) for name, column in zip(COLUMNS, zip(*rows, strict=True), strict=True)}, [
        closings + 2
    ]


def followed(module: ModuleType, told: Deals, counts: list[int]) -> list[Any]:
    """What a module says of the deals, which it is given in another order than that of time."""
    draw = random.Random(len(told["at"]))
    order = np.array(draw.sample(range(len(told["at"])), len(told["at"])), np.int64)
    given = {}
    for name in ("entry", "side", "lots", "position", "market", "netted", "traded", "correction"):
        given[name] = np.empty_like(told[name])
        given[name][order] = told[name]
    kinds = {"entry": np.int8, "side": np.int8, "lots": np.float64, "position": np.int64, "market": np.int64}
    starts, still_open = np.cumsum([0, *counts]), np.zeros(len(order), np.bool_)
    initial = np.full(len(counts), INITIAL, np.int64)
    found = module._follow(
        order,
        starts,
        told["at"].astype(np.int64),
        told["kind"].astype(np.int8),
        told["amount"].astype(np.int64),
        initial,
        *(given[name].astype(kind) for name, kind in kinds.items()),
        *(given[name].astype(np.bool_) for name in ("netted", "traded", "correction")),
        still_open,
        np.array([False, True])[: len(counts)],
    )
    flags, closed_net, opened_at, most_lots, part, beside, gap = (one.tolist() for one in found)
    firsts: dict[tuple[int, int], int] = {}
    account = np.repeat(np.arange(len(counts)), counts).tolist()
    for place, one in enumerate(part):
        firsts.setdefault((account[place], one), place)
    joined = [firsts[account[place], one] if one >= 0 else -1 for place, one in enumerate(part)]
    before = [
        firsts.get((account[place], beside[place]), -2) if one == place and beside[place] >= 0 else -1
        for place, one in enumerate(joined)
    ]
    gaps = [gap[place] if one == place else 0 for place, one in enumerate(joined)]
    return [flags, closed_net, opened_at, most_lots, joined, before, gaps, still_open[order].tolist()]


class Line:
    """A symbol and a direction: who is open there, who came last, and when it was left."""

    def __init__(self) -> None:
        self.open: set[int] = set()
        self.last = -1
        self.left: int | None = None


class Position:
    """An open position: signed lots, what it made, since when and from which deal on, its most lots, its first deal."""

    def __init__(self, made: int, since: int, began: int, first: int, line: Line) -> None:
        self.lots, self.made, self.most = 0, made, 0
        self.since, self.began, self.first, self.line = since, began, first, line


def by_hand(told: Deals, counts: list[int]) -> list[Any]:
    """What must be said of the deals."""
    said: list[list[Any]] = [[0] * len(told["at"]) for _ in range(4)]
    said += [[-1] * len(told["at"]), [-1] * len(told["at"]), [0] * len(told["at"]), [False] * len(told["at"])]
    begins = 0
    for number, count in enumerate(counts):
        rows = [{name: told[name][place].item() for name in COLUMNS} for place in range(begins, begins + count)]
        _account(said, rows, begins, number == 1)
        begins += count
    return said


def _account(said: list[list[Any]], rows: list[dict[str, Any]], begins: int, deposited: bool) -> None:
    flags, closed_net, opened_at, most_lots, joined, before, gaps, still_open = said
    held: dict[int, Position] = {}
    lines: defaultdict[tuple[int, bool], Line] = defaultdict(Line)
    early: list[tuple[int, Line]] = []
    instant, began = 0, begins
    for place, deal in enumerate(rows, begins):
        if deal["kind"] == CREDIT:
            continue
        if deal["kind"] == BALANCE:
            if deal["amount"] == INITIAL and not deposited:
                deposited, flags[place] = True, DEPOSIT
            elif deal["amount"] < 0 and not deal["correction"]:
                flags[place] = PAYOUT
            continue
        if not deal["traded"]:
            flags[place] = 0 if held else FLAT
            continue
        if deal["at"] != instant:
            instant, began, early = deal["at"], place, []
        key, lots = deal["position"], round(deal["lots"] * LOTS_SCALE)
        mine, known = held.get(key), key in held
        was = mine.lots if mine else 0
        now = left(was, deal, lots)
        if mine is None:
            debts = [one for one in early if rows[one[0] - begins]["position"] == key] if deal["entry"] == IN else []
            if debts:
                first, line = debts[0]
                mine = Position(0, deal["at"], began, first, line)
                for closing, its_line in debts:
                    early.remove((closing, its_line))
                    now = (1 if now > 0 else -1) * max(abs(now) - most_lots[closing], 0)
                    mine.made += closed_net[closing]
                    if its_line.last == joined[closing]:
                        its_line.last = first
                    closed_net[closing] = most_lots[closing] = 0
                    joined[closing] = first
                    if closing != first:
                        before[closing], gaps[closing] = -1, 0
                    for between in range(closing, place):
                        flags[between] &= ~FLAT
            else:
                long = now > 0 or (now == 0 and (deal["side"] > 0) == (deal["entry"] == IN))
                line = lines[deal["market"], long]
                if line.left is not None and not line.open:
                    gaps[place] = -((line.left - deal["at"]) // SECOND)
                before[place] = line.last
                line.last, line.left = place, deal["at"]
                mine = Position(0, deal["at"], began, place, line)
        joined[place] = mine.first
        mine.made, mine.lots, mine.most = mine.made + deal["amount"], now, max(mine.most, abs(now))
        if now:
            held[key] = mine
            mine.line.open.add(mine.first)
        elif known:
            del held[key]
            mine.line.open.discard(mine.first)
            mine.line.left = deal["at"]
            closed_net[place], opened_at[place], most_lots[place] = mine.made, mine.since, mine.most
        elif deal["entry"] == IN:
            closed_net[place], opened_at[place], most_lots[place] = mine.made, deal["at"], lots
        else:
            closed_net[place] = mine.made
            most_lots[place] = lots or (LOTS_SCALE if deal["entry"] == OUT else 0)
            if deal["entry"] == OUT and not deal["netted"] and len(early) < OWED_MOST:
                early.append((place, mine.line))
        opening = deal["entry"] in (IN, INOUT)
        if deal["entry"] == NONE:
            opening = lots == 0 or abs(now) > abs(was) or now * was < 0
        flags[place] |= (OPENING if opening else 0) | (0 if held else FLAT)
    for key, mine in held.items():
        for place, deal in enumerate(rows[mine.began - begins :], mine.began):
            still_open[place] |= deal["traded"] and deal["position"] == key


def left(held: int, deal: dict[str, Any], lots: int) -> int:
    """Signed lots after a deal."""
    sign = -1 if deal["side"] < 0 else 1
    if lots == 0:
        opens = {IN: sign, INOUT: sign, NONE: 0}
        return 0 if deal["entry"] == OUT else held + opens[deal["entry"]] * LOTS_SCALE
    if deal["entry"] == OUT and (not deal["netted"] or deal["side"] == 0):
        rest = max(abs(held) - lots, 0)
        return rest if held > 0 else -rest
    if deal["entry"] == NONE and deal["side"] == 0:
        return held
    return held + sign * lots


# --- rounding, order, and deals among observations -----------------------------------------------------------------


def ordered(module: ModuleType, draw: random.Random) -> tuple[list[Any], list[Any]]:
    """What a module makes of rows of two accounts out of order, and what is right."""
    counts = [draw.choice([0, 1, 4]), draw.choice([2, 5])]
    starts, total = np.cumsum([0, *counts]), sum(counts)
    order = np.arange(total)
    at = np.array([draw.randrange(4) for _ in range(total)])
    kind = np.array([draw.randrange(3) for _ in range(total)], np.int8)
    owner = np.repeat(np.array([0, 1], np.int32), counts)
    right = sorted(range(total), key=lambda row: (owner[row], at[row], kind[row]))
    ties = [
        place
        for place, (a, b) in enumerate(pairwise(right))
        if (owner[a], at[a], kind[a]) == (owner[b], at[b], kind[b])
    ]
    sorted_at = at.copy()
    module._sort_within(order, sorted_at, starts, kind)
    found = module._ties(order, owner, sorted_at, kind)
    return [order.tolist(), sorted_at.tolist(), found.tolist()], [right, at[right].tolist(), ties]


def rounded(module: ModuleType, draw: random.Random) -> tuple[list[Any], list[Any]]:
    """What a module rounds, and what is right."""
    values = [draw.choice([-150, -50, -49, 0, 49, 50, 51, 150, 100]) for _ in range(5)]
    found = module._rounded(np.array(values), np.array([100]), np.zeros(5, np.int32)).tolist()
    return found, [int((Decimal(one) / 100).quantize(Decimal(1), ROUND_HALF_UP)) for one in values]


def merged(module: ModuleType, draw: random.Random) -> tuple[list[Any], list[Any]]:
    """Deals and observations of two accounts as a module puts them in one order, and what is right."""
    counts = [(draw.randrange(3), draw.randrange(3)) for _ in range(2)]
    starts = [np.cumsum([0, *(one[side] for one in counts)]) for side in (0, 1)]
    at = [np.concatenate([[], *(sorted(draw.choices(range(4), k=one[side])) for one in counts)]) for side in (0, 1)]
    kind = np.full(len(at[0]), TRADE, np.int8)
    nothing, rows = np.zeros(len(at[0]), np.int64), [np.arange(len(one)) for one in at]
    deal = (rows[0], starts[0], at[0].astype(np.int64), kind, rows[0] + 10, *[nothing] * 7)
    found = module._merge(*deal, rows[1], starts[1], at[1].astype(np.int64), rows[1] + 20)
    right = []
    for account, (trades, seen) in enumerate(counts):
        mine = [(at[0][starts[0][account] + n], TRADE, starts[0][account] + n + 10) for n in range(trades)]
        mine += [(at[1][starts[1][account] + n], OBSERVATION, starts[1][account] + n + 20) for n in range(seen)]
        right += sorted(mine, key=lambda one: one[:2])
    return list(zip(*(found[place].tolist() for place in (1, 2, 4)), strict=True)), [tuple(map(int, r)) for r in right]


# --- the tests -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def worlds() -> list[tuple[Deals, list[int], list[Any]]]:
    draw = random.Random(11)
    made = [crowd(OWED_MOST), crowd(OWED_MOST + 1), *(deals(draw) for _ in range(WORLDS))]
    return [(*one, by_hand(*one)) for one in made]


def test_positions_are_followed_as_the_oracle_follows_them(worlds: list[Any]) -> None:
    for told, counts, right in worlds:
        found = followed(events, told, counts)
        assert found == right, told
    draw = random.Random(12)
    for _ in range(WORLDS // 4):
        for one in (ordered, rounded, merged):
            found, right = one(events, draw)
            assert found == right


def test_a_pause_comes_after_all_else_of_its_instant() -> None:
    """Guards the order within an instant: observations, and of no account but the one that is paused."""
    names = ("flags", "amount", "closed_net", "opened_at", "lots", "part", "beside", "gap")
    nothing = {name: np.zeros(3, np.int64) for name in names}
    kind = np.array([TRADE, OBSERVATION, TRADE], np.int8)
    told = Events(starts=np.array([0, 2, 3]), at=np.array([4, 6, 4]), kind=kind, row=np.arange(3), **nothing)
    paused = events.with_pauses(told, np.array([0, 0]), np.array([6, 4]))
    assert paused.starts.tolist() == [0, 4, 5]
    assert list(zip(paused.at.tolist(), paused.kind.tolist(), paused.row.tolist(), strict=True)) == [
        (4, TRADE, 0),
        (4, PAUSING, -1),
        (6, OBSERVATION, 1),
        (6, PAUSING, -1),
        (4, TRADE, 2),
    ]


def turned() -> Iterator[tuple[str, ast.Module]]:
    """The module with one comparison turned, and where; one tree, turned back before the next."""
    tree = ast.parse(SOURCE)
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name in FOLLOWING]
    for function in functions:
        for node in [one for one in ast.walk(function) if isinstance(one, ast.Compare)]:
            before, kept = ast.unparse(node), node.ops
            node.ops = [NOTCHES[type(node.ops[0])]()]
            yield f"{before}  ->  {ast.unparse(node)}", tree
            node.ops = kept


def noticed(module: ModuleType, worlds: list[Any]) -> bool:
    """Whether any world, order or rounding is told otherwise."""
    draw = random.Random(12)
    with at_most(SECONDS_PER_TURN):
        for _ in range(60):
            for one in (ordered, rounded, merged):
                found, right = one(module, draw)
                if found != right:
                    return True
        return any(followed(module, told, counts) != right for told, counts, right in worlds)


def test_each_comparison_is_noticed_when_turned(worlds: list[Any]) -> None:
    same = []
    for name, tree in turned():
        try:
            told = noticed(interpreted(tree), worlds)
        except (TimeoutError, IndexError):
            told = True
        if not told:
            same.append(name)
    assert set(same) == set(SAME)
