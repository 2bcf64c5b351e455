"""The pages of cases: the queue, one case with everything known, and what each person may do there."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
import streamlit as st
from streamlit.testing.v1 import AppTest

from dashboards.kit import casework
from models import access
from models.access import Person
from models.cases.acting import act, open_case
from models.cases.machine import SYSTEM, Move, write
from models.cases.queue import case_about
from sql import schema
from sql.case_schema import DISPOSITIONS, OWNER_STANDING, RISK_SCORE_HISTORY, SCORE_CALIBRATIONS, SCORE_EVIDENCE
from sql.warehouse import Warehouse
from tests import pages_firm
from tests.desk_world import checks
from tests.test_desk_pages import as_person
from tests.test_pages import told

pytestmark = pytest.mark.xdist_group("case_pages")

RITA, RUTH = Person("rita", "risk_analyst"), Person("ruth", "risk_analyst")
AUDE, SATO = Person("aude", "auditor"), Person("sato", "risk_analyst", ("tokyo",))
REASONS = '[{"reason": "recurring_breaches", "points": 90.0, "strength": 0.8, "weight": 0.35, "sentence": "Twice."}]'


@pytest.fixture(scope="module")
def firm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small firm, scored, with suspicions; a copy is made for every test."""
    folder = pages_firm.copied(tmp_path_factory)
    house = Warehouse.open(folder / "home")
    pages_firm.suspect(house)
    with house.database.begin() as connection:
        access.ensure_demo_people(connection)
        _hold(connection)
    open_case(house.database, Person("maria", "manager"), "T1", "A tip.", dt.datetime(2026, 3, 20, 13, tzinfo=dt.UTC))
    house.database.dispose()
    return folder


def _hold(connection: sa.Connection) -> None:
    """Evidence and history of the owner of N1 and B1, as a run keeps them."""
    flag = {"owner_id": "owner-T1", "weight": 0.9, "fresh": True, "sentence": "Seen.", "last_at": pages_firm.AS_OF}
    rows = [
        flag | {"subject_kind": "trader", "subject_id": "T1", "detector": "recurring_breaches", "strength": 0.8},
        flag | {"subject_kind": "pair", "subject_id": "B1|N1", "detector": "own copy", "strength": 0.94},
        flag | {"subject_kind": "account", "subject_id": "B1", "detector": "grid", "strength": 0.3},
    ]
    connection.execute(sa.delete(SCORE_EVIDENCE))
    connection.execute(sa.insert(SCORE_EVIDENCE), rows)
    standing = {"owner_id": "owner-T1", "desk_id": "prague", "account_id": "N1", "score": 90.0, "accounts": 2}
    connection.execute(sa.delete(OWNER_STANDING))
    connection.execute(sa.insert(OWNER_STANDING).values(stake_usd=1000.0, **standing))
    said = {"account_id": "N1", "run_id": 7, "score": 90.0, "band": "critical", "reasons": REASONS}
    connection.execute(sa.insert(RISK_SCORE_HISTORY).values(as_of=pages_firm.AS_OF, model_version="m", **said))
    learnt = {"run_id": 7, "detector": "recurring_breaches", "weight": 0.3, "factor": 0.9, "labels": 20}
    learnt |= {"confirmed": 15, "precision": 0.75, "low": 0.53, "high": 0.89, "model_version": "m"}
    connection.execute(sa.insert(SCORE_CALIBRATIONS).values(as_of=pages_firm.AS_OF, **learnt))


@pytest.fixture
def house(firm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Warehouse]:
    """A copy of the firm's database, so that what is done stays with the test."""
    shutil.copytree(firm / "home", tmp_path / "home")
    monkeypatch.setenv("HIGHWATER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HIGHWATER_RULEBOOK", str(firm / "book"))
    monkeypatch.delenv("HIGHWATER_DATABASE_URL", raising=False)
    st.cache_data.clear()
    st.cache_resource.clear()
    opened = Warehouse.open(tmp_path / "home")
    yield opened
    opened.database.dispose()


