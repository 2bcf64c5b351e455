"""Rule replay: 10 M events of 100,000 accounts, from the lake to verdicts, beside DuckDB windows, polars and pandas.

All do the same two rules on the same files: a daily loss of 5 % of the initial balance below the balance at 00:00 UTC,
judged on equity at every instant and at the reset, and a static maximum loss of 10 %. All must name the same accounts.

    python -m benchmarks.replay [--events 10000000] [--accounts 100000]
"""

from __future__ import annotations

import argparse
import datetime as dt
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from deltalake import write_deltalake

from benchmarks.measure import child, machine, report, table
from models import catalogue, events, terms, walk
from models.catalogue import Rulebook
from models.clock import to_micros
from pipelines.score import judged_accounts, register_instruments, register_terms
from sql import relations
from sql.schema import DATASETS, lake_schema
from sql.warehouse import Warehouse

START = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)
DAYS = 10
INITIAL = 100_000
PRODUCT = """
id = "bench"
name = "Benchmark"
[[versions]]
version = 1
effective_from = 2025-01-01T00:00:00Z
clock = { zone = "UTC", reset = "00:00", calendar = "crypto" }
[versions.stages.evaluation_1]
daily_loss = { percent = 5 }
max_loss = { percent = 10 }
"""
ENGINES = ("highwater", "duckdb", "polars", "pandas")


def rulebook() -> Rulebook:
    """The two rules."""
    return Rulebook({"bench": catalogue.read_product(PRODUCT, "bench.toml")})


def make(home: Path, n_events: int, n_accounts: int) -> None:
    """Writes a lake of `n_accounts` accounts with as many closed trades as equity observations, in time order."""
    warehouse = Warehouse.open(home)
    random = np.random.default_rng(11)
    per = n_events // n_accounts // 2
    ids = np.array([f"A{number:06d}" for number in range(n_accounts)])
    gaps = random.exponential(1, (n_accounts, 2 * per + 1)).cumsum(axis=1)
    at = (gaps[:, :-1] / gaps[:, -1:] * DAYS * 86_400e6).astype(np.int64) + to_micros(START)
    at += np.arange(2 * per)  # no two events of an account share an instant
    profit = np.rint(random.normal(0, 600, (n_accounts, per)) * 100) / 100
    balance = INITIAL + profit.cumsum(axis=1)
    equity = np.rint((balance + random.normal(0, 900, (n_accounts, per))) * 100) / 100
    _write_accounts(warehouse, ids)
    order = np.argsort(at[:, 0::2], axis=None, kind="stable")
    deals = {
        "account_id": np.repeat(ids, per)[order],
        "deal_id": np.char.mod("%d", np.tile(np.arange(per), n_accounts))[order],
        "kind": np.full(len(order), "trade"),
        "executed_at": at[:, 0::2].ravel()[order],
        "profit": profit.ravel()[order],
    }
    _append(warehouse, "deals", deals)
    order = np.argsort(at[:, 1::2], axis=None, kind="stable")
    seen = {
        "account_id": np.repeat(ids, per)[order],
        "observed_at": at[:, 1::2].ravel()[order],
        "balance": balance.ravel()[order],
        "equity": equity.ravel()[order],
    }
    _append(warehouse, "equity", seen)


def _write_accounts(warehouse: Warehouse, ids: np.ndarray[Any, Any]) -> None:
    n = len(ids)
    purchased = np.full(n, to_micros(START) - 1)
    challenges = {"challenge_id": ids, "trader_id": ids, "desk_id": np.full(n, "d"), "product": np.full(n, "bench")}
    bought = {"purchased_at": purchased, "fee": np.full(n, 500.0), "currency": np.full(n, "USD")}
    _append(warehouse, "challenges", challenges | bought)
    accounts = {"account_id": ids, "challenge_id": ids, "trader_id": ids, "desk_id": np.full(n, "d")}
    accounts |= {"stage": np.full(n, "evaluation_1"), "currency": np.full(n, "USD"), "opened_at": purchased + 1}
    accounts |= {"platform": np.full(n, "mt5"), "login": ids}
    _append(warehouse, "accounts", accounts | {"initial_balance": np.full(n, float(INITIAL))})


