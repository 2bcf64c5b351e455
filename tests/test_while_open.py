"""People look while data moves: landing and scoring by another process neither wait for pages nor break them."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import cycle
from pathlib import Path

import pytest
import sqlalchemy as sa
import streamlit as st
from streamlit.testing.v1 import AppTest

from sql import schema
from sql.warehouse import Warehouse
from tests import pages_firm

ROOT = Path(__file__).parent.parent
PAGES = ("overview", "risk_queue", "account", "data_health")
LATE_DEALS = """account_id,deal_id,position_id,kind,entry,side,symbol,volume,price,executed_at,profit
N1,901,91,trade,in,buy,EURUSD,1.00,1.1000,2026-03-06T09:00:00Z,0
N1,902,91,trade,out,sell,EURUSD,1.00,1.0500,2026-03-06T14:00:00Z,-9000
"""


def work(home: Warehouse, book: Path, late: Path) -> subprocess.Popen[str]:
    """Starts a process that lands a file and scores."""
    told = {"HIGHWATER_HOME": str(home.home), "HIGHWATER_DATABASE_URL": home.database_url}
    environment = os.environ | told | {"HIGHWATER_RULEBOOK": str(book)}
    commands = f"from cli import main; assert main(['ingest', {str(late)!r}]) == 0; assert main(['score']) == 0"
    return subprocess.Popen(
        [sys.executable, "-c", commands], cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True
    )


def statuses(connection: sa.Connection) -> dict[str, str]:
    """The status of every account as one reader sees it."""
    table = schema.METADATA.tables["account_status"]
    return {row.account_id: row.status for row in connection.execute(sa.select(table.c.account_id, table.c.status))}


def test_pages_are_read_while_another_process_lands_and_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader in the middle of a transaction holds nobody up on the embedded database, where one file serves all."""
    home = Warehouse.open(tmp_path / "home")
    book = pages_firm.fill(home, tmp_path)
    late = tmp_path / "deals-late.csv"
    late.write_text(LATE_DEALS)
    st.cache_data.clear()
    st.cache_resource.clear()
    for name, value in (("HOME", str(home.home)), ("DATABASE_URL", home.database_url), ("RULEBOOK", str(book))):
        monkeypatch.setenv(f"HIGHWATER_{name}", value)
    with home.database.connect() as reader:
        before = statuses(reader)
        working = work(home, book, late)
        for page in cycle(PAGES):
            draw(page)
            with home.database.connect() as other:
                assert statuses(other).keys() == before.keys()
            if working.poll() is not None:
                break
    assert working.returncode == 0, working.stderr.read() if working.stderr else ""
    with home.database.connect() as reader:
        after = statuses(reader)
    assert {name for name in before if before[name] != after[name]} == {"N1"}
    assert after["N1"] == "breached"


def draw(page: str) -> None:
    """Draws a page; fails with its own error."""
    app = AppTest.from_string(f"from dashboards.app import main; main({page!r})", default_timeout=240)
    app.query_params["account"] = "N1"
    app.run()
    assert not app.exception, app.exception[0].stack_trace
