"""The pages of what goes out: a person answers actions and alerts there, within role and desk."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from pipelines.live import alerts, decisions, outbox
from pipelines.live.decisions import Action
from sql.warehouse import Warehouse
from tests import pages_firm
from tests.test_pages import opened, told

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
    assert "secret" not in str(app.dataframe[0].value.to_dict())
    press(app, "End it")
    with house.database.connect() as database:
        assert alerts.in_force(database) == []


def test_a_gateway_is_shown_without_what_is_secret(house: Warehouse) -> None:
    shown = opened("outbox", view="gateways").dataframe[0].value.iloc[0].to_dict()
    assert shown == {"desk": "D1", "address": "https://gateway.test/x", "mode": "Ask", "otherwise": "Disable: off"}
