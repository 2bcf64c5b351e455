"""The live service on a full disk, without its database, with a clock that jumps and a platform that hardly answers:
what it answers, and how soon it is right again.

`python -m benchmarks.live_faults [--seconds 60] [--fault NAME]…`, as root (a small file system is mounted), with
PostgreSQL's programs and libfaketime; raises when something acknowledged was lost, doubled or judged otherwise.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import random
import signal
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import httpx

from pipelines.live import decisions, keys, outbox
from pipelines.live.decisions import Action
from sql.warehouse import Warehouse
from tests import postgres
from tests.builders import firm_rows, write_rulebook
from tests.live_parts import body, recent, until
from tests.test_kill_live import ACCOUNTS, PATIENCE_SECONDS, SAID, check, deal, free_port, load, ready, start
from tests.test_score_same import firm, one_account

DISK_MB = 64
EVERY_SECONDS = 0.5


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of its own that is soon full."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(file: Path) -> None:
    """Takes what room there is."""
    with file.open("wb", buffering=0) as filler:
        for size in (1 << 20, 1 << 12):
            try:
                while filler.write(b"\0" * size) == size:
                    pass
            except OSError:
                continue


def through(
    warehouse: Warehouse,
    folder: Path,
    harm: Callable[[], object],
    mend: Callable[[], object],
    seconds: float,
    then: Callable[[], object] = lambda: None,
) -> Any:
    """Serves, harms for some seconds while deals come, mends, and tells answers and seconds until a verdict is told."""
    chance, sent, accounts = random.Random(9), list[dict[str, object]](), firm([one_account(0)] * ACCOUNTS)
    rules, port = write_rulebook(folder / "rules", accounts), free_port()
    holder = {"Authorization": f"Bearer {keys.create(warehouse, 'load')}"}
    process, answers, acknowledged = start(warehouse.home, rules, port), Counter[int](), set[str]()
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=holder, timeout=PATIENCE_SECONDS) as client:
        try:
            ready(client, process, warehouse.home.parent / SAID)
            for name in ("accounts", "challenges", "traders"):
                client.post(f"/v1/{name}", content=body(firm_rows(accounts)[name])).raise_for_status()
            acknowledged |= load(client, chance, sent, 3.0)
            until(lambda: client.get("/v1/accounts/A0").status_code == 200)
            harm()
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                sent.append(deal(len(sent), chance))
                answers[send(client, sent[-1], acknowledged)] += 1
                time.sleep(EVERY_SECONDS)
            mend()
            began = time.monotonic()
            fatal = {**deal(len(sent), chance), "account_id": "A0", "executed_at": recent(1), "profit": -20000}
            until(lambda: send(client, fatal, acknowledged) == 202)
            taken = time.monotonic() - began
            until(lambda: client.get("/v1/accounts/A0").json().get("status") == "breached")
            told = time.monotonic() - began
            then()
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE_SECONDS)
    check(warehouse, rules, acknowledged)
    return {"answers": dict(answers), "taken_again_s": round(taken, 2), "verdict_again_s": round(told, 2)}


def send(client: httpx.Client, one: dict[str, object], acknowledged: set[str]) -> int:
    """Posts a deal; notes it when it was acknowledged and tells the answer's code."""
    code = client.post("/v1/deals", content=body([one])).status_code
    if code == 202:
        acknowledged.add(str(one["deal_id"]))
    return code


def full_disk(folder: Path, seconds: float) -> Any:
    """The home's disk takes no more."""
    with small_disk(folder / "disk") as disk:
        warehouse = Warehouse.open(disk / "home", f"sqlite:///{disk / 'home' / 'highwater.db'}")
        filler = disk / "filler"
        return through(warehouse, folder, lambda: fill(filler), filler.unlink, seconds)


def no_database(folder: Path, seconds: float) -> Any:
    """PostgreSQL is stopped as if its power were cut."""
    with postgres.stoppable() as server:
        address = postgres.new_database(server.address)
        os.environ["HIGHWATER_DATABASE_URL"] = address
        try:
            warehouse = Warehouse.open(folder / "home", address)
            return through(warehouse, folder, server.stop, server.start, seconds)
        finally:
            del os.environ["HIGHWATER_DATABASE_URL"]


def clock_step(folder: Path, seconds: float) -> Any:
    """The machine's clock jumps an hour ahead, and back."""
    warehouse, offset = Warehouse.open(folder / "home"), folder / "offset"
    offset.write_text("+0")
    library = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    told = {"LD_PRELOAD": str(library), "FAKETIME_TIMESTAMP_FILE": str(offset), "FAKETIME_NO_CACHE": "1"}
    told["FAKETIME_DONT_FAKE_MONOTONIC"] = "1"
    os.environ.update(told)
    try:
        return through(warehouse, folder, lambda: offset.write_text("+1h"), lambda: offset.write_text("+0"), seconds)
    finally:
        for name in told:
            del os.environ[name]


class Platform(BaseHTTPRequestHandler):
    """A firm's gateway that takes its time while it is told to."""

    slow = threading.Event()
    asked: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        """Answers, late if it is slow."""
        self.rfile.read(int(self.headers["Content-Length"]))
        Platform.asked.append(self.headers["Idempotency-Key"])
        while self.slow.is_set():
            time.sleep(0.1)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


def slow_consumer(folder: Path, seconds: float) -> Any:
    """The platform takes every action, and answers none: verdicts go on; what it misses is brought to it again."""
    warehouse, freed = Warehouse.open(folder / "home"), list[float]()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Platform)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    outbox.connect(warehouse, "D1", f"http://127.0.0.1:{server.server_port}", "enforce", {"offer_reset": "off"})

    def harm() -> None:
        Platform.slow.set()
        with warehouse.database.begin() as database:
            actions = [Action(f"A{number}", "freeze", "daily_loss", 1) for number in range(1, ACCOUNTS)]
            decisions.act(database, actions, {one.account_id: "D1" for one in actions}, dt.datetime.now(dt.UTC))

    def mend() -> None:
        Platform.slow.clear()
        freed.append(time.monotonic())

    def all_taken() -> bool:
        return {row["state"] for row in outbox.listed(warehouse) if row["action"] == "freeze"} == {"sent"}

    def then() -> None:
        until(all_taken, PATIENCE_SECONDS)
        freed.append(time.monotonic())

    told = through(warehouse, folder, harm, mend, seconds, then)
    server.shutdown()
    asked = {"actions": len(set(Platform.asked)), "asked": len(Platform.asked)}
    return told | asked | {"all_taken_s": round(freed[1] - freed[0], 1)}


FAULTS = {fault.__name__: fault for fault in (full_disk, no_database, clock_step, slow_consumer)}


def main() -> None:
    """Runs and prints every fault as a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--fault", choices=list(FAULTS), action="append", default=[])
    args = parser.parse_args()
    seconds = args.seconds
    for fault in [FAULTS[name] for name in args.fault or FAULTS]:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps({"fault": fault.__name__, "seconds": seconds, **fault(Path(folder), seconds)}), flush=True)


if __name__ == "__main__":
    main()
