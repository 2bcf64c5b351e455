"""Commissions of a million events, and the marts of a large firm: `python -m benchmarks.management [events] [traders]`.

The large firm is a small demo firm many times over: every copy has its own people, accounts and requests, the partners
and desks are shared. All that management reads is made and written to a new database; a day lands and it is brought up
to date; then every management page is opened.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import sqlalchemy as sa

from benchmarks.measure import child, machine, peak_mb, report, table
from models import attribution, catalogue, commissions
from models.commissions import load_plans, settle
from models.payouts import spells
from models.payouts.facts import OF_THE_DESK
from pipelines import across, marts
from pipelines.demo import write_demo
from pipelines.land import land_paths
from pipelines.score import KEPT, WALK_TABLES, register_instruments, register_terms, score
from sql import kept_records, kept_trades, relations, schema
from sql.decided import register_tables
from sql.schema import DATASETS
from sql.warehouse import Warehouse, read_frame, replace_rows

PARTNERS = 2_000
NOW = dt.datetime(2026, 7, 1, tzinfo=dt.UTC)


def firm(events: int) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Events, credits, tree and rates of a firm in which four in ten events are purchases."""
    rng = np.random.default_rng(7)
    sales = max(int(events * 0.4), 1)
    bought = np.sort(rng.integers(0, 540 * 86_400, sales))
    on = rng.integers(0, sales, events - sales)
    kinds = rng.choice(
        ["pass", "funded", "profit_share", "refund", "chargeback"], len(on), p=[0.3, 0.3, 0.3, 0.07, 0.03]
    )
    fees = rng.choice([49.0, 155.0, 345.5, 540.0, 1080.0], sales)
    start = np.datetime64("2025-01-01", "us")
    seconds = np.concatenate([bought, bought[on] + rng.integers(3600, 40 * 86_400, len(on))])
    challenge = np.concatenate([np.arange(sales), on])
    told = pd.DataFrame(
        {
            "event_id": np.arange(events).astype(str),
            "kind": np.concatenate([np.full(sales, "purchase"), kinds]),
            "challenge_id": "C" + pd.Series(challenge).astype(str),
            "trader_id": "T" + pd.Series(challenge // 3).astype(str),
            "happened_at": pd.Series(start + seconds.astype("timedelta64[s]")).dt.tz_localize("UTC"),
            "amount": fees[challenge],
            "currency": pd.Series(np.array(["USD", "EUR", "GBP"])[challenge % 3]),
        }
    )
    names = np.array([f"P{n}" for n in range(PARTNERS)], dtype=object)
    credited = pd.DataFrame({"challenge_id": [f"C{n}" for n in range(sales)], "share": 1.0, "held_because": None})
    credited["partner_id"] = names[rng.zipf(1.5, sales) % PARTNERS]
    above = [None if n == 0 or rng.random() < 0.5 else names[int(rng.integers(n))] for n in range(PARTNERS)]
    plans = rng.choice(["cpa", "revshare", "hybrid", "tiered"], PARTNERS)
    tree = pd.DataFrame({"partner_id": names, "parent_partner_id": above, "plan": plans, "effective_from": pd.NaT})
    rates = pd.DataFrame({"currency": ["EUR", "GBP"], "day": [dt.date(2025, 1, 1)] * 2, "rate_to_usd": [1.1, 1.3]})
    return told, credited, tree, rates


def transfers(partners: int) -> pd.DataFrame:
    """A transfer a month to every partner."""
    names = np.repeat([f"P{n}" for n in range(partners)], 18)
    months = pd.date_range("2025-02-01", periods=18, freq="MS", tz="UTC")
    sent = pd.DataFrame({"partner_id": names, "amount": 500.0, "currency": "USD"})
    return sent.assign(settled_at=np.tile(months, partners)).astype({"settled_at": "datetime64[us, UTC]"})


def work(events: int) -> None:
    """Times one recalculation in this process; answers its entries and the processor's seconds."""
    told, credited, tree, rates = firm(events)
    small = firm(100)
    plans, sent = load_plans(), transfers(PARTNERS)

    def recalculated() -> tuple[int, float]:
        began = time.process_time()
        entries = settle(told, credited, tree, plans, NOW, rates=rates, transfers=sent).entries
        return len(entries), time.process_time() - began

    report(recalculated, lambda: settle(*small[:3], plans, NOW, rates=small[3], transfers=sent))


# --- the marts of a large firm ---------------------------------------------------------------------------------------

SMALL_TRADERS, SMALL_DAYS = 500, 80
COPIED: tuple[str, ...] = (
    "trader_id",
    "challenge_id",
    "account_id",
    "payout_id",
    "payment_id",
    "settlement_id",
    "click_id",
    "reset_of",
)
COPIED += ("login", "owner_id", "ring_id", "trader_a", "trader_b", "account_a", "account_b", "leader", "subject_id")
COPIED += ("destination", "instrument", "device_id", "ip")
SHARED = ("desks", "partners", "rates", "news", "quotes")


def multiply(connection: duckdb.DuckDBPyConnection, room: str, name: str, columns: list[str], copies: int) -> None:
    """Puts so many copies of a table in its place, each with ids of its own."""
    named = ", ".join(f'"{c}" || \'-\' || copy as "{c}"' for c in columns if c in COPIED)
    shown = f"* exclude (copy) replace ({named})" if named else "* exclude (copy)"
    connection.execute(
        f"create table copied as select {shown} from {room}.{name} cross join range({copies}) as r (copy)"
    )
    known = connection.execute(
        "select table_type from information_schema.tables where table_schema = ? and table_name = ?", [room, name]
    ).fetchall()
    connection.execute(f"drop {'view' if known[0][0] == 'VIEW' else 'table'} {room}.{name}")
    connection.execute(f"create table {room}.{name} as select * from copied; drop table copied")


def to_file(connection: duckdb.DuckDBPyConnection, name: str, told: str, file: Path) -> None:
    """Puts rows into a file of the lake, beside those that it has of the dataset: a run reads files, and has its memory
    for what it builds."""
    connection.execute(f"copy {told} to '{file}' (format parquet, compression zstd)")
    connection.execute(f"drop table {told}")
    files = [str(one) for one in sorted(file.parent.glob(f"{name}-*.parquet"))]
    connection.execute(
        f"create or replace view lake.{name} as select * from read_parquet({files}, union_by_name = true)"
    )


def large(traders: int) -> dict[str, float]:
    """Seconds of each step for a firm of so many traders."""
    took: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        home = Warehouse.open(Path(folder) / "small")
        write_demo(Path(folder) / "feed", SMALL_TRADERS, SMALL_DAYS, 7)
        land_paths(home, [Path(folder) / "feed"])
        rulebook = catalogue.load(None)
        as_of = score(home, rulebook).as_of
        assert as_of is not None
        target = Warehouse.open(Path(folder) / "large")
        copies = -(-traders // SMALL_TRADERS)
        told: tuple[sa.Table, ...] = (
            *WALK_TABLES,
            schema.OWNERS,
            schema.LINKS,
            schema.COPY_PAIRS,
            schema.COPY_RINGS,
            schema.SIGNALS,
        )
        told += (schema.RISK_SCORES, schema.CHURN_SCORES, schema.PAYOUT_REVIEWS, *OF_THE_DESK)
        with home.engine(as_of) as connection, home.database.connect() as database:
            register_tables(connection, database, *told)
            for dataset in DATASETS.values():
                if dataset.name not in SHARED:
                    multiply(connection, "lake", dataset.name, list(dataset.names), copies)
                    to_file(
                        connection, dataset.name, f"lake.{dataset.name}", Path(folder) / f"{dataset.name}-1.parquet"
                    )
            for one in told:
                multiply(connection, "decided", one.name, [column.name for column in one.columns], copies)
            register_terms(connection, rulebook)
            register_instruments(connection)
            took["deals"] = float(connection.execute("select count(*) from lake.deals").fetchall()[0][0])
            steps = bring_up(connection, target, rulebook, as_of)
            took |= {name: seconds for name, seconds in steps.items() if name != "rows written"}
            as_of += DAY
            took |= a_day(connection, as_of, Path(folder))
            took |= {
                f"after a day: {name}": each for name, each in bring_up(connection, target, rulebook, as_of).items()
            }
            note_run(connection, target, as_of)
            took |= pages(target)
    return took


def bring_up(
    connection: duckdb.DuckDBPyConnection, target: Warehouse, rulebook: catalogue.Rulebook, as_of: dt.datetime
) -> dict[str, float]:
    """Makes and writes all that management reads as a scoring run does, from nothing; seconds of each part and of all.

    After each part stand the processor's seconds, which others on the machine do not stretch.
    """
    took: dict[str, float] = {}
    began = [time.perf_counter(), time.process_time()]

    def lap(name: str) -> None:
        now = [time.perf_counter(), time.process_time()]
        took[name], took[f"{name}, of the processor"] = now[0] - began[0], now[1] - began[1]
        began[:] = now

    relations.prepare(connection, as_of)
    relations.build(connection, "facts.accounts")
    kept_trades.build(connection, target.home / KEPT)
    lap("facts")
    with target.database.begin() as into:
        settled = commissions.record(connection, into, as_of, attribution.record(connection, into))
        replace_rows(into, schema.COMMISSIONS, settled.commissions)
        lap("commissions")
        spells.show_of(connection, rulebook, [], as_of)
        across.manage(connection, as_of)
        lap("cohorts and liability")
        kept_records.build(connection, target.home / KEPT)
        built = marts.build(connection, target.database)
        lap("marts built")
        written = marts.publish(connection, into, built)
    lap("marts written")
    parts = dict(took)
    took["in all"] = sum(each for name, each in parts.items() if "processor" not in name)
    took["in all, of the processor"] = sum(each for name, each in parts.items() if "processor" in name)
    return took | {"rows written": float(written)}


DAY = dt.timedelta(days=1)
OF_A_DAY = {
    "deals": ("executed_at", ("deal_id", "position_id")),
    "equity": ("observed_at", ()),
    "challenges": ("purchased_at", ("challenge_id",)),
    "payments": ("occurred_at", ("payment_id", "challenge_id")),
    "payouts": ("requested_at", ("payout_id",)),
    "clicks": ("occurred_at", ("click_id",)),
}
"""What lands on a day: by which column it is dated, and the ids that it has of its own."""


def a_day(connection: duckdb.DuckDBPyConnection, until: dt.datetime, folder: Path) -> dict[str, float]:
    """The last day's rows once more a day later, with what the walk says of it; forgets all that rested on the lake.

    Traders and accounts are those of before; a payment is that of a challenge bought on the same day, and requests that
    waited longest are paid.
    """
    landed: dict[str, float] = {}
    forget(connection)
    load = 1 + connection.execute("select max(_load_id) from lake.deals").fetchall()[0][0]
    since = until - 2 * DAY
    connection.execute(
        "create temp table bought as select challenge_id from lake.challenges where purchased_at > ?", [since]
    )
    for name, (dated_by, own) in OF_A_DAY.items():
        shown = [f"{dated_by} + interval 1 day as {dated_by}", f"{load} as _load_id"]
        shown += [f"{one} || '-day' as {one}" for one in own]
        of_the_day = "semi join bought using (challenge_id)" if name == "payments" else ""
        connection.execute(
            f"create temp table landed as select * replace ({', '.join(shown)}) from lake.{name} {of_the_day}"
            f" where {dated_by} > ? and {dated_by} <= ?",
            [since, until - DAY],
        )
        if name == "deals":
            _walk_on(connection, until)
        landed[f"{name} of the day"] = float(connection.sql("select count(*) from landed").fetchall()[0][0])
        to_file(connection, name, "landed", folder / f"{name}-2.parquet")
    connection.execute("drop table bought")
    landed["settlements of the day"] = float(_pay(connection, until, load, folder))
    connection.execute("update decided.account_status set as_of = ?", [until])
    return landed


def _walk_on(connection: duckdb.DuckDBPyConnection, until: dt.datetime) -> None:
    """Moves what the walk says of every live account by the deals that landed: balance, equity, the room to each floor
    and the day; who has no room left has breached."""
    connection.execute(
        "create temp table moved as select account_id, sum(profit + commission + swap + fee) as moved from landed"
        " group by account_id"
    )
    connection.execute(
        """
        update decided.account_status as stood set
            balance = balance + moved,
            equity = equity + moved,
            daily_headroom = daily_headroom + moved,
            max_headroom = max_headroom + moved,
            -- as much of its allowance as the room was a part of it before
            near_share = greatest(
                near_share - moved * (1 - near_share) / nullif(least(daily_headroom, max_headroom), 0), 0
            ),
            status = if(least(daily_headroom, max_headroom) + moved < 0, 'breached', status),
            status_at = if(least(daily_headroom, max_headroom) + moved < 0, ?, status_at)
        from moved
        where stood.account_id = moved.account_id and stood.status = 'active'
        """,
        [until],
    )
    connection.execute(
        """
        insert into decided.account_days
        select days.* replace (
            firm_day + 1 as firm_day,
            opened_at + interval 1 day as opened_at,
            close_equity as open_equity,
            close_equity + coalesce(moved, 0) as close_equity,
            close_balance + coalesce(moved, 0) as close_balance,
            coalesce(moved, 0) as closed_profit
        )
        from decided.account_days as days
        inner join decided.account_status as status using (account_id)
        left join moved using (account_id)
        where firm_day = (select max(firm_day) from decided.account_days) and status in ('active', 'paused')
        """
    )
    connection.execute("drop table moved")


def _pay(connection: duckdb.DuckDBPyConnection, until: dt.datetime, load: int, folder: Path) -> int:
    """Settles as many of the requests that wait as were asked for on the day; returns how many."""
    connection.execute(
        f"""
        create temp table landed as
        select
            payouts.payout_id || '-paid' as settlement_id,
            payouts.payout_id,
            payouts.destination,
            cast(payouts.amount * 0.8 as decimal(18, 2)) as amount,
            accounts.currency,
            ? as settled_at,
            'settled' as status,
            {load} as _load_id,
            row_number() over () as _line,
            1 as _version
        from lake.payouts as payouts
        inner join lake.accounts as accounts using (account_id)
        anti join lake.settlements as settlements using (payout_id)
        order by payouts.requested_at, payouts.payout_id
        limit (select count(*) from lake.payouts where _load_id = {load})
        """,
        [until - dt.timedelta(hours=1)],
    )
    paid = int(connection.sql("select count(*) from landed").fetchall()[0][0])
    to_file(connection, "settlements", "landed", folder / "settlements-2.parquet")
    return paid


def forget(connection: duckdb.DuckDBPyConnection) -> None:
    """Drops every table that was built, as a new process has none."""
    rooms = ", ".join(f"'{room}'" for room in relations.ROOMS)
    held = f"select schema_name || '.' || table_name from duckdb_tables() where schema_name in ({rooms})"
    relations.drop(connection, *(name for (name,) in connection.execute(held).fetchall()))


VIEWS: tuple[tuple[str, dict[str, str]], ...] = (
    *(("overview", {"view": view}) for view in ("glance", "risk", "payouts", "management")),
    *(("cohorts", {"view": view}) for view in ("funnel", "age", "payouts", "value", "terms")),
    *(("partners", {"view": view}) for view in ("partners", "plans", "decisions")),
    ("partners", {"partner": "P00001"}),
    *(("exposure", {"view": view}) for view in ("liability", "exposure", "stress")),
    *((page, {}) for page in ("segments", "policy_lab", "portability", "data_health")),
)
"""Every page and view that management opens; of a partner the whole profile with its statement."""


def note_run(connection: duckdb.DuckDBPyConnection, target: Warehouse, as_of: dt.datetime) -> None:
    """Writes the run by which the pages know what they stand on, and the decided tables that they read."""
    run = {"run_id": 1, "started_at": as_of, "finished_at": as_of, "as_of": as_of, "mode": "full", "accounts_walked": 0}
    run |= {"watermark": "[]", "rulebook": "", "log": "[]", "marts": relations.fingerprint("marts"), "code": ""}
    with target.database.begin() as into:
        for one in (schema.SIGNALS, schema.RISK_SCORES):
            replace_rows(into, one, connection.sql(f"select * from decided.{one.name}").df())
        into.execute(sa.insert(schema.RUNS).values(**run))


def pages(target: Warehouse) -> dict[str, float]:
    """Milliseconds of every management page, first opened: all that it reads, and the whole of its script."""
    import streamlit as st
    from streamlit.testing.v1 import AppTest

    from dashboards.kit import reads

    os.environ["HIGHWATER_HOME"] = str(target.home)
    seconds = [0.0]

    def timed(*told: Any) -> pd.DataFrame:
        started = time.perf_counter()
        found = read_frame(*told)
        seconds[0] += time.perf_counter() - started
        return found

    took: dict[str, float] = {}
    readers: tuple[Any, ...] = (reads, marts)
    for module in readers:
        module.read_frame = timed
    for page, address in VIEWS:
        for _ in ("imports", "timed"):
            st.cache_data.clear()
            app = AppTest.from_string(f"from dashboards.app import main; main({page!r})", default_timeout=600)
            for name, value in address.items():
                app.query_params[name] = value
            seconds[0], started = 0.0, time.perf_counter()
            app.run()
            whole = time.perf_counter() - started
            if app.exception:
                raise RuntimeError(f"{page} {address}: {app.exception[0].value}")
        named = " ".join((page, *address.values()))
        took |= {f"{named} read, ms": 1000 * seconds[0], f"{named} drawn, ms": 1000 * whole}
    return took


def main(events: int, traders: int) -> None:
    """Prints two tables."""
    print(machine("numba", "numpy", "pandas", "duckdb", "sqlalchemy"))
    if events:
        done = child("benchmarks.management", "--child", str(events))
        entries, processor = done.answer
        line = [f"{events:,}", f"{entries:,}", f"{done.seconds:.1f} s", f"{processor:.1f} s", f"{done.peak_mb:,.0f} MB"]
        print(table(["commission events", "entries", "from the start", "of the processor", "peak memory"], [line]))
    if traders:
        found = child("benchmarks.management", "--large", str(traders))
        took = {"traders": f"{traders:,}", "deals": f"{found.answer.pop('deals'):,.0f}"}
        took |= {name: f"{value:,.1f}" for name, value in found.answer.items()}
        print(table(["step", "seconds, or as named"], [[name, value] for name, value in took.items()]))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        work(int(sys.argv[2]))
    elif sys.argv[1:2] == ["--large"]:
        print(json.dumps({"seconds": 0.0, "answer": large(int(sys.argv[2])), "peak_mb": peak_mb()}))
    else:
        main(*(int(one) for one in [*sys.argv[1:], "1000000", "100000"][:2]))
