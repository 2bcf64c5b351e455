"""Live: from a posted deal to a verdict that can be read, under load, beside one transaction per event.

`python -m benchmarks.live [--seconds 30] [--accounts 10000] [--deals 2000] [--equity 20000]`; ten minutes of each are
`--seconds 600`, and a soak of half an hour is
`--seconds 1800 --deals 250 --equity 0 --history 1000000`. Half of the deals open positions, the other half close what
was opened two seconds before. `history` are deals of the month before that the lake holds at the start. `memory_mb` is
that of all processes of the service at the start, after each minute and at the end, `parts_mb` that of each process.
Client, service and database share the machine. A probe account is posted a losing deal every half second; its latency
is from before the request until a reader of the database sees the verdict.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import psutil  # type: ignore[import-untyped]
import pyarrow as pa
import sqlalchemy as sa

from models import catalogue
from pipelines.land import land_frame
from pipelines.live import keys
from pipelines.live.app import ARROW
from pipelines.score import score
from sql import schema
from sql.warehouse import Warehouse

ROOT = Path(__file__).parent.parent
PROBES = 4_000
BATCHES_PER_SECOND = 10
MEMORY_SECONDS = 10.0
MEMORY_EVERY = 6
HISTORY = dt.timedelta(days=30)
HELD_REQUESTS = 20
PRODUCT = """
id = "bench"
name = "Bench"
[[versions]]
version = 1
effective_from = 2000-01-01T00:00:00Z
clock = { zone = "Europe/Prague", reset = "00:00", calendar = "fx" }
[versions.stages.evaluation_1]
daily_loss = { reference = "balance", base = "initial", percent = 5, effect = "terminate" }
max_loss = { mode = "trailing_equity", base = "initial", percent = 10, effect = "terminate" }
profit_target = { percent = 10 }
"""


def now() -> str:
    """This instant as feeds write it."""
    return dt.datetime.now(dt.UTC).isoformat()


def prepare(home: Path, accounts: int, history: int = 0) -> tuple[Warehouse, Path, str]:
    """A home with accounts that have traded so many deals, scored once; returns it, its rulebook and a key."""
    warehouse, rules = Warehouse.open(home, f"sqlite:///{home / 'highwater.db'}"), home / "rules"
    rules.mkdir()
    (rules / "bench.toml").write_text(PRODUCT)
    names = [f"B{number}" for number in range(accounts + PROBES)]
    opened = (dt.datetime.now(dt.UTC) - HISTORY).isoformat()
    people = pd.DataFrame({"trader_id": [f"T{n}" for n in names], "desk_id": "D1", "challenge_id": names})
    frames = {
        "traders": people[["trader_id"]].assign(full_name="x", kyc_status="none", registered_at=opened),
        "challenges": people.assign(product="bench", purchased_at=opened, fee=100, currency="USD"),
        "accounts": people.assign(
            account_id=names, stage="evaluation_1", platform="mt5", login=names, currency="USD",
            initial_balance=100000, opened_at=opened,
        ),
    }  # fmt: skip
    for name, frame in frames.items():
        land_frame(warehouse, name, frame, file=name, quick=True)
    if history:
        land_frame(warehouse, "deals", past(history // 2, accounts), file="past", quick=True)
    score(warehouse, catalogue.load(rules))
    return warehouse, rules, keys.create(warehouse, "bench")


def past(positions: int, accounts: int) -> pd.DataFrame:
    """Deals of so many positions of the month before, each closed after up to ten minutes."""
    chance = np.random.default_rng(3)
    opened = pd.Timestamp.now("UTC") - pd.to_timedelta(chance.uniform(0.01, 0.99, positions) * HISTORY.days, "D")
    ids = pd.Series(np.arange(positions).astype(str))
    both = {
        "account_id": "B" + pd.Series(chance.integers(0, accounts, positions).astype(str)),
        "position_id": "P" + ids, "kind": "trade", "symbol": "EURUSD", "volume": 1.0,
    }  # fmt: skip
    entries = pd.DataFrame(
        both | {"deal_id": "PI" + ids, "entry": "in", "side": "buy", "executed_at": opened, "profit": 0.0}
    )
    closed = opened + pd.to_timedelta(chance.uniform(5, 600, positions), "s")
    profit = chance.integers(-5, 6, positions).astype(float)
    exits = entries.assign(deal_id="PO" + ids, entry="out", side="sell", executed_at=closed, profit=profit)
    return pd.concat([entries, exits]).sort_values("executed_at")


def arrow(rows: dict[str, list[Any]]) -> bytes:
    """Columns as an Arrow stream."""
    table = pa.table(rows)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    body: bytes = sink.getvalue().to_pybytes()
    return body


def deals(number: int, size: int, accounts: int, _: np.random.Generator) -> bytes:
    """One request of deals: half of them open positions, the others close those opened `HELD_REQUESTS` before."""
    parts = [("in", "buy", number)] + [("out", "sell", number - HELD_REQUESTS)] * (number >= HELD_REQUESTS)
    rows: dict[str, list[Any]] = {name: [] for name in ("account_id", "deal_id", "position_id", "entry", "side")}
    profit: list[float] = []
    for entry, side, opened in parts:
        chance = np.random.default_rng(opened)
        places = range(size // len(parts))
        rows["account_id"] += [f"B{code}" for code in chance.integers(0, accounts, len(places))]
        rows["deal_id"] += [f"{opened}-{place}-{entry}" for place in places]
        rows["position_id"] += [f"{opened}-{place}" for place in places]
        rows["entry"] += [entry] * len(places)
        rows["side"] += [side] * len(places)
        profit += chance.integers(-5, 6, len(places)).astype(float).tolist() if entry == "out" else [0.0] * len(places)
    same = {"kind": "trade", "symbol": "EURUSD", "volume": 1.0, "executed_at": now()}
    return arrow(rows | {"profit": profit} | {name: [value] * len(profit) for name, value in same.items()})


def equity(_: int, size: int, accounts: int, chance: np.random.Generator) -> bytes:
    """One request of observations, each of another account."""
    codes = chance.permutation(accounts)[:size]
    values = (100000 + chance.integers(-50, 51, len(codes))).astype(float).tolist()
    names = [f"B{code}" for code in codes]
    return arrow({"account_id": names, "observed_at": [now()] * len(codes), "balance": values, "equity": values})


Maker = Callable[[int, int, int, np.random.Generator], bytes]


class Load:
    """Posts a dataset at a rate until told to stop; counts what was taken and what was sent away."""

    def __init__(self, client: httpx.Client, dataset: str, make: Maker, rate: int, accounts: int) -> None:
        self.client, self.dataset, self.make, self.rate, self.accounts = client, dataset, make, rate, accounts
        self.taken = self.busy = 0
        self.acknowledged: list[float] = []
        self.stop = threading.Event()

    def run(self) -> None:
        """Posts ten requests a second; one that is late is followed by the next at once."""
        chance, began, number = np.random.default_rng(7), time.perf_counter(), 0
        while not self.stop.is_set():
            body = self.make(number, self.rate // BATCHES_PER_SECOND, self.accounts, chance)
            at = time.perf_counter()
            answer = self.client.post(f"/v1/{self.dataset}", content=body, headers={"Content-Type": ARROW})
            self.acknowledged.append(time.perf_counter() - at)
            if answer.status_code == 202:
                self.taken += answer.json()["accepted"]
            self.busy += answer.status_code == 429
            number += 1
            time.sleep(max(began + number / BATCHES_PER_SECOND - time.perf_counter(), 0))


def probe(client: httpx.Client, database: sa.Engine, accounts: int, seconds: float, dataset: str) -> list[float]:
    """Seconds from posting a breach to reading its verdict, once every half second."""
    query = sa.select(schema.VERDICTS.c.account_id).where(schema.VERDICTS.c.account_id == sa.bindparam("account"))
    found, end = [], time.perf_counter() + seconds
    for number in range(PROBES):
        if time.perf_counter() > end:
            break
        account, began = f"B{accounts + number}", time.perf_counter()
        client.post(f"/v1/{dataset}", content=json.dumps(loss(dataset, account))).raise_for_status()
        with database.connect() as connection:
            while connection.execute(query, {"account": account}).first() is None:
                connection.rollback()
                time.sleep(0.002)
        found.append(time.perf_counter() - began)
        time.sleep(max(began + 0.5 - time.perf_counter(), 0))
    return found


def loss(dataset: str, account: str) -> dict[str, Any]:
    """A record that breaks the daily loss."""
    if dataset == "equity":
        return {"account_id": account, "observed_at": now(), "balance": 100000, "equity": 90000}
    told = {"account_id": account, "deal_id": "1", "position_id": "1", "kind": "trade", "entry": "out", "side": "sell"}
    return told | {"volume": 1, "symbol": "EURUSD", "executed_at": now(), "profit": -10000}


def measure(dataset: str, make: Maker, rate: int, accounts: int, seconds: float, history: int) -> dict[str, Any]:
    """One run of the service under one kind of load."""
    with tempfile.TemporaryDirectory() as folder:
        warehouse, rules, key = prepare(Path(folder) / "home", accounts, history)
        port = free_port()
        command = [sys.executable, "-m", "cli", "--home", str(warehouse.home), "--rulebook", str(rules)]
        process = subprocess.Popen([*command, "live", "--port", str(port)], cwd=ROOT, stderr=subprocess.DEVNULL)
        try:
            headers = {"Authorization": f"Bearer {key}"}
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60) as client:
                wait_until_ready(client)
                return under_load(client, process.pid, warehouse, Load(client, dataset, make, rate, accounts), seconds)
        finally:
            process.terminate()
            process.wait(120)


def under_load(client: httpx.Client, pid: int, house: Warehouse, load: Load, seconds: float) -> dict[str, Any]:
    """Latency, throughput, processor and memory over some seconds of load."""
    service, thread = psutil.Process(pid), threading.Thread(target=load.run)
    cpu, began, held = service.cpu_times(), time.perf_counter(), list[list[int]]()
    watch = threading.Thread(target=measure_memory, args=(service, load.stop, held))
    thread.start()
    watch.start()
    found = probe(client, house.database, load.accounts, seconds, load.dataset)
    load.stop.set()
    thread.join()
    watch.join()
    took, spent = time.perf_counter() - began, service.cpu_times()
    p50, p99 = np.quantile(found, [0.5, 0.99]) * 1000
    return {
        "load": load.dataset, "wanted_per_s": load.rate, "taken_per_s": round(load.taken / took), "busy": load.busy,
        "probes": len(found), "verdict_p50_ms": round(p50), "verdict_p99_ms": round(p99),
        "acknowledged_p99_ms": round(np.quantile(load.acknowledged, 0.99) * 1000),
        "processors": round((spent.user + spent.system - cpu.user - cpu.system) / took, 2),
        "memory_mb": [sum(parts) for parts in (*held[:-1:MEMORY_EVERY], held[-1])],
        "parts_mb": [held[0], held[-1]],
    }  # fmt: skip


def measure_memory(service: psutil.Process, stop: threading.Event, held: list[list[int]]) -> None:
    """Notes again and again what the service and its processes hold, what several share as part of each, in MB."""
    while True:
        told = []
        for part in (service, *service.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                told.append(part.memory_full_info().pss >> 20)
        held.append(told)
        print(f"{len(held) * MEMORY_SECONDS:.0f} s: {sum(told)} MB {told}", file=sys.stderr, flush=True)
        if stop.wait(MEMORY_SECONDS):
            return


def free_port() -> int:
    """A port that nobody listens on."""
    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def wait_until_ready(client: httpx.Client) -> None:
    """Until the service takes events."""
    while True:
        try:
            if client.get("/ready").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)


def naive(seconds: float, accounts: int) -> dict[str, Any]:
    """What is commonly written: per event one transaction that inserts the deal and updates the account."""
    with tempfile.TemporaryDirectory() as folder:
        engine = sa.create_engine(f"sqlite:///{folder}/naive.db")
        tables = sa.MetaData()
        told = sa.Table("deals", tables, sa.Column("id", sa.Text, primary_key=True), sa.Column("profit", sa.Float))
        held = sa.Table("accounts", tables, sa.Column("id", sa.Text, primary_key=True), sa.Column("balance", sa.Float))
        tables.create_all(engine)
        with engine.begin() as connection:
            connection.exec_driver_sql("pragma journal_mode=wal")
        with engine.begin() as connection:
            connection.execute(sa.insert(held), [{"id": f"B{n}", "balance": 100000.0} for n in range(accounts)])
        count, began = 0, time.perf_counter()
        while time.perf_counter() - began < seconds:
            account = held.c.id == f"B{count % accounts}"
            with engine.begin() as connection:
                connection.execute(sa.insert(told).values(id=str(count), profit=1.0))
                connection.execute(sa.update(held).where(account).values(balance=held.c.balance + 1.0))
                connection.execute(sa.select(held.c.balance).where(account)).scalar()
            count += 1
        return {"load": "deals, a transaction per event", "taken_per_s": round(count / (time.perf_counter() - began))}


def main() -> None:
    """Runs and prints every measurement as a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--accounts", type=int, default=10_000)
    parser.add_argument("--deals", type=int, default=2_000)
    parser.add_argument("--equity", type=int, default=20_000)
    parser.add_argument("--history", type=int, default=0)
    args = parser.parse_args()
    for dataset, make, rate in (("deals", deals, args.deals), ("equity", equity, args.equity)):
        if rate:
            print(json.dumps(measure(dataset, make, rate, args.accounts, args.seconds, args.history)), flush=True)
    print(json.dumps(naive(min(args.seconds, 10), args.accounts)), flush=True)


if __name__ == "__main__":
    main()
