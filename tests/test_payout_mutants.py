"""Every comparison that shares profit out matters: turned one notch, a case worked out by hand says otherwise."""

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

from models.payouts import eligibility, shares
from models.payouts.facts import Desk, Request
from models.payouts.review import Reviewed, review
from models.payouts.shares import Split
from tests.test_payout_cases import CASES, all_reviewed, said
from tests.test_walk_mutants import NOTCHES

JUDGING: tuple[tuple[ModuleType, tuple[str, ...]], ...] = (
    (shares, ("of", "behind", "percent", "split_of", "claimed", "steps_of", "_periods", "_made", "grown", "drawn")),
    (eligibility, ("_alive", "_claim")),
)
SAME = {
    "_alive: request.closed_at <= request.requested_at  ->  request.closed_at < request.requested_at": "an account that"
    " was closed is judged closed from that instant on",
}
"""Turned comparisons that say the same, and why."""
NOTCHED = NOTCHES | {ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is}
Asked = list[tuple[Request, Desk]]


def functions(tree: ast.Module, names: tuple[str, ...]) -> Iterator[ast.FunctionDef]:
    """The functions of a module, and methods of its classes, that have one of these names."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name in names:
            yield node


def places(module: ModuleType, names: tuple[str, ...]) -> Iterator[tuple[str, str, ast.Module]]:
    """A function's name, which of its comparisons is turned, and the tree with it; turned back before the next."""
    tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
    for function in functions(tree, names):
        for node in (one for one in ast.walk(function) if isinstance(one, ast.Compare)):
            for place, op in enumerate(node.ops):
                before = ast.unparse(node)
                node.ops[place] = NOTCHED[type(op)]()
                yield function.name, f"{function.name}: {before}  ->  {ast.unparse(node)}", tree
                node.ops[place] = op


def found(space: dict[str, Any], name: str) -> FunctionType:
    """A function of a module by its name, or the method of `Split` that has it."""
    function = space[name] if name in space else vars(space["Split"])[name]
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


def killed(module: ModuleType, name: str, tree: ast.Module, asked: Asked) -> bool:
    """Whether a case is told otherwise with a turned function, or it does not run."""
    with turned(module, name, tree):
        try:
            return not holds(asked)
        except Exception:
            return True


@pytest.mark.slow
def test_every_turned_comparison_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: Asked = []

    def kept(request: Request, desk: Desk) -> Reviewed:
        asked.append((request, desk))
        return review(request, desk)

    with monkeypatch.context() as patched:
        patched.setattr(import_module("models.payouts.review"), "review", kept)
        all_reviewed(tmp_path)
    assert holds(asked), "the code itself must satisfy every case"
    survivors = {
        line
        for module, names in JUDGING
        for name, line, tree in places(module, names)
        if not killed(module, name, tree, asked)
    }
    assert survivors <= set(SAME), survivors - set(SAME)
