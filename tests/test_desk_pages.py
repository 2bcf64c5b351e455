"""The desk's pages: what each role may open, and a request on its way through them."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
import streamlit as st
from streamlit.testing.v1 import AppTest

from dashboards.kit import desk as page_desk
from dashboards.kit import people, places
from models import access, audit
from models.access import PAGES, ROLES, Person
from models.decisions import desk
from pipelines.land import land_paths
from sql import schema
from sql.desk_schema import PAYOUT_TRANSFERS, RECONCILIATION_MARKS
from sql.warehouse import Warehouse
from tests import pages_firm
from tests.desk_world import NOW, add_request
from tests.test_pages import opened, told

pytestmark = pytest.mark.xdist_group("desk_pages")


@pytest.fixture(scope="module")
def firm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small firm, scored, where the demo's people have accounts."""
    folder = pages_firm.copied(tmp_path_factory)
    house = Warehouse.open(folder / "home")
    with house.database.begin() as connection:
        access.ensure_demo_people(connection)
    house.database.dispose()
    return folder


@pytest.fixture
def house(firm: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Warehouse]:
    monkeypatch.setenv("HIGHWATER_HOME", str(firm / "home"))
    monkeypatch.setenv("HIGHWATER_RULEBOOK", str(firm / "book"))
    monkeypatch.delenv("HIGHWATER_DATABASE_URL", raising=False)
    st.cache_data.clear()
    st.cache_resource.clear()
    opened_house = Warehouse.open(firm / "home")
    yield opened_house
    opened_house.database.dispose()


def as_person(page: str, person: Person, **address: str) -> AppTest:
    """A page drawn for somebody who has signed in."""
    app = AppTest.from_string(f"from dashboards.app import main; main({page!r})", default_timeout=240)
    app.session_state[people.HELD] = person
    for name, value in address.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception, app.exception[0].stack_trace
    return app


def test_every_page_asks_for_a_permission_that_some_role_has() -> None:
    assert {place.name for place in places.PLACES} == set(PAGES)
    for permission in PAGES.values():
        assert access.PERMISSIONS[permission]


@pytest.mark.parametrize("desks", [None, ("tokyo",)])
@pytest.mark.parametrize("role", ROLES)
def test_a_role_is_shown_no_page_of_another(role: str, desks: tuple[str, ...] | None, house: Warehouse) -> None:
    person = Person("somebody", role, desks)
    refused = [page for page, permission in PAGES.items() if not person.may(permission)]
    assert refused
    for page in refused:
        app = as_person(page, person)
        assert "This page belongs to another role" in told(app), page
        assert not app.dataframe


