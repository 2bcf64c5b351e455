"""Every comparison of the walk matters to a case: turned one notch, at least one case says otherwise."""

from __future__ import annotations

import ast
import datetime as dt
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from models import walk
from tests.builders import Case, Prepared, in_parts, oracle_says, prepare, walked
from tests.test_walk_cases import CASES
from tests.walk_oracle import Account, Deal, FirmClock, Observation, tell

SOURCE = Path(walk.__file__).read_text(encoding="utf-8")
JUDGING = ("_walk", "_under", "_cut", "_add_up_units", "_recent")
NOTCHES: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
}
SECONDS_PER_CASE = 2.0
Ready = tuple[Prepared, dict[str, Any]]
Holds = Callable[[Prepared, dict[str, Any], Any], bool]
ROOM = 3 + 1024
CUT_MOST = 12
SAME = {
    "at[i] < begin  ->  at[i] <= begin": "the smaller of two equal instants is either",
    "balance > high_water  ->  balance >= high_water": "the higher of two equal balances is either",
    "equity > high_water  ->  equity >= high_water": "the higher of two equal equities is either",
    "equity > reference  ->  equity >= reference": "the higher of two equal equities is either",
    "made[unit] >= best  ->  made[unit] > best": "the higher of two equal results is either",
    "dl_warn > 0  ->  dl_warn >= 0": "only decides whether the short way may be taken",
    "ml_warn > 0  ->  ml_warn >= 0": "only decides whether the short way may be taken",
    "T['pt_size'] > 0  ->  T['pt_size'] >= 0": "only decides how far the short way goes",
    "upcoming <= stop  ->  upcoming < stop": "only decides how far the short way goes",
    "then < low_equity  ->  then <= low_equity": "only decides how far the short way goes",
    "then > top_equity  ->  then >= top_equity": "only decides how far the short way goes",
    "after > top_balance  ->  after >= top_balance": "only decides how far the short way goes",
    "balance > top_balance  ->  balance >= top_balance": "only decides how far the short way goes",
    "r > offsets[T['clock']]  ->  r >= offsets[T['clock']]": "a schedule begins before every account",
    "r < last_reset  ->  r <= last_reset": "a schedule ends after every run",
}
"""Turned comparisons that say the same, and why."""


def comparisons(tree: ast.Module) -> list[ast.Compare]:
    """The comparisons of the functions that judge, in reading order."""
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name in JUDGING]
    found = [node for function in functions for node in ast.walk(function) if isinstance(node, ast.Compare)]
    return sorted(found, key=lambda node: (node.lineno, node.col_offset))


def interpreted(tree: ast.Module) -> ModuleType:
    """The walk as plain Python."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            node.decorator_list = []
    module = ModuleType("walk_mutant")
    sys.modules[module.__name__] = module
    exec(compile(tree, "walk_mutant", "exec"), module.__dict__)
    return module


def mutants() -> Iterator[tuple[str, ast.Module]]:
    """The walk with one comparison turned, and where; one tree, turned back before the next."""
    tree = ast.parse(SOURCE)
    for node in comparisons(tree):
        before, kept = ast.unparse(node), node.ops
        node.ops = [NOTCHES[type(node.ops[0])]()]
        yield f"{before}  ->  {ast.unparse(node)}", tree
        node.ops = kept


def by_oracle(case: Case) -> dict[str, Any]:
    """The oracle's answer to a case."""
    return oracle_says(
        tell(case.account, case.clock, case.rules, case.deals, case.observations, case.as_of, case.pauses)
    )


