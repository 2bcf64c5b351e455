"""How sizes follow losses and wins: one compiled pass over the entries of each account, for `detectors.martingale`.

Windows over all positions would sort them five times; the pass reads them once, in order. Every entry stands in two
sequences: the account's own and that of its instrument there. What is unknown is NaN, or NEVER where it is a time.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import duckdb
import numpy as np
import pyarrow as pa

from models.compiled import compiled, to_read
from models.walk import NEVER, Array

UNKNOWN, LOSS, WIN = 0, 1, 2
"""What the position before came to."""
LADDERS = ("rung", "later", "lots_more", "layer")
"""What sizes may climb with: losses in a row, all but the first of them, lots more with each (as a logarithm), layers
laid while the one before was losing."""
TERMS = ("step_min", "climb_min", "rungs_max")
WHOLE = ("chain", "is_long", "all_known", "opened_us", "closed_us")
"""Columns of whole numbers; the others are amounts, NaN where one is not known."""
EXACT = 1e-9
"""What is just as large counts: quotients are rounded."""

RUN = np.dtype(
    [
        ("before", "i8"),
        ("came_to", "i8"),
        ("depth", "i8"),
        ("layer", "i8"),
        ("climb", "f8"),
        ("told", "i8"),
        ("height", "f8"),
        ("height_squared", "f8"),
        ("depths", "f8", len(LADDERS)),
        ("depths_squared", "f8", len(LADDERS)),
        ("depths_height", "f8", len(LADDERS)),
    ]
)
"""Where a sequence stands: its last entry (-1: none), what the one before that came to, losses in a row and layers,
how far sizes have climbed in this run (a logarithm), and sums of sizes (logarithms) and of depths."""
FOUND = np.dtype(
    [
        ("losses", "i8"),
        ("raised_after_loss", "i8"),
        ("climbed_after_loss", "i8"),
        ("wins", "i8"),
        ("raised_after_win", "i8"),
        ("step_after_loss", "f8"),
        ("first_at", "i8"),
        ("last_at", "i8"),
        ("heights", "i8"),
        ("heights_varied", "f8"),
        ("depths_varied", "f8", len(LADDERS)),
        ("depths_with_height", "f8", len(LADDERS)),
        ("is_told", "i1"),
    ]
)
"""What is found of an account in one of its ways to be read; `is_told` where any size is known."""


class Entries(NamedTuple):
    """Entries by account in their order, a column each; instants in microseconds, NEVER where still open."""

    chain: Array
    is_long: Array
    all_known: Array
    opened_us: Array
    closed_us: Array
    lots: Array
    size: Array
    own_size: Array
    open_price: Array
    net_profit: Array


def follow(connection: duckdb.DuckDBPyConnection, entries: str) -> pa.Table:
    """The relation: how sizes follow losses and wins, by account and by instrument.

    Takes a select of the columns of `Entries` and of account_id and account, by account in their order; accounts and
    chains are numbers from nought.
    """
    seen = connection.sql(entries).to_arrow_table()
    columns = {name: seen[name].to_numpy() for name in Entries._fields}
    given = Entries(**{name: to_read(one, np.int64 if name in WHOLE else np.float64) for name, one in columns.items()})
    starts = np.flatnonzero(np.diff(seen["account"].to_numpy(), prepend=-1))
    found = np.zeros((len(starts), 2), FOUND)
    found["first_at"], found["last_at"] = NEVER, -NEVER
    # a run of each account, then one of each instrument of an account
    runs = np.zeros(len(starts) + int(given.chain.max(initial=-1)) + 1, RUN)
    runs["before"] = -1
    named = ", ".join(f"cast(getvariable('martingale_{name}') as double)" for name in TERMS)
    terms = connection.execute(f"select {named}").fetchall()[0]
    _follow(np.append(starts, seen.num_rows), given, terms, runs, found)
    return _table(seen["account_id"].take(pa.array(starts)), found)


@compiled
def _came_to(entries: Entries, n: int, before: int, is_alike: bool) -> int:
    """What the position before came to when this one was opened: as it closed, else where its price stands."""
    if before >= 0:
        net, is_long = entries.net_profit[before], entries.is_long[n]
        if entries.closed_us[before] <= entries.opened_us[n] and net != 0 and not np.isnan(net):
            return LOSS if net < 0 else WIN
        moved = entries.open_price[n] - entries.open_price[before]
        if is_alike and is_long == entries.is_long[before] and not np.isnan(moved):
            return LOSS if (moved if is_long else -moved) < 0 else WIN
    return UNKNOWN


@compiled
def _times(size: float, before: float) -> float:
    """How many times as large; not known where either is nothing."""
    return size / before if size > 0 and before > 0 else math.nan


@compiled
def _step(entries: Entries, n: int, before: int, is_alike: bool) -> float:
    """How many times as large an entry is as the one before; NaN where there is none or sizes are not known."""
    if before < 0:
        return math.nan
    if is_alike:
        return _times(entries.lots[n], entries.lots[before])
    step = _times(entries.own_size[n], entries.own_size[before])
    return _times(entries.size[n], entries.size[before]) if np.isnan(step) else step


@compiled
def _add(run: Any, height: float, rungs_max: float) -> None:
    """Adds an entry to the sums of its sequence."""
    rung = min(float(run["depth"]), rungs_max)
    depths = (rung, max(rung - 1, 0.0), math.log(1 + rung), min(float(run["layer"]), rungs_max))
    run["told"] += 1
    run["height"] += height
    run["height_squared"] += height * height
    for k in range(len(depths)):
        run["depths"][k] += depths[k]
        run["depths_squared"][k] += depths[k] * depths[k]
        run["depths_height"][k] += depths[k] * height


@compiled
def _gather(run: Any, found: Any) -> None:
    """Puts the sums of a sequence to what is found, each around its own middle: instruments have sizes of their own."""
    told = run["told"]
    if told == 0:
        return
    found["is_told"] = 1
    found["heights"] += told - 1
    found["heights_varied"] += run["height_squared"] - run["height"] * run["height"] / told
    for k in range(len(LADDERS)):
        depths = run["depths"][k]
        found["depths_varied"][k] += run["depths_squared"][k] - depths * depths / told
        found["depths_with_height"][k] += run["depths_height"][k] - depths * run["height"] / told


@compiled
def _follow(starts: Array, entries: Entries, terms: tuple[float, float, float], runs: Array, found: Array) -> None:
    """Follows each account's entries, in its own order (0) and instrument by instrument (1)."""
    step_min, climb_min, rungs_max = terms
    chain, opened = entries.chain, entries.opened_us
    accounts = len(starts) - 1
    steps = np.empty((2, len(chain)))
    for a in range(accounts):
        for n in range(starts[a], starts[a + 1]):
            for way in range(2):
                run, told = runs[accounts + chain[n] if way else a], found[a, way]
                before = run["before"]
                run["before"] = n
                is_alike = before >= 0 and chain[before] == chain[n]
                step = _step(entries, n, before, is_alike)
                came_to = _came_to(entries, n, before, is_alike)
                if before >= 0 and (came_to == UNKNOWN or np.isnan(step)):
                    continue
                in_turn = before >= 0 and entries.closed_us[before] <= opened[n]
                is_turn = came_to != run["came_to"]
                run["came_to"] = came_to
                run["depth"] = run["depth"] + 1 if came_to == LOSS else 0
                run["layer"] = run["layer"] + 1 if came_to == LOSS and not in_turn else 0
                own = entries.own_size[n]
                height = entries.lots[n] if way else own if entries.all_known[n] else entries.size[n]
                if height > 0:
                    _add(run, math.log(height), rungs_max)
                if came_to == UNKNOWN:
                    continue
                run["climb"] = math.log(step) + (0.0 if is_turn else run["climb"])
                # layers that grow a little are told by the ladder that they make
                if in_turn and not is_turn and climb_min <= step < step_min - EXACT:
                    is_raised = run["climb"] >= math.log(step_min) - EXACT
                else:
                    is_raised = step >= step_min - EXACT
                # back to what the account usually begins with is no raise
                is_raised = is_raised and not own <= 1
                is_climb = step >= climb_min - EXACT and not own <= 1
                if came_to == WIN:
                    told["wins"] += 1
                    told["raised_after_win"] += is_raised
                    continue
                steps[way, starts[a] + told["losses"]] = step
                told["losses"] += 1
                told["climbed_after_loss"] += is_climb
                if is_raised:
                    told["raised_after_loss"] += 1
                    told["first_at"] = min(told["first_at"], opened[n])
                    told["last_at"] = max(told["last_at"], opened[n])
        _gather(runs[a], found[a, 0])
        for n in range(starts[a], starts[a + 1]):
            run = runs[accounts + chain[n]]
            # the last entry of an instrument tells its sums
            if run["before"] == n:
                _gather(run, found[a, 1])
        for way in range(2):
            told = found[a, way]
            if told["losses"] > 0:
                told["step_after_loss"] = np.median(steps[way, starts[a] : starts[a] + told["losses"]])


