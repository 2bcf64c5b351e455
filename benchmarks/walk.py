"""The walk alone on one core, and 100 variants of a product over the same events on two.

python -m benchmarks.walk [--events 10000000] [--accounts 100000] [--variants 100]
"""

from __future__ import annotations

import argparse
import datetime as dt
import resource
import time
from decimal import Decimal

import numpy as np

from benchmarks.measure import machine, table
from benchmarks.replay import rulebook
from models.clock import to_micros
from models.terms import schedules, stage_row
from models.walk import FLAT, OBSERVATION, OPENING, TRADE, Array, Events, walk
from pipelines.whatif import walk_parallel

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
    return Events(np.arange(0, n_events + 1, per).astype(np.int64), at, kind, flags, amount, none, none)


def terms_of(percent: Decimal, accounts: int) -> Array:
    """The benchmark's two rules with a daily loss of so many percent."""
    stage = dict(rulebook().products["bench"].versions[0].stages["evaluation_1"])
    stage["daily_loss"] = stage["daily_loss"] | {"percent": percent}
    terms = np.repeat(stage_row(stage, "evaluation_1", "USD", Decimal(100_000), 0), accounts)
    terms["opened_at"] = START
    return terms


def run(n_events: int, n_accounts: int, variants: int) -> str:
    """The table: the walk on one core, then all variants on two."""
    events = make(n_events, n_accounts)
    as_of = START + DAYS * DAY
    scheduled = schedules([rulebook().products["bench"].versions[0].clock], START, as_of)
    walk(events, terms_of(Decimal(5), n_accounts)[:1], scheduled, as_of)
    rows = []
    best = min(_timed(events, scheduled, as_of, n_accounts) for _ in range(5))
    rows.append(["the walk, one core", f"{best:.3f}", f"{n_events / best / 1e6:,.0f} M events/s", ""])
    for count in (variants // 10, variants):
        started = time.perf_counter()
        for number in range(count):
            percent = Decimal(2) + Decimal(number) * 8 / variants
            walk_parallel(events, terms_of(round(percent, 4), n_accounts), scheduled, as_of)
        seconds = time.perf_counter() - started
        rate = n_events * count / seconds / 1e6
        rows.append(
            [f"{count} variants, two cores", f"{seconds:.2f}", f"{rate:,.0f} M events/s", f"{seconds / count:.3f}"]
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    head = f"{n_events:,} events of {n_accounts:,} accounts over {DAYS} days, in memory; peak {peak:,.0f} MB.\n\n"
    return (
        head
        + table(["what", "seconds", "rate", "seconds a variant"], rows)
        + (f"\n\n{machine('numba', 'numpy')}. Repeat: `python -m benchmarks.walk`.")
    )


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
