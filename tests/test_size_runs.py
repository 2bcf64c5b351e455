"""How sizes follow losses and wins: one compiled pass says what its words say, told anew for random entries."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby, pairwise
from statistics import median
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest

from models import size_runs
from models.detectors.base import show_terms
from models.detectors.martingale import Terms
from models.size_runs import follow
from models.walk import NEVER

TERMS = Terms()
ENTRIES = (
    "account_id", "account", "chain", "is_long", "all_known", "opened_us", "closed_us", "lots", "size", "own_size",
    "open_price", "net_profit",
)  # fmt: skip
LADDERS: dict[str, Callable[[float, float], float]] = {
    "rung": lambda depth, layer: depth,
    "later": lambda depth, layer: max(depth - 1, 0),
    "lots_more": lambda depth, layer: math.log(1 + depth),
    "layer": lambda depth, layer: layer,
}


@dataclass
class Entry:
    """An entry, with what the one before it in its sequence tells of it."""

    opened: int
    closed: int
    chain: int
    is_long: bool
    lots: float
    size: float | None
    own_size: float | None
    all_known: bool
    price: float
    net: float | None
    step: float | None = None
    after: str = ""
    in_turn: bool = False


def entries_of(chance: random.Random, account: int) -> list[Entry]:
    """A few instruments, some of unknown sizes, in few sizes, times and prices, beside each other too."""
    usual = [chance.choice([None, 1.0, 2.0]) for _ in range(chance.randint(1, 3))]
    found, at = [], 0
    for _ in range(chance.randint(1, 40)):
        at += chance.randint(0, 3)
        chain = chance.randrange(len(usual))
        lots, own = chance.choice([1.0, 1.2, 1.4, 2.0, 2.8, 4.0]), usual[chain]
        found.append(
            Entry(
                opened=at,
                closed=NEVER if chance.random() < 0.05 else at + chance.randint(0, 4),
                chain=10 * account + chain,
                is_long=chance.random() < 0.7,
                lots=lots,
                size=None if chain == 1 else lots * (chain + 1),
                own_size=None if own is None else lots / own,
                all_known=None not in usual,
                price=chance.choice([1.0, 1.1, 1.2]),
                net=chance.choice([None, -2.0, -1.0, -1.0, 0.0, 1.0]),
            )
        )
    return found


def told_by(before: Entry, entry: Entry) -> Entry:
    """The entry with what the one before says of it."""
    alike, in_turn = before.chain == entry.chain, before.closed <= entry.opened
    after = ""
    if in_turn and before.net:
        after = "loss" if before.net < 0 else "win"
    elif alike and before.is_long == entry.is_long:
        moved = entry.price - before.price
        after = "loss" if (moved if entry.is_long else -moved) < 0 else "win"
    step = entry.lots / before.lots if alike else None
    if not alike and None not in (entry.own_size, before.own_size):
        step = entry.own_size / before.own_size  # type: ignore[operator]
    elif not alike and None not in (entry.size, before.size):
        step = entry.size / before.size  # type: ignore[operator]
    return Entry(**{**vars(entry), "step": step, "after": after, "in_turn": in_turn})


def expected(sequences: list[list[Entry]], whole: bool) -> dict[str, Any] | None:
    """What is found of an account in its own order, or instrument by instrument."""
    counts = {"losses": 0, "raised_after_loss": 0, "wins": 0, "raised_after_win": 0}
    steps: list[float] = []
    raised_at: list[int] = []
    samples: list[Any] = []
    for first, *others in sequences:
        told = [told_by(*pair) for pair in pairwise([first, *others])]
        told = [first, *(entry for entry in told if entry.after and entry.step is not None)]
        sample: list[Any] = []
        for after, run in ((after, list(run)) for after, run in groupby(told, lambda entry: entry.after)):
            layer = 0
            for place, entry in enumerate(run, 1):
                layer = layer + 1 if after == "loss" and not entry.in_turn else 0
                size = entry.lots if not whole else entry.own_size if entry.all_known else entry.size
                if size is not None:
                    depth = min(place, TERMS.rungs_max) if after == "loss" else 0
                    sample.append((math.log(size), depth, min(layer, TERMS.rungs_max)))
                if not after:
                    continue
                assert entry.step is not None
                by = entry.step
                if entry.in_turn and place > 1 and TERMS.climb_min <= by < TERMS.step_min - 1e-9:
                    by = math.prod(one.step or 1 for one in run[:place])
                is_raised = by >= TERMS.step_min - 1e-8 and not (entry.own_size is not None and entry.own_size <= 1)
                counts["losses" if after == "loss" else "wins"] += 1
                counts[f"raised_after_{after}"] += is_raised
                if after == "loss":
                    steps.append(entry.step)
                    raised_at += [entry.opened] if is_raised else []
        samples.append(np.array(sample, dtype=np.float64).reshape(-1, 3))
    if not counts["losses"] + counts["wins"]:
        return None
    samples = [sample for sample in samples if len(sample)]
    found: dict[str, Any] = {
        **counts,
        "step_after_loss": median(steps) if steps else None,
        "first_at": min(raised_at, default=None),
        "last_at": max(raised_at, default=None),
        "heights": sum(len(sample) - 1 for sample in samples) if samples else None,
        "heights_varied": sum(len(one) * one[:, 0].var() for one in samples) if samples else None,
    }
    for ladder, depth_of in LADDERS.items():
        depths = [np.array([depth_of(*row[1:]) for row in sample], dtype=float) for sample in samples]
        both = [(depth - depth.mean(), sample[:, 0]) for depth, sample in zip(depths, samples, strict=True)]
        found[f"{ladder}_varied"] = sum(float((depth**2).sum()) for depth, _ in both) if samples else None
        found[f"{ladder}_with_height"] = sum(float((depth * size).sum()) for depth, size in both) if samples else None
    return found


def followed(rows: list[tuple[Any, ...]]) -> list[dict[str, Any]]:
    """What the pass finds in rows of `ENTRIES`, given in their order."""
    connection = duckdb.connect()
    show_terms(connection, "martingale", TERMS)
    kinds = ["varchar", *["bigint"] * 6, *["double"] * 5]
    columns = zip(*rows, strict=True) if rows else [()] * len(ENTRIES)
    told = pd.DataFrame(dict(zip(ENTRIES, map(list, columns), strict=True)), dtype=object)
    connection.register("told", told.assign(place=range(len(told))))
    named = ", ".join(f"cast({name} as {kind}) as {name}" for name, kind in zip(ENTRIES, kinds, strict=True))
    found: list[dict[str, Any]] = follow(connection, f"select {named} from told order by place").to_pylist()
    return found


@pytest.mark.parametrize("missing", ["lots", "size", "net_profit"])
def test_columns_with_and_without_gaps_are_followed_by_one_compiled_pass(missing: str) -> None:
    """Whoever first has another mixture of the two would else wait seconds for it to be compiled."""
    row = ("a0", 0, 0, 1, 1, 0, 1, 1.0, 1.0, 1.0, 1.1, -5.0)
    gap = tuple(None if name == missing else value for name, value in zip(ENTRIES, row, strict=True))
    assert [len(followed(rows)) for rows in ([row, row], [row, row, gap])] == [2, 2]
    assert len(size_runs._follow.signatures) == 1  # type: ignore[attr-defined]


def test_the_pass_says_what_its_words_say() -> None:
    chance = random.Random(3)
    firm = {account: entries_of(chance, account) for account in range(300)}
    chains = {chain: n for n, chain in enumerate(sorted({one.chain for own in firm.values() for one in own}))}
    found = followed(
        [
            (
                f"a{account}", account, chains[one.chain], int(one.is_long), int(one.all_known), one.opened, one.closed,
                one.lots, one.size, one.own_size, one.price, one.net,
            )
            for account, entries in firm.items()
            for one in entries
        ]
    )  # fmt: skip
    wanted: dict[tuple[str, str], Any] = {}
    for account, entries in firm.items():
        by_chain = sorted(entries, key=lambda one: one.chain)
        wanted[f"a{account}", "account"] = expected([entries], whole=True)
        apart = [list(own) for _, own in groupby(by_chain, lambda one: one.chain)]
        wanted[f"a{account}", "instrument"] = expected(apart, whole=False)
    wanted = {key: one for key, one in wanted.items() if one}
    assert {(row["account_id"], row["sequence"]) for row in found} == set(wanted)
    assert sum(row["raised_after_loss"] for row in found) > 500
    for row in found:
        times = {name: row[name] and round(1e6 * row[name].timestamp()) for name in ("first_at", "last_at")}
        told = wanted[row["account_id"], row["sequence"]]
        assert {name: {**row, **times}[name] for name in told} == {
            name: value if value is None else pytest.approx(value, rel=1e-9, abs=1e-9) for name, value in told.items()
        }


def test_nothing_traded_is_no_row() -> None:
    assert followed([]) == []