def test_an_address_of_another_roles_page_says_whose_it_is(house: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    analyst = Person("rita", "risk_analyst")
    said = told(as_person("exposure", analyst))
    assert "Exposure is for: manager, admin, auditor. You are signed in as rita, risk analyst." in said
    monkeypatch.setattr(people, "who", lambda: analyst)
    monkeypatch.setattr(st, "Page", lambda _, **made: SimpleNamespace(**{"visibility": "visible"} | made))
    pages = [page for held in places.groups("overview").values() for page in held]
    assert {place.title for place in places.PLACES} == {page.title for page in pages}
    listed = {page.title for page in pages if page.visibility == "visible"}
    assert "Risk queue" in listed
    assert "Exposure" not in listed


@pytest.mark.parametrize("role", ROLES)
def test_a_role_opens_the_desk_pages_that_are_its_own(role: str, house: Warehouse) -> None:
    for page in ("payout_review", "approvals", "reconciliation", "audit", "access"):
        person = Person("somebody", role)
        assert ("belongs to another role" in told(as_person(page, person))) == (not person.may(PAGES[page])), page


def test_nobody_gets_in_without_signing_in(house: Warehouse) -> None:
    app = opened("payout_queue")
    said = told(app)
    assert "Sign in" in said
    assert "**pavel** (payout reviewer)" in said
    assert not app.dataframe


def test_signing_in_opens_the_pages_and_is_written_down(house: Warehouse) -> None:
    app = opened("payout_queue")
    app.text_input[0].set_value("pavel")
    app.text_input[1].set_value("wrong-one")
    app.button[0].click().run()
    assert "wrong" in app.error[0].value
    app.text_input[1].set_value(access.DEMO_PASSWORD)
    app.button[0].click().run()
    assert "Figures stand at" in told(app)
    with house.database.connect() as connection:
        newest = [one["action"] for one in audit.recent(connection, 2, subject="person:pavel")]
    assert newest == ["signed in", "sign-in refused"]


def test_a_request_of_another_desk_does_not_exist(house: Warehouse) -> None:
    stranger = Person("sato", "payout_reviewer", ("tokyo",))
    assert "There is no request Q1" in told(as_person("payout_review", stranger, payout="Q1"))


def test_who_cannot_decide_a_request_is_told_who_can(house: Warehouse) -> None:
    said = told(as_person("payout_review", Person("rita", "risk_analyst"), payout="Q2"))
    assert "Payout reviewers and managers decide here; you are signed in as risk analyst." in said


def test_names_are_masked_for_roles_that_do_not_need_them(house: Warehouse) -> None:
    auditor, reviewer = Person("aude", "auditor"), Person("pavel", "payout_reviewer")
    for person, shown in ((auditor, False), (reviewer, True)):
        app = as_person("payout_queue", person, state="all")
        seen = told(app) + app.dataframe[0].value.to_string()
        assert ("Petra Pass" in seen or "Nora Near" in seen or "Bert Breach" in seen) == shown


def _reason(app: AppTest) -> Any:
    return next(one for one in app.text_input if one.label == "Reason")


def test_the_equity_of_a_request_is_drawn_by_the_clock_of_its_desk(house: Warehouse) -> None:
    """The line where it was asked stood an hour from the list of trades beside it, which is in the desk's zone."""
    app = as_person("payout_review", Person("pavel", "payout_reviewer"), payout="Q2", view="path")
    drawn = app.get("plotly_chart")[0].proto.spec
    assert '"title":{"text":"Prague"}' in drawn and "2026-03-17T11:00:00+01:00" in drawn


def test_the_lines_of_a_requests_equity_are_told_apart_without_their_colour(house: Warehouse) -> None:
    """Equity and floors differed in colour alone, and the line of the request had no name."""
    app = as_person("payout_review", Person("pavel", "payout_reviewer"), payout="Q2", view="path")
    drawn = json.loads(app.get("plotly_chart")[0].proto.spec)
    dashes = {one["name"]: one["line"]["dash"] for one in drawn["data"]}
    assert len(dashes) > 1 and len(set(dashes.values())) == len(dashes)
    assert [(one["name"], one["showlegend"]) for one in drawn["layout"]["shapes"]] == [("Requested", True)]
    assert drawn["layout"]["yaxis"]["title"]["text"] == "EUR"


def test_the_rest_is_offered_where_something_is_deducted_and_the_whole_elsewhere(house: Warehouse) -> None:
    """Both buttons stood there, and one of them was always refused."""
    reviews, offered = schema.PAYOUT_REVIEWS, {}
    with house.database.begin() as connection:
        was = connection.execute(sa.select(reviews.c.deductions).where(reviews.c.payout_id == "Q2")).scalar()
    for deducted in (0, 10, None, was):
        with house.database.begin() as connection:
            connection.execute(sa.update(reviews).where(reviews.c.payout_id == "Q2").values(deductions=deducted))
        st.cache_data.clear()
        app = as_person("payout_review", Person("pavel", "payout_reviewer"), payout="Q2")
        offered[deducted] = {str(one.key) for one in app.button} & {"do-approve", "do-deduct"}
    assert (offered[0], offered[10], offered[None]) == ({"do-approve"}, {"do-deduct"}, {"do-approve"})


def test_what_came_back_waits_in_the_queue_and_is_told_beside_what_is_matched(
    house: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The queue showed 46 waiting, Reconciliation 31 left over and 6 to confirm: 9 had come back."""
    pavel, table = (
        Person("pavel", "payout_reviewer"),
        sa.table("mart_payout_queue", sa.column("state"), sa.column("waits")),
    )
    back = sa.update(table).where(table.c.waits)
    with house.database.begin() as connection:
        connection.execute(back.values(state="returned"))
    assert "1 waiting (1 of them because their transfer came back)" in told(as_person("payout_queue", pavel))
    with house.database.begin() as connection:
        connection.execute(back.values(state="waiting"))
    st.cache_data.clear()
    assert "1 waiting, " in told(as_person("payout_queue", pavel))
    matching = page_desk.matching
    monkeypatch.setattr(page_desk, "matching", lambda: (*(found := matching())[:5], found[5].assign(status="returned")))
    said = as_person("reconciliation", pavel).caption[0].value
    assert "1 of 1 transfer matched, 1 of which came back" in said


def test_a_reviewer_takes_rejects_and_the_decision_shows(house: Warehouse) -> None:
    pavel = Person("pavel", "payout_reviewer")
    before = as_person("payout_queue", pavel)
    waiting = before.dataframe[0].value["payout_id"]
    payout_id = str(waiting.iloc[0])
    assert f"{len(waiting)} waiting" in told(before)
    app = as_person("payout_review", pavel, payout=payout_id)
    app.button(key="do-reject").click().run()
    assert "say why" in app.error[0].value
    _reason(app).set_value("Which robot is this?")
    app.button(key="do-ask").click().run()
    assert app.toast[0].value == f"{payout_id} waits for the trader."
    assert _reason(app).value == "", "the next act asks for its own reason"
    _reason(app).set_value("A robot of their own")
    app.button(key="do-answer").click().run()
    assert not app.error
    _reason(app).set_value("The account was copied")
    next(one for one in app.selectbox if one.label == "Reason of the list").set_value("copying")
    app.button(key="do-reject").click().run()
    assert not app.error
    log = as_person("payout_review", pavel, payout=payout_id, view="log").dataframe[0].value
    assert list(log["action"])[-1] == "Reject"
    assert list(log["person"])[-1] == "pavel"
    after = as_person("payout_queue", pavel)
    left = after.dataframe
    assert not left or payout_id not in set(left[0].value["payout_id"]), "a rejected request waits no more"
    assert f"{len(waiting) - 1} waiting" in told(after)
    records = as_person("audit", Person("aude", "auditor")).dataframe[0].value
    assert "payout reject" in set(records["action"])


def test_accounts_are_added_and_changed_on_their_page(house: Warehouse) -> None:
    """A signed-in admin adds somebody, gives another role and desk with a reason, and both are in the log."""
    adam = Person("adam", "admin")

    def named(listed: Any, label: str) -> Any:
        return next(one for one in listed if one.label == label)

    app = as_person("access", adam)
    named(app.text_input, "Name").set_value("nina")
    named(app.text_input, "Password").set_value("long enough")
    named(app.button, "Add").click().run()
    assert not app.error
    app = as_person("access", adam)
    named(app.text_input, "Name").set_value("nina")
    named(app.text_input, "Password").set_value("another one")
    named(app.button, "Add").click().run()
    assert "nina has an account already" in app.error[0].value, "the page could not be read at all"
    app = as_person("access", adam)
    named(app.selectbox, "Who").set_value("nina").run()
    named(app.selectbox, "Role").set_value("auditor")
    named(app.button, "Change").click().run()
    assert "Say why" in app.error[0].value
    named(app.text_input, "Reason").set_value("joined the audit")
    named(app.button, "Change").click().run()
    assert not app.error
    with house.database.connect() as connection:
        newest = audit.recent(connection, 2, subject="person:nina")
        known = {one["name"]: one["role"] for one in access.people(connection)}
    assert [one["action"] for one in newest] == ["person changed", "person added"]
    assert newest[0]["before"] == {"role": newest[1]["after"]["role"]}
    assert known["nina"] == "auditor"


def marked(house: Warehouse) -> list[tuple[str, ...]]:
    """What was said of leftovers, in order: side, record, verdict, request, person."""
    table = RECONCILIATION_MARKS.c
    columns = (table.side, table.record_id, table.verdict, table.payout_id, table.person)
    with house.database.connect() as connection:
        return [tuple(row) for row in connection.execute(sa.select(*columns).order_by(table.place))]


def test_leftovers_are_matched_disputed_and_explained_on_the_page(house: Warehouse, tmp_path: Path) -> None:
    """A second transfer for a request that was paid is left over; what a person says of it is kept and shown."""
    late = tmp_path / "settlements-late.csv"
    late.write_text(
        "settlement_id,payout_id,destination,amount,currency,settled_at,status,reference\n"
        "S9,Q1,iban_1,800,EUR,2026-03-17T09:00:00Z,settled,REF-9\n"
    )
    land_paths(house, [late])
    st.cache_data.clear()
    pavel = Person("pavel", "payout_reviewer")
    app = as_person("reconciliation", pavel)
    assert "S9" in set(app.dataframe[0].value["settlement_id"])
    app.button(key="match").click().run()
    assert "Say why" in app.error[0].value
    _reason(app).set_value("the provider sent it twice")
    app.button(key="match").click().run()
    assert not app.error
    assert marked(house) == [("transfer", "S9", "matched", "Q1", "pavel")]
    assert _reason(app).value == "", "the next mark asks for its own reason"
    _reason(app).set_value("asked back")
    app.button(key="disputed").click().run()
    assert app.dataframe[0].value["said"].tolist() == ["disputed: asked back"]
    asked = as_person("reconciliation", pavel, view="requests")
    _reason(asked).set_value("not granted yet")
    asked.button(key="explained").click().run()
    assert [one[1:3] for one in marked(house)] == [("S9", "matched"), ("S9", "disputed"), ("Q2", "explained")]
    looks_only = as_person("reconciliation", Person("aude", "auditor"))
    assert "iban_1" not in looks_only.dataframe[0].value.to_string()
    assert not any(button.key in ("match", "disputed", "explained") for button in looks_only.button)


def test_a_transfer_that_names_nobody_waits_for_a_person_to_confirm_its_pair(house: Warehouse, tmp_path: Path) -> None:
    late = tmp_path / "settlements-nameless.csv"
    late.write_text(
        "settlement_id,payout_id,destination,amount,currency,settled_at,status,reference\n"
        "S8,,iban_1,1200,EUR,2026-03-20T09:00:00Z,settled,REF-8\n"
    )
    land_paths(house, [late])
    st.cache_data.clear()
    app = as_person("reconciliation", Person("pavel", "payout_reviewer"))
    assert "1 likely, for a person to confirm" in told(app)
    assert app.dataframe[0].value["settlement_id"].tolist() == ["S8"]
    assert "Likeliest requests" in told(app), "partners are those who bring buyers"
    prague = Person("pavel", "payout_reviewer", ("prague",))
    app = as_person("reconciliation", prague)
    _reason(app).set_value("another firm's money")
    app.button(key="disputed").click().run()
    assert not app.error and "likely" not in told(app), "what was disputed is of no pair"
    app = as_person("reconciliation", prague, view="transfers", record="S8")
    said = app.dataframe[0].value.set_index("settlement_id")["said"]
    assert said["S8"] == "disputed: another firm's money"
    _reason(app).set_value("it was ours after all")
    app.button(key="open").click().run()
    app = as_person("reconciliation", prague, view="likely")
    _reason(app).set_value("as the bank says")
    app.button(key="match").click().run()
    assert not app.error and marked(house)[-1] == ("transfer", "S8", "matched", "Q2", "pavel")
    assert "likely" not in told(app)


STRAY = """settlement_id,payout_id,destination,amount,currency,settled_at,status,reference
S20,,nowhere,77,EUR,2026-03-18T09:00:00Z,settled,REF-20
S21,Q404,iban_1,78,EUR,2026-03-18T09:00:00Z,settled,REF-21
S22,Q404,nowhere,79,EUR,2026-03-18T09:00:00Z,returned,REF-22
S23,Q1-1,elsewhere,80,EUR,2026-03-18T09:00:00Z,settled,REF-23
S24,,iban_1,1200,EUR,2026-03-18T09:00:00Z,settled,REF-24
S25,Q2,iban_1,1200,EUR,2026-03-18T09:00:00Z,failed,REF-25
S26,,,81,EUR,2026-03-18T09:00:00Z,settled,Q1-1
"""


def test_every_transfer_that_did_not_fail_stands_in_one_list_of_reconciliation(
    house: Warehouse, tmp_path: Path
) -> None:
    """Whatever it names, wherever it went; a desk sees those that name its requests or went where these ask for."""
    stray = tmp_path / "settlements-stray.csv"
    stray.write_text(STRAY)
    land_paths(house, [stray])
    with house.database.begin() as connection:
        connection.execute(
            sa.insert(PAYOUT_TRANSFERS).values(
                transfer_id="Q1-1", payout_id="Q1", attempt=1, minor=80_000, currency="EUR", begun_at=NOW
            )
        )
    st.cache_data.clear()
    every = {"S1", "S20", "S21", "S22", "S23", "S24", "S26"}
    every |= {one[1] for one in marked(house) if one[0] == "transfer"}
    for desks, seen in ((None, every), (("prague",), every - {"S20", "S22"})):
        pavel = Person("pavel", "payout_reviewer", desks)
        listed: list[str] = []
        for view in ("matched", "likely", "transfers"):
            app = as_person("reconciliation", pavel, view=view)
            listed += app.dataframe[0].value["settlement_id"].tolist() if app.dataframe else []
        assert sorted(listed) == sorted(seen), desks
        assert "1 failed and paid nothing" in app.caption[0].value


def test_money_of_an_account_that_breached_since_is_held_until_another_has_looked(house: Warehouse) -> None:
    """Queue, review, approvals and reconciliation say that it is held and why; who granted it cannot let it go."""
    pavel, petra = Person("pavel", "payout_reviewer"), Person("petra", "payout_reviewer")
    status = schema.ACCOUNT_STATUS
    with house.database.begin() as connection:
        add_request(connection, "Q8")
    made = desk.act(house.database, pavel, "Q8", "approve", at=NOW)
    desk.act(house.database, Person("maria", "manager"), "Q8", "confirm", made.version, at=NOW)
    with house.database.begin() as connection:
        ended = sa.update(status).where(status.c.account_id == "A-Q8")
        connection.execute(ended.values(status="breached", status_at=NOW + dt.timedelta(hours=2)))
    try:
        why = "its account was breached on 02 Nov 2026 12:00 CET, after it was granted"
        assert why in told(as_person("reconciliation", pavel, view="held")), "in the desk's zone, as everywhere"
        assert why not in told(as_person("approvals", pavel))
        app = as_person("approvals", petra)
        assert why in told(app)
        app.button(key="release-Q8").click().run()
        assert "say why" in app.error[0].value
        app.text_input(key="why-Q8").set_value("the breach was a wrong tick").run()
        app.button(key="release-Q8").click().run()
        assert not app.exception and "Nothing waits for you" in told(app)
    finally:
        with house.database.begin() as connection:
            connection.execute(ended.values(status="active", status_at=NOW))


def test_a_second_person_agrees_on_the_approvals_page(house: Warehouse) -> None:
    """Who decided sees nothing to agree to; another reviewer sends back with a reason, and agrees at last."""
    pavel, petra = Person("pavel", "payout_reviewer"), Person("petra", "payout_reviewer")
    with house.database.begin() as connection:
        add_request(connection, "Q9", usd=20_000.0)
    state = desk.act(house.database, pavel, "Q9", "approve", at=NOW)
    assert state.state == "second_approval"
    own = told(as_person("approvals", pavel))
    assert "Nothing waits for you" in own
    assert "1 decision of yours" in own
    app = as_person("approvals", petra)
    assert "800.00 EUR to the trader" in told(app)
    app.button(key="back-Q9").click().run()
    assert "say why" in app.error[0].value
    app.text_input(key="why-Q9").set_value("read the news again")
    app.button(key="back-Q9").click().run()
    desk.act(house.database, pavel, "Q9", "approve", 6, at=NOW)
    app = as_person("approvals", petra)
    app.button(key="agree-Q9").click().run()
    assert not app.error
    with house.database.connect() as connection:
        held = desk.state_of(connection, "Q9")
    assert held is not None
    assert (held.state, held.maker, held.checker) == ("queued", "pavel", "petra")
    assert "Nothing waits for you" in told(as_person("approvals", petra))


def test_a_refusal_draws_nothing_of_what_others_wrote() -> None:
    """Ids and names of feeds stand in refusals as they are: no link, picture or emphasis of theirs."""
    app = AppTest.from_string(
        "from dashboards.kit import look\nlook.refused(ValueError('**Q1** [pay](http://x) is held'))"
    ).run()
    assert app.error[0].value == r"\*\*Q1\*\* \[pay\](http\://x) is held"
