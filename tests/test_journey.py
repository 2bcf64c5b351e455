"""One trade followed from its line of a file to the coloured cell and back, and a real statement judged by a preset."""

from __future__ import annotations

import json
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa
from streamlit.testing.v1 import AppTest

import cli
from dashboards.kit import look
from sql import schema
from sql.warehouse import Warehouse

ROOT = Path(__file__).parent.parent
SAMPLES = Path(os.environ.get("HIGHWATER_SAMPLES") or ROOT.parent / "shared" / "samples")
TRIAL = SAMPLES / "mt5-report-fr-prop-trial.xlsx"
PRESETS = ROOT / "models" / "products" / "presets"

RULEBOOK = """
id = "one"
name = "One stage"
[[versions]]
version = 1
effective_from = 2025-01-01T00:00:00Z
clock = { zone = "Europe/Prague", reset = "00:00", calendar = "fx" }
[versions.stages.evaluation_1]
profit_target = { percent = 10 }
daily_loss = { percent = 5 }
max_loss = { percent = 10 }
"""
DEALS = """\
account_id,deal_id,position_id,kind,entry,side,symbol,volume,price,executed_at,profit
A1,1,7,trade,in,buy,EURUSD,1.00,1.1000,2026-03-03T09:00:00Z,0
A1,2,7,trade,out,sell,EURUSD,1.00,1.0500,2026-03-03T14:03:07.250Z,-5000.01
A2,1,8,trade,in,buy,EURUSD,1.00,1.1000,2026-03-03T09:00:00Z,0
A2,2,8,trade,out,sell,EURUSD,1.00,1.0500,2026-03-03T14:03:07.250Z,-5000.00
"""


def _feed(folder: Path, product: str, accounts: dict[str, str]) -> Path:
    """A trader with one challenge per account of a size."""
    folder.mkdir(parents=True)
    (folder / "desks.csv").write_text("desk_id,name,currency,time_zone\nD,Prague,USD,Europe/Prague\n")
    (folder / "traders.csv").write_text(
        "trader_id,full_name,kyc_status,registered_at\nT,Ann Example,verified,2026-01-01T00:00:00Z\n"
    )
    challenges = ["challenge_id,trader_id,desk_id,product,purchased_at,fee,currency"]
    rows = ["account_id,challenge_id,trader_id,desk_id,stage,platform,login,currency,initial_balance,opened_at"]
    for account, size in accounts.items():
        challenges.append(f"C{account},T,D,{product},2026-03-01T00:00:00Z,500,USD")
        rows.append(f"{account},C{account},T,D,evaluation_1,mt5,1,USD,{size},2026-03-02T00:00:00Z")
    (folder / "challenges.csv").write_text("\n".join(challenges) + "\n")
    (folder / "accounts.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HIGHWATER_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("HIGHWATER_DATABASE_URL", raising=False)
    return tmp_path / "home"


def _verdict(home: Path, account: str) -> dict[str, Any]:
    verdicts = schema.VERDICTS
    with Warehouse.open(home).database.connect() as database:
        row = database.execute(sa.select(verdicts).where(verdicts.c.account_id == account)).mappings().one()
    return dict(row)


def test_a_trade_from_its_line_to_the_cell_and_back(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    book = tmp_path / "book"
    book.mkdir()
    (book / "one.toml").write_text(RULEBOOK)
    monkeypatch.setenv("HIGHWATER_RULEBOOK", str(book))
    feed = _feed(tmp_path / "feed", "one", {"A1": "100000", "A2": "100000"})
    (feed / "deals.csv").write_text(DEALS)
    assert cli.main(["ingest", str(feed)]) == 0
    assert cli.main(["score"]) == 0

    verdict = _verdict(home, "A1")
    assert (verdict["rule"], verdict["outcome"], verdict["effect"]) == ("daily_loss", "breached", "terminate")
    assert (verdict["observed"], verdict["allowed"]) == (94_999.99, 95_000.0)

    breached = _queue("breached")
    assert list(breached["account_id"]) == ["A1"], "A2 lost a cent less and is not there"
    assert breached["state"].iloc[0].endswith("Breached")
    assert "A2" in list(_queue("near")["account_id"]), "it stands at its floor"

    event = json.loads(verdict["evidence"])["event"]
    with Warehouse.open(home).database.connect() as database:
        load = (
            database.execute(sa.select(schema.LOADS).where(schema.LOADS.c.load_id == event["load_id"])).mappings().one()
        )
    line = Path(load["file"]).read_text().splitlines()[event["line"] - 1]
    assert line == DEALS.splitlines()[2], "the evidence leads back to the very line"

    capsys.readouterr()
    assert cli.main(["explain", "A1", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["verdicts"][0]["evidence"] == json.loads(verdict["evidence"])


def _queue(view: str) -> pd.DataFrame:
    """The risk queue as its page shows it; the state's cells must carry the colour of their meaning."""
    page = AppTest.from_string("from dashboards import risk_queue; risk_queue.show()", default_timeout=240)
    page.session_state["state"] = view
    page.run()
    assert not page.exception, page.exception
    table = page.dataframe[0]
    assert look.palette().of(view).lower() in table.proto.arrow_data.styler.styles.lower()
    shown: pd.DataFrame = table.value
    return shown


@pytest.mark.skipif(not TRIAL.is_file(), reason=f"THE REAL STATEMENT WAS NOT TESTED: {TRIAL} is not there")
def test_a_real_prop_trial_is_judged_by_a_published_preset(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    feed = _feed(tmp_path / "feed", "ftmo_two_step", {"FR": "200000"})
    accounts = feed / "accounts.csv"
    accounts.write_text(accounts.read_text().replace("2026-03-02T00:00:00Z", "2026-06-07T00:00:00Z"))
    assert cli.main(["ingest", str(feed)]) == 0
    statement = ["ingest", "--source", "mt5-report", "--account", "FR", "--server-zone", "Europe/Prague", str(TRIAL)]
    assert cli.main(statement) == 0
    assert cli.main(["score", "--rulebook", str(PRESETS)]) == 0
    capsys.readouterr()
    assert cli.main(["explain", "FR", "--json", "--rulebook", str(PRESETS)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["status"]["status"] == "active"
    assert round(float(told["status"]["balance"]), 2) == round(200_000 + 213.46, 2)
    with Warehouse.open(home).database.connect() as database:
        days = pd.DataFrame(database.execute(sa.select(schema.ACCOUNT_DAYS)).mappings().all())
    assert days["trades"].sum() == 344, "335 closed positions and 9 still open"
    assert (days["max_floor"].astype(float) == 180_000).all()
    assert sum(days["closed_profit"]) == Decimal("213.46")
