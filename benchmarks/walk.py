"""The walk alone on one core, and 100 variants of a product over the same events on two: walked, measured, told.

python -m benchmarks.walk [--events 10000000] [--accounts 100000] [--variants 100]
"""

from __future__ import annotations

import argparse
import datetime as dt
import time
from decimal import Decimal

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa

from benchmarks.measure import machine, peak_mb, table
from benchmarks.replay import breached_in_duckdb, breached_in_polars, rulebook
from models.clock import from_micros, to_micros
from models.events import Told
from models.terms import schedules, stage_row
from models.walk import FLAT, NEVER, OBSERVATION, OPENING, STATUS_BREACHED, TRADE, Array, Events, walk
from pipelines.whatif import Axis, History, overlaid, replay, sweep, today
from pipelines.whatif.history import ALIKE, Challenges, Groups
from pipelines.whatif.measure import values
from pipelines.whatif.sweep import variants as variants_of

START = to_micros(dt.datetime(2026, 3, 2, tzinfo=dt.UTC))
DAY = 86_400_000_000
DAYS = 10


def make(n_events: int, n_accounts: int) -> Events:
    """Closed trades and equity observations in turn, at random instants of ten days."""
    random = np.random.default_rng(3)
    per = n_events // n_accounts
    at = np.sort(random.integers(0, DAYS * DAY, (n_accounts, per)), axis=1).ravel() + START
    kind = np.tile(np.array([TRADE, OBSERVATION], np.int8), n_events // 2)
    amount = np.where(kind == TRADE, random.integers(-30_000, 30_000, n_events), 0)
    balance = 10_000_000 + amount.reshape(n_accounts, per).cumsum(axis=1).ravel()
    amount = np.where(kind == OBSERVATION, balance + random.integers(-60_000, 60_000, n_events), amount)
    flags = np.where(kind == TRADE, FLAT | OPENING, 0).astype(np.uint8)
    none = np.zeros(n_events, np.int64)
    starts, alone = np.arange(0, n_events + 1, per).astype(np.int64), np.full(n_events, -1, np.int32)
    return Events(starts, at, kind, flags, amount, none, none, none, none, alone, alone, alone)


def terms_of(percent: Decimal, accounts: int) -> Array:
    """The benchmark's two rules with a daily loss of so many percent."""
    stage = dict(rulebook().products["bench"].versions[0].stages["evaluation_1"])
    stage["daily_loss"] = stage["daily_loss"] | {"percent": percent}
    terms = np.repeat(stage_row(stage, "evaluation_1", "USD", Decimal(100_000), 0), accounts)
    terms["opened_at"] = START
    return terms


def history_of(events: Events, n_accounts: int) -> History:
    """The events as a what-if history: one account of one challenge per trader."""
    names = [f"A{number}" for number in range(n_accounts)]
    alike = dict(zip(ALIKE, ("bench", 1, "evaluation_1", "USD", 100_000), strict=True))
    accounts = pd.DataFrame({"account_id": names, "trader_id": names, "desk_id": "D"} | alike)
    numbers = np.arange(n_accounts)
    fees = np.full(n_accounts, 500.0)
    as_of = START + DAYS * DAY
    return History(
        duckdb.connect(),
        rulebook(),
        from_micros(as_of),
        accounts,
        Groups([tuple(alike.values())], np.zeros(n_accounts, np.int64)),
        Told(events, pa.table({}), pa.table({})),
        np.full(n_accounts, START),
        np.full(n_accounts, NEVER),
        (START, as_of),
        Challenges(names, numbers, fees, fees, numbers, [("evaluation_1",)] * n_accounts),
        [],
        {"USD": 1.0},
        ["evaluation_1"],
        np.zeros(n_accounts, np.int32),
    )


def run(n_events: int, n_accounts: int, variants: int) -> str:
    """The table: the walk on one core, then all variants on two."""
    events = make(n_events, n_accounts)
    as_of = START + DAYS * DAY
    scheduled = schedules([rulebook().products["bench"].versions[0].clock], START, as_of)
    walk(events, terms_of(Decimal(5), n_accounts)[:1], scheduled, as_of)
    rows = []
    best = min(_timed(events, scheduled, as_of, n_accounts) for _ in range(5))
    rows.append(["the walk, one core", f"{best:.3f}", f"{n_events / best / 1e6:,.0f} M events/s", ""])
    history = history_of(events, n_accounts)
    today(history)
    for told, axes, spared in _sweeps(variants):
        started = time.perf_counter()
        count = _replayed(history, axes, spared=spared)
        seconds = time.perf_counter() - started
        rate = n_events * count / seconds / 1e6
        rows.append([f"{told}, two cores", f"{seconds:.2f}", f"{rate:,.0f} M events/s", f"{seconds / count:.3f}"])
    peak = peak_mb()
    rows += _by_others(events, n_accounts, scheduled, as_of)
    head = f"{n_events:,} events of {n_accounts:,} accounts over {DAYS} days, in memory; peak of ours {peak:,.0f} MB. "
    head += "Each variant is replayed and measured: passes, breaches by rule, money. Who never met a rule is not walked"
    head += " again when its figure gets softer; the last line of ours walks everybody for every variant. DuckDB and"
    head += " polars run their version of both rules anew per variant, over the same events in memory.\n\n"
    return (
        head
        + table(["what", "seconds", "rate", "seconds a variant"], rows)
        + (f"\n\n{machine('numba', 'numpy', 'duckdb', 'polars')}. Repeat: `python -m benchmarks.walk`.")
    )


def _by_others(events: Events, n_accounts: int, scheduled: list[tuple[Array, Array]], as_of: int) -> list[list[str]]:
    """Some variants of the daily loss as windows of DuckDB and of polars, which must find the accounts that we find."""
    trades = events.kind == TRADE
    told = pa.table(
        {
            "account_id": np.repeat(np.arange(n_accounts), np.diff(events.starts)),
            "moment": pa.array(events.at).cast(pa.timestamp("us", "UTC")),
            "profit": np.where(trades, events.amount / 100, 0.0),
            "equity": pa.array(events.amount / 100, mask=trades),
        }
    )
    connection = duckdb.connect()
    connection.execute("set timezone = 'UTC'; create table events as from told")
    lazy = pl.DataFrame(told).lazy().rename({"moment": "at"})
    percents, rows = (3, 5, 7), []
    wanted = [
        int(
            (
                walk(events, terms_of(Decimal(one), n_accounts), scheduled, as_of).results["status"] == STATUS_BREACHED
            ).sum()
        )
        for one in percents
    ]
    for name, breached, held in (("DuckDB", breached_in_duckdb, connection), ("polars", breached_in_polars, lazy)):
        started = time.perf_counter()
        found = [breached(held, 1000.0 * one) for one in percents]
        seconds = time.perf_counter() - started
        if found != wanted:
            raise RuntimeError(f"{name} finds {found} accounts, the walk {wanted}")
        rate = len(trades) * len(percents) / seconds / 1e6
        rows.append(
            [
                f"{len(percents)} variants of the daily loss by {name}",
                f"{seconds:.2f}",
                f"{rate:,.0f} M events/s",
                f"{seconds / len(percents):.3f}",
            ]
        )
    return rows


def _sweeps(variants: int) -> list[tuple[str, list[Axis], bool]]:
    """What is swept: its name, its axes, and whether a variant may stand on the ones before it."""

    def axis(rule: str, low: int, count: int) -> Axis:
        percents = (round(Decimal(low) + Decimal(place) * 8 / count, 4) for place in range(count))
        return Axis("evaluation_1", rule, "percent", tuple(percents))

    side = max(round(variants**0.5), 1)
    few, many = max(variants // 10, 1), axis("daily_loss", 2, variants)
    return [
        (f"{few} variants of the daily loss", [axis("daily_loss", 2, few)], True),
        (f"{variants} variants of the daily loss", [many], True),
        (f"{side} × {side} of daily and maximum loss", [axis("daily_loss", 2, side), axis("max_loss", 4, side)], True),
        (f"{variants} variants, nothing spared", [many], False),
    ]


def _replayed(history: History, axes: list[Axis], *, spared: bool) -> int:
    """Replays every combination and measures it; without sparing each is walked over all accounts. How many."""
    version = rulebook().products["bench"].versions[0]
    if spared:
        return len(sweep(history, rulebook(), version, axes))
    made = [one for _, one in variants_of(version, axes)]
    for one in made:
        values(history, today(history), replay(history, overlaid(rulebook(), {"bench": one})))
    return len(made)


def _timed(events: Events, scheduled: list[tuple[Array, Array]], as_of: int, accounts: int) -> float:
    terms = terms_of(Decimal(5), accounts)
    started = time.perf_counter()
    walk(events, terms, scheduled, as_of)
    return time.perf_counter() - started


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--accounts", type=int, default=100_000)
    parser.add_argument("--variants", type=int, default=100)
    args = parser.parse_args()
    print(run(args.events, args.accounts, args.variants))


if __name__ == "__main__":
    main()
