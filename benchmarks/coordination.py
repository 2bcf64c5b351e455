"""Times the coordination search beside the joins people would use instead, in one run.

Run from the root: python -m benchmarks.coordination [--large]
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from typing import TypeVar

import duckdb
import numpy as np
import pandas as pd

from models.coordination import CoordinationTerms, find_coordination
from models.coordination.candidates import find_candidates
from models.coordination.entries import sort_entries

T = TypeVar("T")

START_US = 1_767_571_200_000_000  # 2026-01-05, a Monday
TRADES_PER_DAY = 55_000  # of the whole firm: the density that stays the same at every size
INSTRUMENTS = 30


def make_trades(trades: int, accounts: int, seed: int = 1) -> pd.DataFrame:
    """Independent accounts with sessions, unequal activity and unequal instruments, and one follower in a thousand."""
    rng = np.random.default_rng(seed)
    days = max(1, trades // TRADES_PER_DAY)
    weight = rng.lognormal(0, 1, accounts)
    account = rng.choice(accounts, trades, p=weight / weight.sum())
    home = rng.uniform(7, 18, accounts)[account]
    seconds = rng.integers(0, days, trades) * 86_400.0 + ((rng.normal(home, 2.5) % 24) * 3600)
    popular = 1 / np.arange(1, INSTRUMENTS + 1)
    instrument = rng.choice(INSTRUMENTS, trades, p=popular / popular.sum())
    side = rng.integers(0, 2, trades)
    held = rng.exponential(3600, trades)
    for follower in rng.choice(accounts, accounts // 1000, replace=False):
        own = np.flatnonzero(account == follower)
        source = rng.choice(np.flatnonzero(account == (follower + 1) % accounts), len(own))
        instrument[own], side[own], held[own] = instrument[source], side[source], held[source]
        seconds[own] = seconds[source] + 2.0 + rng.normal(0, 0.2, len(own))
    order = np.argsort(seconds, kind="stable")
    opened = pd.to_datetime(START_US + (seconds[order] * 1e6).astype("int64"), unit="us", utc=True)
    ids = np.array([f"acc-{i:06d}" for i in range(accounts)], dtype=object)
    return pd.DataFrame(
        {
            "account_id": ids[account[order]],
            "instrument": np.array([f"SYM{i:02d}" for i in range(INSTRUMENTS)], dtype=object)[instrument[order]],
            "side": np.array(["buy", "sell"], dtype=object)[side[order]],
            "lots": 1.0,
            "opened_at": opened,
            "closed_at": opened + pd.to_timedelta(held[order], unit="s"),
        }
    )


def range_join(trades: pd.DataFrame, window_s: float) -> int:
    """Pairs counted by a plain range join; returns how many pairs of accounts."""
    return _joined(trades, f"a.t between b.t - {window_s} and b.t + {window_s}")


def bucketed_join(trades: pd.DataFrame, window_s: float) -> int:
    """Pairs counted by an equality join on time buckets; returns how many pairs of accounts."""
    query = f"""
        with entries as (
            select account_id, instrument, side, epoch(opened_at) as t,
                floor(epoch(opened_at) / {window_s})::bigint as k
            from trades
        ),
        spread as (select *, unnest([k - 1, k, k + 1]) as near from entries)
        select count(*) from (
            select a.account_id, b.account_id, count(*)
            from entries a join spread b
              on a.instrument = b.instrument and a.side = b.side and a.k = b.near
            where a.account_id < b.account_id and abs(a.t - b.t) <= {window_s}
            group by all
        )
    """
    return _count(trades, query)


def _joined(trades: pd.DataFrame, condition: str) -> int:
    """Number of account pairs of a self join on instrument, side and a condition on time."""
    query = f"""
        with entries as (select account_id, instrument, side, epoch(opened_at) as t from trades)
        select count(*) from (
            select a.account_id, b.account_id, count(*)
            from entries a join entries b on a.instrument = b.instrument and a.side = b.side and {condition}
            where a.account_id < b.account_id
            group by all
        )
    """
    return _count(trades, query)


def _count(trades: pd.DataFrame, query: str) -> int:
    """First value of a query over the trades, on two threads."""
    with duckdb.connect(config={"threads": 2}) as engine:
        engine.register("trades", trades)
        return int(engine.sql(query).fetchall()[0][0])


def timed(work: Callable[[pd.DataFrame, float], T], trades: pd.DataFrame, window_s: float) -> tuple[float, T]:
    """Wall seconds of a call and its result."""
    started = time.perf_counter()
    result = work(trades, window_s)
    return time.perf_counter() - started, result


def terms_to(horizon_s: float) -> CoordinationTerms:
    """The usual terms with another horizon."""
    widths = tuple(w for w in CoordinationTerms().lag_widths_s if w <= horizon_s)
    return CoordinationTerms(horizon_s=horizon_s, lag_widths_s=widths)


def search(trades: pd.DataFrame, horizon_s: float) -> str:
    """Runs the whole search; says how many pairs it flags."""
    found = find_coordination(trades, owners={}, terms=terms_to(horizon_s))
    return f"{int((found.pairs['strength'] >= 0.5).sum())} flagged"


def counting(trades: pd.DataFrame, window_s: float) -> str:
    """The part of the search that does what a join does: reads, sorts, counts every pair, keeps the improbable."""
    terms = terms_to(window_s)
    entries = sort_entries(trades, None, terms, [])
    assert entries is not None
    return f"{len(find_candidates(entries, terms, [])[0])} pairs kept"


def increment(trades: pd.DataFrame, horizon_s: float, days: int) -> None:
    """Prints what each of some days costs that arrive one after another, beside counting all pairs again."""
    terms, day = terms_to(horizon_s), trades["opened_at"].dt.floor("D")
    last = np.sort(day.unique())[-days:]
    known = trades[day < last[0]]
    kept = find_coordination(known, owners={}, terms=terms, keeping=True).kept
    for k, new in enumerate(last):
        now = trades[day <= new]
        processor = [time.process_time()]
        seconds, on = timed(lambda t, _: find_coordination(t, owners={}, terms=terms, before=kept), now, horizon_s)
        processor.append(time.process_time())
        anew_s, anew = timed(lambda t, _: find_coordination(t, owners={}, terms=terms), now, horizon_s)
        processor.append(time.process_time())
        on_p, anew_p = np.diff(processor)
        assert on.pairs.equals(anew.pairs)
        counted = next((line for line in on.log if "counted again" in line), "all pairs were counted")
        print(
            f"day {k + 1}: {len(now):,} trades, {seconds:.1f} s ({on_p:.1f} s of processor), "
            f"from scratch {anew_s:.1f} s ({anew_p:.1f}), the same pairs; {counted}"
        )


def main() -> None:
    """Prints one line per size and method, with the ratio to the search."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--large",
        action="store_true",
        help="also 10 million deals of 100,000 accounts, and the range join over 1 million deals, which takes minutes",
    )
    options = parser.parse_args()
    search(make_trades(20_000, 200), 5.0)  # compiles
    for count, accounts, joins in (
        (100_000, 1_000, [bucketed_join, range_join]),
        (500_000, 10_000, [bucketed_join, *([range_join] if options.large else [])]),
        (1_000_000, 10_000, [bucketed_join]),
    ):
        trades = make_trades(count, accounts)
        name = f"{2 * count:,} deals ({count:,} trades), {accounts:,} accounts"
        seconds, said = timed(search, trades, 5.0)
        print(f"{name}, 5 s window: search {seconds:.2f} s ({said})")
        alone, said = timed(counting, trades, 5.0)
        print(f"{name}, 5 s window: of this counting the pairs {alone:.2f} s ({said})")
        for join in joins:
            other, pairs = timed(join, trades, 5.0)
            print(
                f"{name}, 5 s window: {join.__name__} {other:.2f} s ({pairs} pairs), {other / seconds:.1f} x the search"
            )
    sizes = [(500_000, 10_000)] + ([(5_000_000, 100_000)] if options.large else [])
    for count, accounts in sizes:
        trades = make_trades(count, accounts)
        processor = time.process_time()
        seconds, said = timed(search, trades, 90.0)
        processor = time.process_time() - processor
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(
            f"{count:,} trades, {accounts:,} accounts, lags to 90 s: "
            f"{seconds:.1f} s, {processor:.1f} s of processor ({said}), peak so far {peak:.1f} GB"
        )
    increment(trades, 90.0, 2)


if __name__ == "__main__":
    main()
