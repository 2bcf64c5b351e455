"""How long all detectors and the score take: `python -m benchmarks.conduct [--deals N] [--accounts N]`.

The made-up book of `benchmarks.set_rules`, every account with one trader, walked first. Building trades from deals is
told apart: every part of a run shares it. Beside them one naive threshold over the same trades with pandas.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import duckdb
import pandas as pd

from benchmarks.measure import machine, peak_mb
from benchmarks.set_rules import AS_OF, book
from models import catalogue
from models.catalogue import Rulebook
from models.detectors import DETECTORS, detect_all
from models.detectors.base import judge as judge_one
from models.risk_score import weigh
from pipelines.score import judge, judged_accounts, register_instruments, register_terms
from sql import relations, schema
from sql.decided import register

TERMS = """id = "plan"
name = "Plan"
[[versions]]
version = 1
effective_from = 2000-01-01T00:00:00Z
clock = { zone = "Europe/Prague", reset = "00:00", calendar = "fx" }
[versions.stages.funded]
daily_loss = { percent = 5 }
max_loss = { percent = 10 }
"""


def walked(connection: duckdb.DuckDBPyConnection) -> None:
    """Judges the book's accounts, so that detectors see how they stand."""
    rulebook = Rulebook({"plan": catalogue.read_product(TERMS, "plan.toml")})
    register_terms(connection, rulebook)
    register_instruments(connection)
    relations.build(connection, "facts.accounts")
    judged = judge(connection, judged_accounts(connection), rulebook, AS_OF)
    register(connection, schema.ACCOUNT_STATUS, judged.status)
    register(connection, schema.VERDICTS, judged.verdicts)
    register(connection, schema.ACCOUNT_DAYS, judged.days)
    for table in (schema.OWNERS, schema.COPY_PAIRS, schema.COPY_RINGS):
        register(connection, table, pd.DataFrame(columns=[column.name for column in table.columns]))


def timed(what: str, work: Callable[[], Any]) -> Any:
    """Prints a line with the seconds that a piece of work took."""
    started = time.perf_counter()
    answer = work()
    print(f"| {what} | {time.perf_counter() - started:.1f} |", flush=True)
    return answer


def naive(connection: duckdb.DuckDBPyConnection) -> int:
    """Accounts whose usual holding is under a minute, as pandas tells it from trades in memory."""
    trades = connection.sql("select account_id, opened_at, closed_at from facts.trades").to_arrow_table().to_pandas()
    hold = (trades["closed_at"] - trades["opened_at"]).dt.total_seconds()
    return int((hold.groupby(trades["account_id"]).median() < 60).sum())


def main() -> None:
    """Prints seconds per step and per detector, and the memory at most."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--deals", type=int, default=2_000_000)
    parser.add_argument("--accounts", type=int, default=20_000)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        connection = book(chosen.deals // 2, folder, max(chosen.deals // 2 // chosen.accounts, 1))
        walked(connection)
        print("| step | seconds |\n|---|---|")
        timed("deals to trades (shared by the whole run)", lambda: relations.build(connection, "facts.trades"))
        started = time.perf_counter()
        signals, _ = timed("all detectors", lambda: detect_all(connection, AS_OF))
        register(connection, schema.SIGNALS, signals)
        timed("score", lambda: weigh(connection, AS_OF))
        both = time.perf_counter() - started
        for name, one in DETECTORS.items():
            measured = f"detectors.{one.relation}"
            connection.execute(f"drop table if exists {measured}")
            timed(f"of this {name}, shared measurements built", partial(judge_one, connection, one, one.terms))
        timed("pandas: usual holding under a minute", lambda: naive(connection))
    print(
        f"\n`python -m benchmarks.conduct --deals {chosen.deals} --accounts {chosen.accounts}`: detectors and score "
        f"{both:.1f} s, {len(signals):,} signals; at most {peak_mb() / 1024:.1f} GB. {machine('duckdb', 'pandas')}"
    )


if __name__ == "__main__":
    main()