def many_verdicts() -> list[Case]:
    """Accounts with a verdict every day for years: more than the walk first makes room for."""
    start = dt.datetime(2022, 1, 1, tzinfo=dt.UTC)
    seen = [Observation(start + dt.timedelta(days=day, hours=9), Decimal(94)) for day in range(ROOM + 1)]
    rules = ({"percent": 5, "effect": "pause"}, {"percent": 10, "warn_at": 50})
    account, as_of = Account(Decimal(100), start), seen[-1].at
    # what days add up is added up once, however often the walk makes room
    deals = [Deal("1", start, entry="in", side="buy"), Deal("2", start, kind="balance", profit=Decimal(1))]
    return [Case(account, FirmClock(), {"daily_loss": rule}, deals, seen, as_of) for rule in rules]


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Raises TimeoutError when the block takes more CPU: a turned comparison may never end; others may be busy."""

    def stop(_signal: int, _frame: Any) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def every_instant(prepared: Prepared) -> list[int]:
    """Where a short case can be cut in parts: at each instant that something happens, and just before the end."""
    opened = int(prepared.terms["opened_at"][0])
    at = sorted({int(one) for one in [*prepared.events.at, prepared.as_of - 1] if one >= opened})
    return at if len(at) <= CUT_MOST else []


def deciding(ready: list[Ready], holds: Holds) -> list[list[int]]:
    """For each comparison the cases in which it would, turned, once be decided otherwise; no other can notice that.

    The walk itself must satisfy every case.
    """
    tree = ast.parse(SOURCE)
    listed = comparisons(tree)
    found: list[set[int]] = [set() for _ in listed]
    here = 0

    def decided(number: int, plain: Any, turned: Any) -> Any:
        if bool(plain) != bool(turned):
            found[number].add(here)
        return plain

    module = interpreted(_Noting(listed).visit(tree))
    vars(module)["decided"] = decided
    for here, (prepared, told) in enumerate(ready):  # noqa: B007 - read by `decided`
        assert holds(prepared, told, module.walk)
    return [sorted(places) for places in found]


class _Noting(ast.NodeTransformer):
    """Lets each of some comparisons tell how it was decided, and how it would have been when turned."""

    def __init__(self, listed: list[ast.Compare]) -> None:
        self.numbers = {id(node): number for number, node in enumerate(listed)}

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        self.generic_visit(node)
        if id(node) not in self.numbers:
            return node
        turned = ast.Compare(node.left, [NOTCHES[type(node.ops[0])]()], node.comparators)
        told = ast.Call(ast.Name("decided", ast.Load()), [ast.Constant(self.numbers[id(node)]), node, turned], [])
        return ast.fix_missing_locations(ast.copy_location(told, node))


def killed(fold: Any, ready: list[Ready], some: list[int], holds: Holds) -> bool:
    """Whether one of some cases is told otherwise by this walk, or the walk falls over."""
    for place in some:
        try:
            with at_most(SECONDS_PER_CASE):
                same = holds(*ready[place], fold)
        except Exception:
            same = False
        if not same:
            return True
    return False


def holds_at_once(prepared: Prepared, told: dict[str, Any], fold: Any) -> bool:
    """Whether a walk from the start says what the oracle says."""
    return walked(prepared, fold) == told


def holds_in_parts(prepared: Prepared, told: dict[str, Any], fold: Any) -> bool:
    """Whether a walk that stops and goes on at every instant says so too, and ends with the same figures."""
    asked = (prepared.events, prepared.terms, prepared.schedules, prepared.as_of)
    parted = in_parts(every_instant(prepared), fold)
    same: bool = walked(prepared, parted) == told
    return same and parted(*asked).results.tolist() == fold(*asked).results.tolist()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:divide by zero")  # by what was turned
def test_every_turned_comparison_is_noticed() -> None:
    ready = [(prepare(case), by_oracle(case)) for case in [*(case for _, case, _ in CASES), *many_verdicts()]]
    ways: list[Holds] = [holds_at_once, holds_in_parts]
    noticing = [deciding(ready, holds) for holds in ways]
    survivors = {
        name
        for number, (name, tree) in enumerate(mutants())
        if name not in SAME
        and not any(
            killed(interpreted(tree).walk, ready, places[number], holds)
            for holds, places in zip(ways, noticing, strict=True)
        )
    }
    assert survivors == set()