def _pressed(app: AppTest, label: str) -> AppTest:
    return next(one for one in app.button if one.label == label).click().run()


def _written(app: AppTest, label: str) -> Any:
    return next(one for one in app.text_input if one.label == label)


def _labels(app: AppTest) -> list[str]:
    return [one.label for one in app.button]


def _main(app: AppTest) -> list[str]:
    """The labels of the buttons that stand out."""
    return [one.label for one in app.button if one.proto.type == "primary"]


def test_the_queue_puts_money_at_risk_first_and_names_who_has_it(house: Warehouse) -> None:
    app = as_person("cases", RITA)
    row = app.dataframe[0].value.iloc[0]
    assert (row["case_id"], row["state"], row["assignee"]) == ("CASE-1", "◐ In review", "maria")
    assert (row["score"], row["stake_usd"], row["priority"]) == (90.0, 1000.0, 900.0)
    assert row["why"] == "Near floor"
    assert "Take it" not in _labels(app), "it is with somebody"
    assert "All open" in told(as_person("cases", RITA, view="mine")), "others are open, and where they are is said"
    assert "is opened when" in told(as_person("cases", SATO)), "another desk's are none of theirs"


def test_the_queue_shows_how_often_detectors_were_right(house: Warehouse) -> None:
    row = as_person("cases", RITA, view="detectors").dataframe[0].value.iloc[0]
    assert (row["answers"], row["confirmed"], row["interval"]) == ("20 of 20", 15, "53 % to 89 %")
    assert row["moved"] == "× 0.90"


@pytest.mark.parametrize("asked", ["CASE-1", "T2", "B1", "owner-T1"])
def test_a_case_is_found_by_its_name_and_whoever_it_is_about(asked: str, house: Warehouse) -> None:
    app = as_person("case", RITA, case=asked)
    said = told(app)
    assert '"title":{"text":"Prague"}' in app.get("plotly_chart")[0].proto.spec, "times are the desk's"
    assert "CASE-1 · ◐ In review with maria" in said and "2 traders held to be one owner" in said
    assert "15 of 20 answered flags held (of all such flags 53 % to 89 %, 95 % interval)" in said
    assert "Ruled out: a household" in said


def test_a_freeze_is_seen_at_the_payout_desk_at_once(house: Warehouse) -> None:
    """The review knows it from the next run on; until then nobody pays in one go what an analyst wants frozen."""
    with house.database.connect() as connection:
        asked = connection.execute(sa.text("select payout_id, trader_id from mart_payout_queue where waits"))
        payout_id, trader = asked.fetchall()[0]
    reviews = sa.update(schema.PAYOUT_REVIEWS).where(schema.PAYOUT_REVIEWS.c.payout_id == payout_id)
    passed = {"check": "case", "outcome": "passed", "numbers": {"cases": []}, "rule": "", "sentence": "Nobody."}
    with house.database.begin() as connection:
        connection.execute(reviews.values(checks=json.dumps([passed])))
    pavel = Person("pavel", "payout_reviewer")
    assert "Freeze recommended" not in told(as_person("payout_review", pavel, payout=payout_id))
    maria = Person("maria", "manager")
    case = open_case(house.database, maria, trader, "A tip.", dt.datetime(2026, 3, 20, 13, tzinfo=dt.UTC))
    act(house.database, maria, case.case_id, "freeze", case.version, reason="One device.")
    said = f"■ Freeze recommended {case.case_id}: read the case"
    review = as_person("payout_review", pavel, payout=payout_id)
    assert said in told(review) and "■ Freeze recommended · New" in told(review)
    now = "✕ **Case** The case about the owner is in review, a freeze is recommended."
    assert now in [one.label for one in review.expander], "not as the last run knew it"
    assert _main(review) == [], "nothing is urged while a freeze is recommended, least of all to approve"
    assert said in told(as_person("payout_queue", pavel, state="all", payout=payout_id))