def _table(names: pa.ChunkedArray, found: Array) -> pa.Table:
    """What is found as rows by account and way, of those that anything was won or lost before."""
    seen = (found["losses"] + found["wins"]).ravel() > 0
    rows = found.ravel()[seen]
    columns: dict[str, Any] = {
        "account_id": names.take(pa.array(np.repeat(np.arange(len(found)), 2)[seen])),
        "sequence": pa.array(np.tile(["account", "instrument"], len(found))[seen], pa.string()),
    }
    columns |= {name: rows[name] for name in ("losses", "raised_after_loss", "climbed_after_loss")}
    columns |= {name: rows[name] for name in ("wins", "raised_after_win")}
    columns["step_after_loss"] = pa.array(rows["step_after_loss"], mask=rows["losses"] == 0)
    for name in ("first_at", "last_at"):
        columns[name] = pa.array(rows[name], pa.timestamp("us", "UTC"), mask=rows["raised_after_loss"] == 0)
    untold = rows["is_told"] == 0
    columns |= {name: pa.array(rows[name], mask=untold) for name in ("heights", "heights_varied")}
    for k, ladder in enumerate(LADDERS):
        for told in ("varied", "with_height"):
            columns[f"{ladder}_{told}"] = pa.array(rows[f"depths_{told}"][:, k].copy(), mask=untold)
    return pa.table(columns)
