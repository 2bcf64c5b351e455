"""How long all detectors and the score take: `python -m benchmarks.conduct [--deals N] [--accounts N] [--day]`.

With `--day` a day's increment instead: a firm of a year whose accounts live four weeks each is measured, a day arrives,
and detectors and score go on from what was kept. Everything measured again must say the same.

The made-up book of `benchmarks.set_rules`, every account with one trader, walked first. Building trades from deals is
told apart: every part of a run shares it. Beside them one naive threshold over the same trades with pandas.
"""

from __future__ import annotations

import argparse
import datetime as dt
import tempfile
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import duckdb
import pandas as pd
import sqlalchemy as sa

from benchmarks.measure import machine, peak_mb
from benchmarks.set_rules import AS_OF, book
from models import catalogue
from models.catalogue import Rulebook
from models.detectors import DETECTORS, detect_all, kept
from models.detectors.base import judge as judge_one
from models.risk_score import weigh
from pipelines.score import judge, judged_accounts, register_instruments, register_terms
from sql import relations, schema
from sql.decided import register
from sql.warehouse import replace_rows, write_rows

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

# An account is closed with its last deal, where that was before the day that arrives.
_CLOSED = """
update lake.accounts
set opened_at = lived.first_at, closed_at = case when lived.last_at < ? then lived.last_at end
from (select account_id, min(executed_at) as first_at, max(executed_at) as last_at from lake.deals group by account_id)
    as lived
where accounts.account_id = lived.account_id
"""


def walked(connection: duckdb.DuckDBPyConnection, as_of: dt.datetime = AS_OF) -> None:
    """Judges the book's accounts, so that detectors see how they stand."""
    rulebook = Rulebook({"plan": catalogue.read_product(TERMS, "plan.toml")})
    register_terms(connection, rulebook)
    register_instruments(connection)
    relations.build(connection, "facts.accounts")
    judged = judge(connection, judged_accounts(connection), rulebook, as_of)
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


def day(deals: int, accounts: int, folder: str) -> None:
    """Prints what a day's increment takes beside a run that measures everybody."""
    lives, year = 28, 365
    now = AS_OF - dt.timedelta(days=9 + lives)
    eve = now - dt.timedelta(days=1)

    def firm(as_of: dt.datetime) -> duckdb.DuckDBPyConnection:
        made = book(deals // 2, folder, max(deals // 2 // accounts, 1), lives, year - lives, as_of)
        made.execute(_CLOSED, [eve])
        made.execute("update lake.deals set _load_id = 2 where executed_at > ?", [eve])
        walked(made, as_of)
        return made

    first = firm(eve)
    left = kept.leave(first, detect_all(first, eve)[0], eve, {1})
    first.close()
    connection = firm(now)
    relations.build(connection, "facts.trades")
    query = "select count(*), count(distinct account_id) from lake.deals where executed_at > ? and executed_at <= ?"
    told = connection.execute(query, [eve, now]).fetchall()[0]
    print(f"{told[0]:,} deals of {told[1]:,} accounts arrive\n\n| step | seconds |\n|---|---|")
    database = sa.create_engine("sqlite://").connect()
    schema.CONDUCT_KEPT.create(database)
    write_rows(database, schema.CONDUCT_KEPT, left)
    started, busy = time.perf_counter(), time.process_time()
    before = timed("what was kept is read", lambda: kept.read(database))
    signals, _ = timed("all detectors", lambda: detect_all(connection, now, before=before, loads={1, 2}))
    measured = connection.sql("select count(distinct account_id) from detectors.trades").fetchall()[0][0]
    leaving = timed("what is kept is gathered", lambda: kept.leave(connection, signals, now, {1, 2}, before))
    timed("and written", lambda: replace_rows(database, schema.CONDUCT_KEPT, leaving))
    register(connection, schema.SIGNALS, signals)
    timed("score", lambda: weigh(connection, now))
    on, on_busy = time.perf_counter() - started, time.process_time() - busy
    relations.clear(connection, "detectors")
    started, busy = time.perf_counter(), time.process_time()
    again, _ = timed("everybody measured: all detectors", lambda: detect_all(connection, now))
    register(connection, schema.SIGNALS, again)
    timed("everybody measured: score", lambda: weigh(connection, now))
    whole, whole_busy = time.perf_counter() - started, time.process_time() - busy
    if not again.equals(signals):
        raise RuntimeError("a run on from what was kept says something else than one that measures everybody")
    size = left["held"].str.len().sum() / 2**20
    print(
        f"\n`python -m benchmarks.conduct --day --deals {deals} --accounts {accounts}`: {measured:,} accounts measured,"
        f" {on:.1f} s against {whole:.1f}, of processor {on_busy:.1f} against {whole_busy:.1f};"
        f" {len(signals):,} signals; kept {size:.0f} MB; at most {peak_mb() / 1024:.1f} GB."
        f" {machine('duckdb', 'pandas')}"
    )


def main() -> None:
    """Prints seconds per step and per detector, and the memory at most."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--deals", type=int, default=2_000_000)
    parser.add_argument("--accounts", type=int, default=20_000)
    parser.add_argument("--day", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if chosen.day:
            day(chosen.deals, chosen.accounts, folder)
            return
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
            relations.drop(connection, measured)
            timed(f"of this {name}, shared measurements built", partial(judge_one, connection, one, one.terms))
        timed("pandas: usual holding under a minute", lambda: naive(connection))
    print(
        f"\n`python -m benchmarks.conduct --deals {chosen.deals} --accounts {chosen.accounts}`: detectors and score "
        f"{both:.1f} s, {len(signals):,} signals; at most {peak_mb() / 1024:.1f} GB. {machine('duckdb', 'pandas')}"
    )


if __name__ == "__main__":
    main()