def test_a_case_opened_by_hand_is_advice_at_the_payout_desk_at_once(house: Warehouse) -> None:
    """What one run recommends to approve is no longer clean, nor urged, once somebody looks into the owner."""
    pavel, maria = Person("pavel", "payout_reviewer"), Person("maria", "manager")
    queue = sa.Table("mart_payout_queue", sa.MetaData(), autoload_with=house.database)
    with house.database.begin() as connection:
        waiting = sa.select(queue.c.payout_id, queue.c.trader_id).where(queue.c.waits)
        payout_id, trader = connection.execute(waiting).fetchall()[0]
        reviews = sa.update(schema.PAYOUT_REVIEWS).where(schema.PAYOUT_REVIEWS.c.payout_id == payout_id)
        connection.execute(reviews.values(checks=checks(), recommendation="approve"))
    clean, urged = "1 clean request: approve in one go …", "Approve"
    assert clean in _labels(as_person("payout_queue", pavel))
    assert urged in _main(as_person("payout_review", pavel, payout=payout_id))
    open_case(house.database, maria, trader, "A tip.", dt.datetime(2026, 3, 20, 13, tzinfo=dt.UTC))
    assert clean not in _labels(as_person("payout_queue", pavel))
    review = as_person("payout_review", pavel, payout=payout_id)
    assert "? Review · New" in told(review) and urged not in _main(review)


def test_why_it_was_so_then_is_shown(house: Warehouse) -> None:
    app = as_person("case", RITA, case="CASE-1", view="scores")
    assert app.dataframe[-1].value["score"].iloc[0] == 90.0
    assert "90.0 Recurring breaches Twice." in told(app)
    app.date_input[0].set_value(pages_firm.AS_OF.date()).run()
    then = app.dataframe[-1].value
    assert then["account_id"].is_unique and then["score"].max() == 90.0, "the last word of that day, per account"
    assert app.query_params["day"] == str(pages_firm.AS_OF.date()), "a colleague is sent the same day"
    before = str(pages_firm.AS_OF.date() - dt.timedelta(days=1))
    sent = as_person("case", RITA, case="CASE-1", view="scores", day=before)
    assert str(sent.date_input[0].value) == before
    assert "No score but 0" in told(sent)
    assert as_person("case", RITA, case="CASE-1", view="scores", day="last Tuesday").date_input[0].value is None


def test_the_day_of_a_score_ends_with_the_day_of_its_desk(house: Warehouse) -> None:
    """Times beside it are the desk's: in Tokyo a score of 16:00 UTC is of the next day."""
    with house.database.connect() as connection:
        at = connection.execute(sa.select(sa.func.max(RISK_SCORE_HISTORY.c.as_of))).scalar_one()
    west, east = (at.astimezone(ZoneInfo(zone)).date() for zone in ("Etc/GMT+12", "Etc/GMT-14"))
    assert west < east
    assert len(casework.scores_on(["N1"], west, "Etc/GMT+12")) == 1
    assert casework.scores_on(["N1"], west, "Etc/GMT-14").empty


def test_an_analyst_takes_a_case_over_and_confirms_what_holds(house: Warehouse) -> None:
    app = as_person("case", RITA, case="CASE-1")
    next(one for one in app.button if one.label == "Take it over").click().run()
    assert "with rita" in told(app)
    next(one for one in app.selectbox if one.label == "Answer").set_value(("confirm", "coordination")).run()
    holds = next(one for one in app.multiselect if one.label == "What holds")
    assert holds.value == [("pair", "B1|N1", "own copy"), ("trader", "T1", "recurring_breaches")]
    holds.set_value([("pair", "B1|N1", "own copy")]).run()
    app.button(key="decide").click().run()
    assert app.error[0].value == "To confirm a case, say why."
    _written(app, "Why").set_value("The same entries to the second.").run()
    app.button(key="decide").click().run()
    assert not app.exception
    assert "✕ Confirmed" in told(app) and "Trades as one with others" in told(app)
    with house.database.connect() as connection:
        found = {(row.detector, row.outcome) for row in connection.execute(sa.select(DISPOSITIONS))}
    assert found == {("own copy", "confirmed"), ("recurring_breaches", "dismissed"), ("grid", "dismissed")}
    said = told(as_person("case", RITA, case="CASE-1", view="history"))
    assert "rita: confirmed" in said and "maria: opened" in said and "The same entries to the second." in said


