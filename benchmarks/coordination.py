"""Times the coordination search beside the joins people would use instead, and a day beside the whole, in one run.

Run from the root: python -m benchmarks.coordination [--large | --lively]
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import duckdb
import numpy as np
import pandas as pd

from benchmarks.quality.coordination_market import make_market_firm
from models.coordination import Coordination, CoordinationTerms, find_coordination, held, kept
from models.coordination.candidates import find_candidates
from models.coordination.entries import openings, sort_entries

T = TypeVar("T")

START_US = 1_767_571_200_000_000  # 2026-01-05, a Monday
TRADES_PER_DAY = 55_000  # of the whole firm: the density that stays the same at every size
INSTRUMENTS = 30
LIVELY_SEED = 31


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


@dataclass(frozen=True)
class Cost:
    """What a piece of work cost: seconds on the clock and of the processor, and the most memory the process held."""

    wall_s: float
    processor_s: float
    peak_gb: float

    def __str__(self) -> str:
        return f"{self.wall_s:.2f} s, {self.processor_s:.2f} s of processor, peak {self.peak_gb:.1f} GB"


def _peak_gb() -> float:
    """The most memory that this process held since it was last asked to forget."""
    told = Path("/proc/self/status").read_text(encoding="ascii")
    return int(told.split("VmHWM:")[1].split()[0]) / 2**20


def cost(work: Callable[[], T]) -> tuple[Cost, T]:
    """Does it and says what it cost; the system must let a process reset its own peak, as Linux does."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    started, processor = time.perf_counter(), time.process_time()
    result = work()
    wall, processor = time.perf_counter() - started, time.process_time() - processor
    return Cost(wall, processor, _peak_gb()), result


def day_beside_whole(trades: pd.DataFrame, horizon_s: float, folder: Path) -> None:
    """Prints what a day costs that goes on from what was read and counted before, beside reading and counting all.

    As a scoring run does it: names are categories, what was kept is read from files, only the day's trades are read
    anew, the tables are the same.
    """
    trades = trades.astype(dict.fromkeys(("account_id", "instrument", "side"), "category"))
    terms, new = terms_to(horizon_s), trades["opened_at"].dt.floor("D") == trades["opened_at"].dt.floor("D").max()
    read, counted = folder / "openings.npz", folder / "coordination.npz"
    known = openings(trades[~new])
    held.save(held.hold(known, np.arange(int((~new).sum()))), "known", read)
    left = find_coordination(known, owners={}, terms=terms, keeping=True).kept
    assert left is not None
    kept.save(left, counted)
    del known, left
    day = trades[new]

    def go_on() -> Coordination:
        then = held.load(read, "known")
        assert then is not None
        now = held.goes_on(then, np.empty(0, dtype=np.int64), openings(day))
        return find_coordination(now, owners={}, terms=terms, before=kept.load(counted), keeping=True)

    go_on()  # compiles
    one, on = cost(go_on)
    whole, anew = cost(lambda: find_coordination(trades, owners={}, terms=terms, keeping=True))
    assert on.pairs.equals(anew.pairs)
    assert on.rings.equals(anew.rings)
    line = next((line for line in on.log if "counted again" in line), "all pairs were counted")
    print(
        f"{2 * len(trades):,} deals ({len(trades):,} trades), {trades['account_id'].nunique():,} accounts, "
        f"lags to {horizon_s:g} s: whole {whole}; a day of {len(day):,} trades {one}: "
        f"{whole.wall_s / one.wall_s:.1f} x less time, {whole.processor_s / one.processor_s:.1f} x less of processor, "
        f"the same tables; {line}"
    )


def lively() -> None:
    """Prints a day beside the whole of a firm in which most of the work is judging and describing pairs."""
    trades = make_market_firm(LIVELY_SEED).trades
    with TemporaryDirectory() as folder:
        day_beside_whole(trades, 90.0, Path(folder))


def main() -> None:
    """Prints one line per size and method, with the ratio to the search."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--large",
        action="store_true",
        help="also 5 and 10 million deals, and the range join over 1 million deals, which takes minutes",
    )
    parser.add_argument(
        "--lively",
        action="store_true",
        help="only a firm whose people and robots act on one price path, so that very many pairs are looked at closely",
    )
    options = parser.parse_args()
    if options.lively:
        lively()
        return
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
    sizes = [(500_000, 10_000)] + ([(2_500_000, 50_000), (5_000_000, 100_000)] if options.large else [])
    for count, accounts in sizes:
        with TemporaryDirectory() as folder:
            day_beside_whole(make_trades(count, accounts), 90.0, Path(folder))
    if options.large:
        lively()


if __name__ == "__main__":
    main()
