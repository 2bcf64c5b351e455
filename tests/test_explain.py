"""`explain` says what the tables say, of any account and rule, and what was once said and taken back, and why."""

from __future__ import annotations

import datetime as dt
import json
import random
from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy as sa

from models import catalogue
from models.catalogue import Rulebook
from models.clock import to_micros
from pipelines.explain import SAME, explain
from pipelines.land import land_paths
from pipelines.live import outbox
from pipelines.live.decisions import Action, act
from pipelines.score import score
from pipelines.withdrawals import LATE, OTHER_RULES
from sql import schema
from sql.live_schema import OUTBOX, WITHDRAWN_VERDICTS
from sql.warehouse import Warehouse, read_frame
from tests.builders import write_firm
from tests.rule_world import START, Account, Trade, World, lake_rows

pytestmark = pytest.mark.xdist_group("explain")  # its firm is made once
END = START + dt.timedelta(days=30)
BOOK = """id = "plan"
name = "Plan"
[[versions]]
version = 1
effective_from = 2000-01-01T00:00:00Z
clock = { zone = "America/New_York", reset = "17:00", calendar = "fx" }
[versions.stages.evaluation_1]
profit_target = { percent = 1.5 }
max_loss = { mode = "trailing_eod", percent = 3 }
daily_loss = { percent = 1, effect = "pause", warn_at = 50 }
holding_time = { seconds = 3600, strikes = 1 }
hyperactivity = 2
inactivity = 10
[versions.stages.funded]
max_loss = { percent = 5 }
idea_risk = { percent = 0.5, effect = "warn" }
allocation_cap = 250000
"""


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Rulebook:
    """The plan of these tests."""
    folder = tmp_path_factory.mktemp("book")
    (folder / "plan.toml").write_text(BOOK, encoding="utf-8")
    return catalogue.load(folder)


def drawn(number: int) -> Account:
    """An account whose trades are drawn; one trader holds the first three, which are funded, and some others."""
    draw = random.Random(number)
    trades, now = [], START + dt.timedelta(hours=draw.randrange(12))
    for turn in range(draw.randrange(2, 7)):
        now += dt.timedelta(minutes=draw.choice([40, 400, 2900]))
        closed = now + dt.timedelta(minutes=draw.choice([5, 59, 60, 600]))
        profit = draw.choice(["-1000.01", "-1000", "-400", "-1900", "900", "1500"])
        trades.append(Trade(f"t{number}-{turn}", now, closed, profit=profit))
    stage = "funded" if number <= 3 else "evaluation_1"
    return Account(f"A{number}", trades, stage, opened_at=START, trader_id="T" if number < 5 else None)


def test_stored_verdicts_are_found_again_and_withdrawn_ones_are_told(tmp_path: Path, book: Rulebook) -> None:
    """Guards every verdict of a drawn firm, rules across an owner's accounts included, and why one is gone: corrected
    events, or changed terms. A run that stands earlier takes nothing back."""
    passing = Account("P", [Trade("1", START + dt.timedelta(hours=9), START + dt.timedelta(hours=11), profit="1500")])
    world = World([*(drawn(number) for number in range(1, 6)), passing], "", END)
    rows = {name: told for name, told in lake_rows(world).items() if told}
    house = Warehouse.open(tmp_path / "home")
    land_paths(house, [write_firm(tmp_path / "feed", rows)])
    score(house, book, END)
    with house.database.connect() as database:
        stored = read_frame(database, schema.VERDICTS)
    rules = {"daily_loss", "profit_target", "holding_time", "allocation_cap"}
    assert rules <= set(stored["rule"])
    for account_id, said in stored.groupby("account_id"):
        told = explain(house, book, str(account_id), as_of=END)
        assert len(told.verdicts) == len(said)
        assert {one["stored"] for one in told.verdicts} == {SAME}
        assert not (told.history.only_stored or told.history.withdrawn or told.history.remarks)
        assert all(one["evidence"]["sentence"] in told.as_text() for one in told.verdicts)
        assert all(f"{one['rule']}: {one['evidence']['rule_text']}\n" in told.as_text() for one in told.verdicts)
    (capped,) = explain(house, book, "A3", "allocation_cap", END).verdicts
    assert (capped["outcome"], capped["observed"], capped["allowed"]) == ("breached", 300_000, 250_000)

    (passed,) = explain(house, book, "P", "profit_target", END).verdicts
    at = to_micros(pd.Timestamp(passed["happened_at"]).to_pydatetime())
    told = json.loads(json.dumps(explain(house, book, "P", as_of=END).as_json(), allow_nan=False))
    assert (told["account"]["product_version"], told["status"]["trading_days"]) == (1, 1)
    assert told["verdicts"][0]["happened_at"] == told["floors"][-1]["at"] == "2026-03-02T11:00:00.000000Z"
    outbox.connect(house, "D", "https://gateway.test", "enforce")
    with house.database.begin() as database:
        went, waits = (Action("P", name, "profit_target", at) for name in ("disable", "provision"))
        act(database, [went, waits], {"P": "D"}, END)
        sent = sa.update(OUTBOX).where(OUTBOX.c.outbox_id == went.number).values(state="sent", attempts=1)
        database.execute(sent)
    corrected = rows["deals"][-1] | {"profit": "-1200"}
    land_paths(house, [write_firm(tmp_path / "again", {"deals": [corrected]})])
    score(house, book, END)
    told = explain(house, book, "P", "profit_target", END)
    assert told.verdicts == []
    (taken,) = told.history.withdrawn
    assert (taken["outcome"], taken["reason"]) == ("passed", LATE)
    assert taken["evidence"]["sentence"] in told.as_text() and LATE in told.as_text()
    with house.database.connect() as database:
        query = sa.select(OUTBOX.c.action, OUTBOX.c.state, OUTBOX.c.body).where(OUTBOX.c.account_id == "P")
        asked = {action: (state, json.loads(body)) for action, state, body in database.execute(query)}
    states = {action: state for action, (state, _) in asked.items()}
    assert states == {"disable": "sent", "provision": "declined", "restore": "waiting"}
    assert (asked["restore"][1]["rule"], asked["restore"][1]["login"]) == ("profit_target", "P")

    (tmp_path / "plan.toml").write_text(BOOK.replace("percent = 1, effect", "percent = 2, effect"), encoding="utf-8")
    softer = catalogue.load(tmp_path)
    told = explain(house, softer, "P", "daily_loss", END)
    assert ([one["outcome"] for one in told.history.only_stored], len(told.history.remarks)) == (["breached"], 1)
    score(house, softer, START + dt.timedelta(hours=12))
    with house.database.connect() as database:
        taken_back = read_frame(database, WITHDRAWN_VERDICTS)
    later = taken_back[taken_back["reason"] == OTHER_RULES]
    assert set(later["rule"]) == {"daily_loss"} and "P" in set(later["account_id"])
    assert pd.to_datetime(later["happened_at"], utc=True).max() <= START + dt.timedelta(hours=12)