def test_who_acts_on_what_has_moved_since_is_told_who_moved_it(house: Warehouse) -> None:
    first, second = as_person("case", RITA, case="CASE-1"), as_person("case", RUTH, case="CASE-1")
    for app in (first, second):
        next(one for one in app.button if one.label == "Take it over").click().run()
    assert "with rita" in told(first)
    assert (
        second.error[0].value.replace("\\", "") == "CASE-1 was moved meanwhile by rita (assign): it is in review now."
    )
    next(one for one in second.button if one.label == "Take it over").click().run()
    assert "with ruth" in told(second), "having seen it, she may"


def test_who_acts_on_a_case_that_another_took_over_is_told_why_the_answer_is_gone(house: Warehouse) -> None:
    first = _pressed(as_person("case", RITA, case="CASE-1"), "Take it over")
    assert not first.warning, "nobody is warned of the own move"
    _pressed(as_person("case", RUTH, case="CASE-1"), "Take it over")
    next(one for one in first.selectbox if one.label == "Answer").set_value(("confirm", "coordination")).run()
    assert first.warning[0].value == "Moved since you last saw it by ruth (assigned to ruth)."
    assert "Decide" not in _labels(first)
    assert not first.run().warning, "once"


def test_a_reason_is_for_one_act_and_kept_when_it_was_refused(house: Warehouse) -> None:
    app = _pressed(as_person("case", RITA, case="CASE-1"), "Take it over")
    assert "Take back the freeze" not in _labels(app), "none is recommended"
    _written(app, "Reason").set_value("Funds would leave.").run()
    _pressed(app, "Recommend freeze")
    assert app.toast[0].value == "CASE-1: freeze recommended."
    assert "Recommend freeze" not in _labels(app), "it is recommended already"
    assert _written(app, "Reason").value == "", "the next act asks for its own reason"
    _written(app, "Why").set_value("Same entries.").run()
    _pressed(app, "Wait")
    assert app.error[0].value == "To wait a case, say why."
    assert _written(app, "Why").value == "Same entries."


def test_a_case_is_opened_at_one_time_on_every_page(house: Warehouse) -> None:
    """The queue told the instant of the figures in UTC where the history told the clock's in the desk's zone."""
    opened_at = "20 Mar 2026 14:00 CET"
    assert opened_at in told(as_person("case", RITA, case="CASE-1", view="history"))
    beside = told(as_person("cases", RITA))
    assert f"Opened {opened_at}" in beside
    assert "UTC" not in beside.partition("Figures stand at")[0]


def test_what_a_detector_says_of_all_accounts_is_told_once(house: Warehouse) -> None:
    """A case with fourteen flags of three detectors repeated their advice fourteen times."""
    common = {"respond": "Look at the largest basket.", "rows": [{"trade": "1"}]}
    said = {
        "N1": common | {"sentence": "Grid of N1.", "ruled_out": ["a hedge", "two days only"]},
        "B1": common | {"sentence": "Grid of B1.", "ruled_out": ["a hedge"]},
    }
    strengths = {"N1": 0.9, "B1": 0.8}
    rows = [
        {"subject_kind": "account", "detector": "grid", "strength": strengths[one], "subject_id": one}
        | {"evidence": json.dumps(held)}
        for one, held in said.items()
    ]
    with house.database.begin() as connection:
        connection.execute(sa.insert(schema.SIGNALS), rows)
    app = as_person("case", RITA, case="CASE-1")
    shown = told(app)
    assert "N1 Grid of N1." in shown and "B1 Grid of B1." in shown
    assert [shown.count(f"Ruled out: {one}") for one in ("a hedge", "two days only")] == [1, 1]
    assert shown.count("Do: Look at the largest basket.") == 1
    rests = next(one for one in app.expander if one.label == "2 rows it rests on")
    assert rests.dataframe[0].value["about"].tolist() == ["N1", "B1"]