def _append(warehouse: Warehouse, dataset: str, columns: dict[str, Any]) -> None:
    fields = lake_schema(DATASETS[dataset])
    rows = len(next(iter(columns.values())))
    arrays = []
    for field in fields:
        if field.name in columns:
            value = pa.array(columns[field.name])
            arrays.append(
                value.cast(pa.int64()).cast(field.type) if pa.types.is_timestamp(field.type) else value.cast(field.type)
            )
        else:
            arrays.append(
                pa.array(np.ones(rows, np.int32), field.type)
                if field.name.startswith("_")
                else pa.nulls(rows, field.type)
            )
    write_deltalake(str(warehouse.lake_path(dataset)), pa.Table.from_arrays(arrays, schema=fields), mode="append")


def by_highwater(home: Path) -> int:
    """The product's own path: facts, events, walk."""
    warehouse = Warehouse.open(home)
    as_of = START + dt.timedelta(days=DAYS)
    with warehouse.engine(as_of, memory="8GB") as connection:
        register_terms(connection, rulebook())
        register_instruments(connection)
        relations.build(connection, "facts.accounts")
        accounts = judged_accounts(connection)
        told = events.load(connection, accounts)
        compiled, clocks = terms.compile_terms(accounts, rulebook())
        first, last = terms.span(compiled, told.events.at, as_of)
        walked = walk.walk(told.events, compiled, terms.schedules(clocks, first, last), to_micros(as_of))
    return int((walked.results["status"] == walk.STATUS_BREACHED).sum())


EVENTS = """
    select account_id, executed_at as moment, cast(profit as double) as profit, null as equity from deals
    union all
    select account_id, observed_at, 0, cast(equity as double) from seen
"""
WINDOWS = """
with running as (
    select account_id, moment, epoch_us(moment) // 86400000000 as day,
        round(100000 + sum(profit) over followed, 2) as balance,
        equity
    from events
    window followed as (partition by account_id order by moment rows unbounded preceding)
),
followed as (
    select *, coalesce(equity, balance) as judged, lead(day) over (partition by account_id order by moment) as next_day
    from running
),
ends as (
    select account_id, next_day as day, balance as balance_before
    from followed
    where next_day <> day
)
select count(distinct account_id)
from followed left join ends using (account_id, day)
where judged < 90000
    or judged < coalesce(balance_before, 100000) - {daily}
    or (next_day is distinct from day and judged < balance - {daily})
"""
DAILY = 5000.0


def by_duckdb(home: Path) -> int:
    """The same two rules as window functions."""
    import duckdb

    warehouse = Warehouse.open(home)
    connection = duckdb.connect(config={"memory_limit": "12GB"})
    connection.execute("set timezone = 'UTC'")
    for name, dataset in (("deals", "deals"), ("seen", "equity")):
        files = warehouse.lake_files(dataset)
        connection.execute(f"create view {name} as select * from read_parquet({files})")
    connection.execute(f"create view events as {EVENTS}")
    return breached_in_duckdb(connection, DAILY)


def breached_in_duckdb(connection: Any, daily: float) -> int:
    """Accounts that broke a rule with a daily loss of so much, from a relation `events`."""
    return int(connection.execute(WINDOWS.format(daily=daily)).fetchall()[0][0])


def by_polars(home: Path) -> int:
    """The same two rules in polars, lazily."""
    import polars as pl

    warehouse = Warehouse.open(home)
    deals = pl.scan_parquet(warehouse.lake_files("deals")).select(
        "account_id", at="executed_at", profit=pl.col("profit").cast(pl.Float64), equity=pl.lit(None, pl.Float64)
    )
    seen = pl.scan_parquet(warehouse.lake_files("equity")).select(
        "account_id", at="observed_at", profit=pl.lit(0.0), equity=pl.col("equity").cast(pl.Float64)
    )
    return breached_in_polars(pl.concat([deals, seen]), DAILY)


