"""The real service killed at random moments under load: what it acknowledged is in the lake once, and judged."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from models import catalogue
from pipelines.live import keys
from pipelines.score import score
from sql.warehouse import Warehouse
from tests.builders import firm_rows, write_rulebook
from tests.live_parts import body, decided, recent
from tests.test_score_same import firm, one_account

pytestmark = pytest.mark.slow

KILLS = 4
ACCOUNTS = 20
PATIENCE_SECONDS = 300.0
ROOT = Path(__file__).parent.parent
SAID = "said.log"


def free_port() -> int:
    """A port that nobody listens on, none of those that the system gives to whoever connects between two starts."""
    for port in random.sample(range(20_000, 30_000), 100):
        with closing(socket.socket()) as one, contextlib.suppress(OSError):
            one.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


def start(home: Path, rules: Path, port: int) -> subprocess.Popen[bytes]:
    """The service in a process of its own; what it says last is kept in `said.log` beside its home."""
    command = [sys.executable, "-m", "cli", "--home", str(home), "--rulebook", str(rules), "live", "--port", str(port)]
    with (home.parent / SAID).open("wb") as said:
        return subprocess.Popen(command, cwd=ROOT, env=os.environ, stderr=said)


def ready(client: httpx.Client, process: subprocess.Popen[bytes], said: Path) -> float:
    """Waits until the service takes events; returns the seconds that took."""
    began = time.monotonic()
    while time.monotonic() - began < PATIENCE_SECONDS:
        assert process.poll() is None, f"the service ended by itself: {said.read_text()[-2000:]}"
        try:
            if client.get("/ready").status_code == 200:
                return time.monotonic() - began
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise AssertionError("the service never became ready")


def load(client: httpx.Client, chance: random.Random, sent: list[dict[str, object]], seconds: float) -> set[str]:
    """Sends deals, sometimes again what was sent before, for some seconds; returns the ids that were acknowledged."""
    acknowledged: set[str] = set()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        fresh = [deal(len(sent) + place, chance) for place in range(chance.randint(1, 30))]
        again = chance.sample(sent, min(len(sent), 3))
        answer = client.post("/v1/deals", content=body([*fresh, *again]))
        assert answer.status_code == 202, answer.text
        assert answer.json()["rejected"] == []
        sent += fresh
        acknowledged.update(str(one["deal_id"]) for one in (*fresh, *again))
    return acknowledged


def deal(number: int, chance: random.Random) -> dict[str, object]:
    """One closed trade of a random account."""
    account = f"A{chance.randrange(ACCOUNTS)}"
    return {
        "account_id": account, "deal_id": f"k{number}", "kind": "trade", "entry": "out", "position_id": f"p{number}",
        "side": "sell", "symbol": "EURUSD", "volume": 1, "executed_at": recent(60), "profit": chance.randint(-900, 900),
    }  # fmt: skip


def test_nothing_acknowledged_is_lost_or_doubled(tmp_path: Path) -> None:
    assert len(ordeal(tmp_path, KILLS)) == KILLS + 1


def ordeal(folder: Path, kills: int) -> list[float]:
    """Kills the service so often under load and checks what is left; returns the seconds of every start."""
    chance, starts = random.Random(20261120), []
    accounts = firm([one_account(0)] * ACCOUNTS)
    rules = write_rulebook(folder / "rules", accounts)
    warehouse, port = Warehouse.open(folder / "home"), free_port()
    address, holder = f"http://127.0.0.1:{port}", {"Authorization": f"Bearer {keys.create(warehouse, 'load')}"}
    sent: list[dict[str, object]] = []
    acknowledged: set[str] = set()
    with httpx.Client(base_url=address, headers=holder, timeout=PATIENCE_SECONDS) as client:
        for kill in range(kills + 1):
            process = start(warehouse.home, rules, port)
            try:
                starts.append(ready(client, process, folder / SAID))
                if kill == 0:
                    for name in ("accounts", "challenges", "traders"):
                        client.post(f"/v1/{name}", content=body(firm_rows(accounts)[name])).raise_for_status()
                acknowledged |= load(client, chance, sent, chance.uniform(0.2, 2.5))
            finally:
                process.send_signal(signal.SIGKILL if kill < kills else signal.SIGTERM)
                process.wait(PATIENCE_SECONDS)
    check(warehouse, rules, acknowledged)
    return starts


def check(warehouse: Warehouse, rules: Path, acknowledged: set[str]) -> None:
    """Every acknowledged deal is in the lake once, nothing waits in the journal, and a full run changes nothing."""
    assert list((warehouse.home / "live" / "wal").iterdir()) == []
    with warehouse.engine() as connection:
        landed = [row[0] for row in connection.execute("select deal_id from lake.deals").fetchall()]
    assert len(landed) == len(set(landed))
    assert acknowledged <= set(landed)
    before = decided(warehouse)
    score(warehouse, catalogue.load(rules), full=True)
    after = decided(warehouse)
    assert all(frame.equals(after[name]) for name, frame in before.items())
    assert len(before["account_status"]) == ACCOUNTS
    assert json.loads(before["verdicts"]["evidence"].iloc[0])["sentence"]