def test_an_answer_to_a_signal_tells_its_time_in_the_zone_of_the_desk(house: Warehouse) -> None:
    maria = Person("maria", "manager")
    summer = dt.datetime(2026, 7, 1, 10, 30, tzinfo=dt.UTC)
    act(house.database, maria, "CASE-1", "dismiss", 2, reason="Flatmates.", reason_code="household", at=summer)
    assert "○ Dismissed by maria, 01 Jul 2026 12:30 CEST" in told(as_person("case", RITA, case="CASE-1"))
    pair = told(as_person("pair", RITA, a="N1", b="B1"))
    assert "by maria on 01 Jul 2026 12:30 CEST" in pair


def test_an_auditor_reads_and_moves_nothing(house: Warehouse) -> None:
    app = as_person("case", AUDE, case="CASE-1", view="history")
    assert "maria: opened" in told(app)
    assert not {"Take it over", "Decide", "Assign", "Leave the note"} & set(_labels(app))


def test_a_case_is_opened_by_hand_from_a_trader(house: Warehouse) -> None:
    app = as_person("case", RITA, trader="T3")
    assert "No case" in told(app)
    next(one for one in app.text_input if one.label == "Open a case").set_value("Asked by support.")
    next(one for one in app.button if one.label == "Open a case").click().run()
    assert "CASE-2 · ◐ In review with rita" in told(app)


def test_a_case_is_dismissed_from_the_queue_with_a_reason(house: Warehouse) -> None:
    maria = Person("maria", "manager")
    app = as_person("cases", maria)
    next(one for one in app.selectbox if one.label == "Reason of the list").set_value("household")
    next(one for one in app.text_input if one.label == "Reason").set_value("Two flatmates.")
    next(one for one in app.button if one.label == "Dismiss").click().run()
    assert "No case here" in told(app)
    assert list(as_person("cases", maria, view="dismissed").dataframe[0].value["case_id"]) == ["CASE-1"]


def test_a_case_that_comes_back_tells_why_and_how_it_was_decided_before(house: Warehouse) -> None:
    maria = Person("maria", "manager")
    act(house.database, maria, "CASE-1", "dismiss", 2, reason="Two flatmates.", reason_code="household")
    said = told(as_person("case", RITA, case="CASE-1"))
    assert "maria: dismissed. One household, office or network. Two flatmates." in said
    assert "follow it from the next scoring on" in said, "the score beside it is from before the answer"
    assert "○ Dismissed by maria" in said and "1 flag dismissed, with nothing newer." in said
    assert "Newer evidence" not in said, "what the run before the answer found is what was answered"
    with house.database.begin() as connection:
        case = case_about(connection, "T1")
        renew = Move(
            case, "renew", SYSTEM, "N1 scores 90: grid of B1.", changes={"assignee": None, "reason_code": None}
        )
        write(connection, [renew], 1, pages_firm.AS_OF, dt.datetime.now(dt.UTC))
    said = told(as_person("case", RITA, case="CASE-1"))
    assert said.index("renewed by new evidence. N1 scores 90: grid of B1.") < said.index("maria: dismissed.")
    queue = as_person("cases", RITA)
    assert queue.dataframe[0].value["state"].tolist() == ["↻ Back"]
    assert "renewed by new evidence" in told(queue), "the queue says so too"
    assert as_person("cases", RITA, view="back").dataframe[0].value["case_id"].tolist() == ["CASE-1"]
    links = [one.proto.label for one in as_person("overview", RITA).get("page_link")]
    assert "1 decided case came back with new evidence →" in links


def test_the_overview_tells_of_open_cases_and_the_queue_of_accounts_leads_to_one(house: Warehouse) -> None:
    links = [one.proto.label for one in as_person("overview", RITA).get("page_link")]
    assert "1 case open, 0 that nobody has taken, 0 with you →" in links
    links = [one.proto.label for one in as_person("risk_queue", RITA, state="near").get("page_link")]
    assert "CASE-1, ◐ In review →" in links
