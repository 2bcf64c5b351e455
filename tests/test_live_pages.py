"""The pages of what goes out: a person answers actions and alerts there, within role and desk."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy as sa
import streamlit as st
from streamlit.testing.v1 import AppTest

from dashboards.kit import fresh
from models import catalogue
from pipelines.live import alerts, decisions, outbox, pages
from pipelines.live.decisions import Action
from pipelines.live.folding import Folding
from pipelines.live.settling import settle, take_over
from pipelines.score import score
from sql import schema
from sql.warehouse import Warehouse
from tests import pages_firm
from tests.builders import Row, product_text
from tests.test_pages import opened, told
from tests.test_score_same import land

pytestmark = pytest.mark.xdist_group("pages")
NOON = dt.datetime(2026, 3, 20, 12, tzinfo=dt.UTC)


@pytest.fixture
def house(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Warehouse]:
    """The small firm with a frozen account that asks, and an alert of it that was sent."""
    folder: Path = pages_firm.copied(tmp_path_factory)
    monkeypatch.setenv("HIGHWATER_HOME", str(folder / "home"))
    monkeypatch.delenv("HIGHWATER_DATABASE_URL", raising=False)
    st.cache_data.clear()
    st.cache_resource.clear()
    house = Warehouse.open(folder / "home")
    outbox.connect(house, "D1", "https://gateway.test/x?token=secret", "ask", {"disable": "off"})
    alerts.subscribe(house, "risk", "json://localhost/secret-token")
    news = {"subject": "B1", "desk_id": "D1", "rule": "daily_loss", "outcome": "breached", "sentence": "It fell."}
    with house.database.begin() as database:
        decisions.act(database, [Action("B1", "freeze", "daily_loss", 1)], {"B1": "D1"}, NOON)
        alerts.raise_news(database, [news | {"happened_at": NOON}], NOON)
    alerts.tell(house, NOON, lambda *_: True)
    yield house
    house.database.dispose()


def press(app: AppTest, label: str) -> AppTest:
    """Presses a button of the page."""
    next(button for button in app.button if button.label == label).click()
    return app.run()


def test_an_action_is_declined_with_a_reason_and_retried_from_the_page(house: Warehouse) -> None:
    app = opened("outbox")
    assert app.dataframe[0].value["account"].tolist() == ["B1"]
    app = press(app, "Decline")
    assert "A reason is needed" in app.error[0].value
    next(one for one in app.text_input if one.label == "Reason").set_value("a platform error")
    press(app, "Decline")
    assert [(row["state"], row["account_id"]) for row in outbox.listed(house)] == [("declined", "B1")]
    assert "Nothing waits for a decision" in told(opened("outbox"))
    assert opened("outbox", view="done").dataframe[0].value["state"].tolist() == ["− Declined"]


def test_an_alert_is_seen_and_a_subscription_ended_from_the_page(house: Warehouse) -> None:
    app = opened("alerts")
    assert app.dataframe[0].value["title"].tolist() == ["B1 daily loss breached"]
    press(app, "I have seen it")
    assert alerts.log(house)[0]["opened_by"]
    assert "Nobody is waited for" in told(opened("alerts"))
    app = opened("alerts", view="subscriptions")
    offered = next(one for one in app.selectbox if one.label == "Rule or detector").options
    assert {"All", "Daily loss", "All-in trading", "Risk score"} <= set(offered)
    assert "secret" not in str(app.dataframe[0].value.to_dict())
    press(app, "End it")
    with house.database.connect() as database:
        assert alerts.in_force(database) == []


def test_all_alerts_that_are_listed_are_seen_at_once(house: Warehouse) -> None:
    news = {
        "subject": "B2",
        "desk_id": "D1",
        "rule": "daily_loss",
        "outcome": "breached",
        "sentence": "It fell <b> far.",
    }
    with house.database.begin() as database:
        alerts.raise_news(database, [news | {"happened_at": NOON}], NOON)
    alerts.tell(house, NOON, lambda *_: True)
    app = opened("alerts")
    assert "It fell" in told(app)
    press(app, "All 2")
    assert [bool(row["opened_by"]) for row in alerts.log(house)] == [True, True]


def test_actions_of_an_account_are_sent_together_but_for_what_has_to_wait(house: Warehouse) -> None:
    now = dt.datetime.now(dt.UTC)
    outbox.connect(house, "D1", "https://gateway.test/x", "ask", {})
    with house.database.begin() as database:
        for name in ("close_positions", "disable"):
            decisions.act(database, [Action("B1", name, "daily_loss", 1)], {"B1": "D1"}, now)
    app = opened("outbox")
    press(app, "Send 2")
    states = {row["action"]: row["state"] for row in outbox.listed(house)}
    assert states == {"freeze": "waiting", "close_positions": "waiting", "disable": "asked"}


def test_a_gateway_is_shown_without_what_is_secret(house: Warehouse) -> None:
    shown = opened("outbox", view="gateways").dataframe[0].value.iloc[0].to_dict()
    assert shown == {"desk": "D1", "address": "https://gateway.test/x", "mode": "Ask", "otherwise": "Disable: off"}


def test_pages_show_what_the_live_service_decides_as_a_full_run_would(house: Warehouse) -> None:
    """Marts brought up to date between runs are those of the next full run; open pages see that they changed."""
    rulebook = catalogue.load(house.home.parent / "book")
    before, told_of_n1 = fresh.figures(), fresh.of_account("N1")
    queue = opened("risk_queue", state="near")
    assert queue.dataframe[0].value["account_id"].tolist() == ["N1"]
    judge_live(house, rulebook, [fatal("N1", 900, -5000), fatal("F1", 901, -10)])
    assert fresh.figures() == before, "nothing is drawn anew while the marts are as they were"
    assert pages.refresh(house, rulebook) is not None
    assert (fresh.figures() == before, fresh.of_account("N1") == told_of_n1) == (False, False)
    assert "No account here" in told(queue.run())
    found = opened("risk_queue", state="breached")
    assert sorted(found.dataframe[0].value["account_id"]) == ["B1", "N1"]
    assert "Accounts live as of 20 Mar 2026 13:00:00 UTC" in told(found)
    live, number = marts_of(house), fresh.figures()
    assert pages.refresh(house, rulebook) is not None
    assert fresh.figures() == number, "a refresh that changes nothing draws nothing"
    score(house, rulebook, full=True)
    run = marts_of(house)
    assert [name for name in pages.LIVE_MARTS if not live[name].equals(run[name])] == []


def test_live_pages_read_the_deals_of_all_who_may_be_owed_something(house: Warehouse) -> None:
    """Guards that money put into a funded account that never asked is no profit on live pages either: right after a run
    they show what it shows."""
    book = house.home.parent / "book"
    (book / "two.toml").write_text(product_text({"split": {"percent": 80}}, stage="funded", product="two"))
    rulebook, since = catalogue.load(book), dt.datetime(2026, 3, 5, tzinfo=dt.UTC)
    who = {"challenge_id": "C8", "trader_id": "T3", "desk_id": "prague"}
    bought: Row = {**who, "product": "two", "purchased_at": since, "fee": 500, "currency": "EUR"}
    account: Row = {
        **who, "account_id": "F9", "stage": "funded", "platform": "mt5", "login": "9", "currency": "EUR",
        "initial_balance": 100_000, "opened_at": since,
    }  # fmt: skip
    deposit = {"account_id": "F9", "deal_id": "1", "kind": "balance", "executed_at": NOON, "profit": 900}
    land(house, {"challenges": [bought], "accounts": [account], "deals": [deposit]}, "more")
    score(house, rulebook)
    run = marts_of(house)
    assert pages.refresh(house, rulebook) is not None
    live = marts_of(house)
    assert [name for name in pages.LIVE_MARTS if not live[name].equals(run[name])] == []


def judge_live(house: Warehouse, rulebook: catalogue.Rulebook, deals: list[Row]) -> None:
    """Lands deals and has a settling run judge them, as the live service does."""
    land(house, {"deals": deals}, "live")
    folding = Folding(house, rulebook, NOON)
    folding.begin()
    settled = settle(house, rulebook, 1, {str(deal["account_id"]) for deal in deals}, everything=False)
    assert settled is not None
    take_over(folding, settled)


def fatal(account: str, number: int, profit: float) -> Row:
    """A closed trade after the firm's last."""
    return {
        "account_id": account, "deal_id": str(number), "position_id": str(number), "kind": "trade", "entry": "out",
        "side": "sell", "symbol": "EURUSD", "volume": 1, "executed_at": dt.datetime(2026, 3, 20, 13, tzinfo=dt.UTC),
        "profit": profit,
    }  # fmt: skip


def marts_of(house: Warehouse) -> dict[str, pd.DataFrame]:
    """The marts that the live service brings up to date, as text in one order."""
    found = {}
    with house.database.connect() as database:
        for name in pages.LIVE_MARTS:
            table = name if name in schema.METADATA.tables else f"mart_{name}"
            frame = pd.read_sql(sa.text(f"select * from {table}"), database).map(str)
            found[name] = frame.sort_values(list(frame.columns), ignore_index=True)
    return found


def test_the_selected_account_stays_selected_when_the_queue_moves(house: Warehouse) -> None:
    queue = opened("risk_queue", state="all")
    ids = queue.dataframe[0].value["account_id"].tolist()
    queue.session_state["queue-account"] = ids[2]
    with house.database.begin() as database:
        last = {"last": ids[-1]}
        database.execute(sa.text("update mart_risk_queue set state = 'near' where account_id = :last"), last)
        database.execute(sa.text("update account_status set near_share = 9 where account_id = :last"), last)
    st.cache_data.clear()
    queue.run()
    assert queue.dataframe[0].value["account_id"].tolist() == [ids[-1], *ids[:-1]]
    assert f"{ids[2]} ·" in told(queue)
    assert queue.session_state["queue-account"] == ids[2]