def breached_in_polars(told: Any, daily: float) -> int:
    """Accounts that broke a rule with a daily loss of so much, from a lazy frame of events."""
    import polars as pl

    frame = told.sort("account_id", "at").with_columns(
        day=pl.col("at").dt.epoch("us") // 86_400_000_000,
        balance=(INITIAL + pl.col("profit").cum_sum().over("account_id")).round(2),
    )
    frame = frame.with_columns(
        judged=pl.coalesce("equity", "balance"), next_day=pl.col("day").shift(-1).over("account_id")
    )
    ends = (
        frame.filter(pl.col("next_day").ne_missing(pl.col("day")))
        .select("account_id", day="next_day", balance_before="balance")
        .drop_nulls()
    )
    judged = frame.join(ends, on=["account_id", "day"], how="left").filter(
        (pl.col("judged") < 90_000)
        | (pl.col("judged") < pl.col("balance_before").fill_null(INITIAL) - daily)
        | (pl.col("next_day").ne_missing(pl.col("day")) & (pl.col("judged") < pl.col("balance") - daily))
    )
    return int(judged.select(pl.col("account_id").n_unique()).collect().item())


def by_pandas(home: Path) -> int:
    """The same two rules in pandas."""
    import pandas as pd

    warehouse = Warehouse.open(home)
    deals = pd.concat(
        pd.read_parquet(f, columns=["account_id", "executed_at", "profit"]) for f in warehouse.lake_files("deals")
    )
    seen = pd.concat(
        pd.read_parquet(f, columns=["account_id", "observed_at", "equity"]) for f in warehouse.lake_files("equity")
    )
    frame = pd.concat(
        [
            deals.rename(columns={"executed_at": "at"}).astype({"profit": float}),
            seen.rename(columns={"observed_at": "at"}).astype({"equity": float}),
        ]
    ).sort_values(["account_id", "at"])
    frame["day"] = frame["at"].astype("int64") // 86_400_000_000
    grouped = frame.groupby("account_id", sort=False)
    frame["balance"] = (INITIAL + grouped["profit"].transform(lambda p: p.fillna(0).cumsum())).round(2)
    frame["judged"] = frame["equity"].fillna(frame["balance"])
    frame["next_day"] = grouped["day"].shift(-1)
    ends = frame[frame["next_day"].ne(frame["day"])].dropna(subset=["next_day"])
    before = ends[["account_id", "next_day", "balance"]].set_axis(["account_id", "day", "before"], axis=1)
    frame = frame.merge(before, "left", ["account_id", "day"])
    broken = (
        (frame["judged"] < 90_000)
        | (frame["judged"] < frame["before"].fillna(INITIAL) - 5000)
        | (frame["next_day"].ne(frame["day"]) & (frame["judged"] < frame["balance"] - 5000))
    )
    return int(frame.loc[broken, "account_id"].nunique())


def warm() -> None:
    """Compiles the kernels on a handful of events."""
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder), 400, 2)
        by_highwater(Path(folder))


def run(n_events: int = 10_000_000, n_accounts: int = 100_000) -> str:
    """The table."""
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder), n_events, n_accounts)
        found = {engine: child("benchmarks.replay", "--child", engine, "--home", folder) for engine in ENGINES}
    own = found["highwater"].seconds
    answers = {engine: measured.answer for engine, measured in found.items()}
    if len(set(answers.values())) != 1:
        raise RuntimeError(f"the engines disagree: {answers}")
    rows = [
        [engine, f"{m.seconds:.2f}", f"{m.seconds / own:.1f} ×", f"{m.peak_mb:,.0f}", f"{m.answer:,}"]
        for engine, m in found.items()
    ]
    head = f"{n_events:,} events of {n_accounts:,} accounts, two rules, from the lake to verdicts.\n\n"
    note = f"\n\n{machine('duckdb', 'polars', 'pandas', 'numba')}. Repeat: `python -m benchmarks.replay`."
    return head + table(["engine", "seconds", "against Highwater", "peak MB", "accounts breached"], rows) + note


def main() -> None:
    """Runs the comparison, or one engine of it as a child."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--accounts", type=int, default=100_000)
    parser.add_argument("--child", choices=ENGINES)
    parser.add_argument("--home", type=Path)
    args = parser.parse_args()
    if args.child:
        engine = {"highwater": by_highwater, "duckdb": by_duckdb, "polars": by_polars, "pandas": by_pandas}[args.child]
        report(lambda: engine(args.home), warm if args.child == "highwater" else None)
    else:
        print(run(args.events, args.accounts))


if __name__ == "__main__":
    main()
