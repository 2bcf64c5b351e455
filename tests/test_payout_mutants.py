"""Every comparison of a payout review matters: turned one notch, a case worked out by hand or a test says otherwise."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pytest

from models.payouts import amounts, conduct, eligibility, shares
from models.payouts.facts import Desk, Request
from models.payouts.review import Reviewed, review
from models.payouts.shares import Split
from tests import test_payout_limits, test_payouts
from tests.payout_world import Test, every_test, walk_together
from tests.test_payout_cases import CASES, all_reviewed, said
from tests.test_walk_mutants import NOTCHES

pytestmark = pytest.mark.xdist_group("payouts")  # the firms of `test_payouts` are walked once
JUDGING = (shares, eligibility, amounts, conduct)
SAME = {
    "_alive: request.closed_at <= request.requested_at  ->  request.closed_at < request.requested_at": "an account that"
    " was closed is judged closed from that instant on",
    "unit_profits: unit[1] > 0  ->  unit[1] >= 0": "what made nothing adds nothing",
}
"""Turned comparisons that say the same, and why."""
NOTCHED = NOTCHES | {ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is}
Asked = list[tuple[Request, Desk]]


def places(module: ModuleType) -> Iterator[tuple[str, str, ast.Module]]:
    """A function's name, which of its comparisons is turned, and the tree with it; turned back before the next."""
    tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
    for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
        for node in (one for one in ast.walk(function) if isinstance(one, ast.Compare)):
            for place, op in enumerate(node.ops):
                before = ast.unparse(node)
                node.ops[place] = NOTCHED[type(op)]()
                yield function.name, f"{function.name}: {before}  ->  {ast.unparse(node)}", tree
                node.ops[place] = op


def found(space: dict[str, Any], name: str) -> FunctionType:
    """A function of a module by its name, or the method or property of one of its classes that has it."""
    rooms = [space, *(vars(one) for one in space.values() if isinstance(one, type))]
    held = next(room[name] for room in rooms if name in room)
    function = held.fget if isinstance(held, property) else held
    assert isinstance(function, FunctionType)
    return function


@contextmanager
def turned(module: ModuleType, name: str, tree: ast.Module) -> Iterator[None]:
    """Lets everybody who calls a function run it as a turned tree has it."""
    copy = ModuleType(module.__name__)
    exec(compile(tree, "mutant", "exec"), copy.__dict__)
    real, mutant = found(vars(module), name), found(vars(copy), name)
    before, real.__code__ = real.__code__, mutant.__code__
    try:
        yield
    finally:
        real.__code__ = before


# By hand: all of the first 1,000, 87.5 % of the next, half of the next, then nothing.
BANDS = Split(((0, Decimal(100)), (1000, Decimal("87.5")), (2000, Decimal(50)), (3000, Decimal(0))))
OF = {-5: 0, 0: 0, 1: 1, 1000: 1000, 1004: 1004, 1100: 1088, 2000: 1875, 2001: 1876, 3000: 2375, 9000: 2375}
BEHIND = {0: 0, 1000: 1000, 1875: 2000, 2375: 3000, 2376: 2376}
PERCENT = {-1: "100", 0: "100", 2000: "93.75", 3000: "79.1667", 4750: "50"}
FLAT = Split(((0, Decimal(80)),))
PAID = {"currency": "USD", "amount": Decimal(1000), "transfer_fee": None}
DRAWN = [
    # transfer, its currency, net of the split, what the payout drew
    (None, "USD", False, "1000"),
    ("800", "USD", False, "1000"),
    ("799.99", "USD", False, "1000"),  # a cent may be lost in rounding
    ("799.98", "USD", False, "999.98"),
    ("320", "USD", False, "400"),
    ("320", "EUR", False, "1000"),
    ("1000", "USD", True, "1250"),
    ("500", "USD", True, "625"),
]
"""What an honoured request of 1,000 draws that is split by 80 %."""


def by_hand() -> bool:
    """Whether bands of a split and what payouts draw come to what was worked out by hand."""
    drew = []
    for sent, currency, net, _ in DRAWN:
        row = PAID | {"transfer_amount": None if sent is None else Decimal(sent), "transfer_currency": currency}
        drew.append(shares.drawn(row, FLAT, net=net))
    return (
        {profit: BANDS.of(profit) for profit in OF} == OF
        and {part: BANDS.behind(part) for part in BEHIND} == BEHIND
        and {profit: BANDS.percent(profit) for profit in PERCENT}
        == {profit: Decimal(percent) for profit, percent in PERCENT.items()}
        and drew == [Decimal(wanted) for *_, wanted in DRAWN]
    )


def holds(asked: Asked) -> bool:
    """Whether every case is told as it was worked out by hand."""
    if not by_hand():
        return False
    told = {}
    for request, desk in asked:
        row = review(request, desk).as_row()
        told[row["payout_id"]] = row | {"checks": {one["check"]: one for one in json.loads(row["checks"])}}
    return all(found == wanted for found, wanted in (said(told, it) for it in CASES))


def killer(module: ModuleType, name: str, tree: ast.Module, tests: list[Test], path: Path) -> Test | None:
    """A test that fails with a turned function, or with which it does not run; it is tried first on the next."""
    with turned(module, name, tree):
        for place, test in enumerate(tests):
            try:
                test(path)
            except (Exception, pytest.fail.Exception):
                tests.insert(0, tests.pop(place))
                return test
    return None


@pytest.mark.slow
def test_every_turned_comparison_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: Asked = []

    def kept(request: Request, desk: Desk) -> Reviewed:
        asked.append((request, desk))
        return review(request, desk)

    with monkeypatch.context() as patched:
        patched.setattr(import_module("models.payouts.review"), "review", kept)
        all_reviewed(tmp_path)

    def as_by_hand(_: Path) -> None:
        assert holds(asked)

    (tmp_path / "together").mkdir()
    walk_together(every_test(test_payouts), tmp_path / "together")
    tests = [*every_test(test_payout_limits), as_by_hand, *every_test(test_payouts)]
    killers: dict[str, Test | None] = {}
    for module in JUDGING:
        for name, line, tree in places(module):
            killers[line] = None if line in SAME else killer(module, name, tree, tests, tmp_path)
    assert {line for line, test in killers.items() if test is None} == set(SAME)
    for place, test in enumerate({test for test in killers.values() if test}):
        folder = tmp_path / f"as it is {place}"
        folder.mkdir()
        test(folder)  # what failed did so because of what was turned
