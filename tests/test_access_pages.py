"""Every page and every action as every role and desk: who may do what, and what nobody but those who need it sees."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import streamlit as st
from streamlit.testing.v1 import AppTest

from dashboards.kit import people
from models import access, audit, judgements
from models.access import PAGES, PERMISSIONS, ROLES, AccessRefused, Person
from models.decisions import desk, machine, settling
from sql import schema
from sql.warehouse import Warehouse
from tests import pages_firm
from tests.desk_world import NOW, add_request

DESKS = (None, ("prague",), ("tokyo",))
OF_PRAGUE = ("Nora Near", "Bert Breach", "Petra Pass", "Ursula Unjudged", "iban_1", "ring-B1", "owner-T1", "REF-1")
PERSONAL = (
    "Nora Near",
    "Bert Breach",
    "Petra Pass",
    "Ursula Unjudged",
    "Taro Tokyo",
    "iban_1",
    "203.0.113.5",
    "device-1",
)
DRAWN: tuple[tuple[str, dict[str, str]], ...] = (
    *((page, {}) for page in PAGES),
    ("account", {"account": "N1"}),
    ("account", {"account": "N1", "view": "logins"}),
    ("case", {"trader": "T1", "view": "links"}),
    ("case", {"trader": "T1"}),
    ("network", {"trader": "T1"}),
    ("pair", {"a": "N1", "b": "B1"}),
    ("rings", {"ring": "ring-B1"}),
    ("rings", {"kind": "judged"}),
    ("payout_queue", {"state": "all"}),
    ("payout_review", {"payout": "Q2"}),
    ("reconciliation", {"view": "matched"}),
    ("reconciliation", {"view": "requests"}),
    ("data_health", {"view": "rejects"}),
)
Try = Callable[[Warehouse, Person], object]


pytestmark = pytest.mark.xdist_group("access_pages")


@pytest.fixture(scope="module")
def firm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small firm with suspicions, and two requests on the desk of Prague."""
    folder = pages_firm.copied(tmp_path_factory)
    house = Warehouse.open(folder / "home")
    pages_firm.suspect(house)
    for payout_id in ("D1", "D2"):
        add_request(house, payout_id)
    desk.act(house.database, Person("pavel", "payout_reviewer"), "D2", "take", at=NOW)
    with house.database.begin() as connection:
        told = json.dumps(
            {"sentence": "Both use one device.", "rows": [{"device_id": "device-1", "ip": "203.0.113.5"}]}
        )
        connection.execute(sa.update(schema.SIGNALS).values(evidence=told))
    house.database.dispose()
    st.cache_data.clear()
    st.cache_resource.clear()
    return folder


@pytest.fixture
def house(firm: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Warehouse]:
    monkeypatch.setenv("HIGHWATER_HOME", str(firm / "home"))
    monkeypatch.setenv("HIGHWATER_RULEBOOK", str(firm / "book"))
    monkeypatch.delenv("HIGHWATER_DATABASE_URL", raising=False)
    opened = Warehouse.open(firm / "home")
    yield opened
    opened.database.dispose()


def drawn(person: Person | None, page: str, **address: str) -> AppTest:
    """A page drawn for somebody."""
    app = AppTest.from_string(f"from dashboards.app import main; main({page!r})", default_timeout=240)
    if person:
        app.session_state[people.HELD] = person
    for name, value in address.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception, app.exception[0].stack_trace
    return app


def content(app: AppTest) -> bytes:
    """Everything that was sent to the browser: texts, tables, figures, choices."""

    def walk(block: Any) -> Iterator[bytes]:
        for child in block.children.values():
            proto = getattr(child, "proto", None)
            if proto is not None:
                yield proto.SerializeToString()
            if hasattr(child, "children"):
                yield from walk(child)

    return b"\n".join(walk(app._tree))


def _act(action: str) -> Try:
    return lambda house, person: desk.act(
        house.database, person, "D2", action, 3, reason="r", reason_code="data", strips=(), at=NOW
    )


def _in_transaction(change: Callable[[sa.Connection, Person], object]) -> Try:
    """A change that is taken back again, whatever became of it."""

    def tried(house: Warehouse, person: Person) -> None:
        with house.database.connect() as connection, connection.begin() as transaction:
            try:
                change(connection, person)
            finally:
                transaction.rollback()

    return tried


PAIR = judgements.Together("pair", "B1|N1", "copy", ("B1", "N1"), 9)


def _judge_pair(house: Warehouse, person: Person) -> None:
    """A judgement of a pair and its withdrawal."""
    judged = judgements.judge_trading(house.database, person, PAIR, "allowed", "agreed", ("prague",))
    judgements.withdraw_trading(house.database, person, judged, "no longer", ("prague",))


ACTIONS: dict[str, tuple[str, bool, Try]] = {
    **{action: (permission, True, _act(action)) for action, permission in machine.PERMISSIONS.items()},
    "note": ("payouts.note", True, lambda house, person: desk.note(house.database, person, "D1", "seen", at=NOW)),
    "mark": (
        "settlements.match",
        True,
        lambda house, person: settling.mark(
            house.database, person, "request", "D1", "explained", "", desk_id="prague", at=NOW
        ),
    ),
    "judge": (
        "risk.decide",
        True,
        lambda house, person: judgements.judge(house.database, person, ("T1", "T2"), "same", "one device", ("prague",)),
    ),
    "judge trading": ("risk.decide", True, _judge_pair),
    "add person": (
        "people.manage",
        False,
        _in_transaction(lambda c, person: access.add_person(c, person, "new", "long enough", "auditor")),
    ),
    "change person": (
        "people.manage",
        False,
        _in_transaction(lambda c, person: access.change_person(c, person, "nobody", "left", active=False)),
    ),
}
"""Every action of people: the permission that it asks for, whether it is of the desk of Prague, how it is tried."""

ALLOWED = """
from dashboards.kit import frame, places
import streamlit as st
st.session_state["allowed"] = [one.name for one in places.PLACES if frame.allowed(places.page(one.name))]
st.session_state["listed"] = [page.title for pages in places.groups("overview").values() for page in pages]
"""


@pytest.mark.parametrize("desks", DESKS, ids=["every desk", "prague", "tokyo"])
@pytest.mark.parametrize("role", [*ROLES, "nobody"])
def test_every_page_and_action_as_every_role_and_desk(
    house: Warehouse, role: str, desks: tuple[str, ...] | None
) -> None:
    person = Person("somebody", role, desks)
    app = AppTest.from_string(ALLOWED, default_timeout=240)
    app.session_state[people.HELD] = person
    app.run()
    assert not app.exception
    may = {page for page, permission in PAGES.items() if role in PERMISSIONS[permission]}
    assert set(app.session_state["allowed"]) == may
    for action, (permission, of_prague, tried) in ACTIONS.items():
        allowed = role in PERMISSIONS[permission] and (not of_prague or desks is None or "prague" in desks)
        try:
            tried(house, person)
        except AccessRefused:
            assert not allowed, action
        except Exception:
            assert allowed, action
        else:
            assert allowed, action


@pytest.mark.parametrize(("role", "judges"), [("risk_analyst", True), ("manager", True), ("auditor", False)])
def test_only_who_decides_on_risk_is_offered_judgements(house: Warehouse, role: str, judges: bool) -> None:
    person = Person("somebody", role)
    for page, address in (("pair", {"a": "N1", "b": "B1"}), ("rings", {}), ("network", {"trader": "T1"})):
        offered = {one.label for one in drawn(person, page, **address).button}
        assert bool(offered & {"Ring", "Allowed copy", "Dismiss", "Same person", "Not the same"}) == judges, page


def _opened_by(person: Person) -> list[tuple[str, dict[str, str]]]:
    return [(page, address) for page, address in DRAWN if person.may(PAGES[page])]


@pytest.mark.parametrize(
    ("role", "desks"),
    [("auditor", None), ("auditor", ("prague",)), ("manager", ("tokyo",)), ("payout_reviewer", ("tokyo",))],
)
def test_no_page_sends_what_the_role_or_the_desk_must_not_see(
    house: Warehouse, role: str, desks: tuple[str, ...] | None
) -> None:
    person = Person("somebody", role, desks)
    hidden = set() if person.may("personal.read") else set(PERSONAL)
    hidden |= set(OF_PRAGUE) if desks == ("tokyo",) else set()
    for page, address in _opened_by(person):
        sent = content(drawn(person, page, **address))
        found = [one for one in hidden if one.encode() in sent]
        assert not found, f"{page} {address} sends {found}"


def test_what_a_reviewer_needs_is_whole_and_written_down_once(house: Warehouse) -> None:
    person = Person("pavel", "payout_reviewer")
    app = drawn(person, "payout_queue", state="all")
    assert b"Petra Pass" in content(app)
    app.run()
    with house.database.connect() as connection:
        shown = [one for one in audit.recent(connection, 500, action="personal data shown") if one["actor"] == "pavel"]
        assert audit.verify(connection) is None
    assert shown
    told = [(tuple(one["after"]["fields"]), tuple(one["after"]["of"])) for one in shown]
    assert len(told) == len(set(told)), "the same people are written down once a session"


class FakeUser:
    """What an identity provider says of who signed in."""

    def __init__(self, **claims: Any) -> None:
        self.claims = claims
        self.is_logged_in = bool(claims)

    def to_dict(self) -> dict[str, Any]:
        return self.claims


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({}, b"Sign in with your firm"),
        ({"email": "eve@firm.example"}, b"gave you no role here"),
        ({"email": "eve@firm.example", "highwater_role": "local"}, b"gave you no role here"),
        ({"email": "aude@firm.example", "highwater_role": "auditor"}, b"Figures stand at"),
    ],
)
def test_a_firms_own_sign_in(
    house: Warehouse, monkeypatch: pytest.MonkeyPatch, claims: dict[str, Any], said: bytes
) -> None:
    monkeypatch.setattr(st, "user", FakeUser(**claims))
    app = AppTest.from_string("from dashboards.app import main; main('payout_queue')", default_timeout=240)
    app.secrets["auth"] = {"redirect_uri": "http://localhost/oauth2callback"}
    app.run()
    assert not app.exception
    sent = content(app)
    assert said in sent
    if claims.get("highwater_role") == "auditor":
        assert b"Petra Pass" not in sent
        with house.database.connect() as connection:
            assert audit.recent(connection, 1, actor="aude@firm.example")[0]["action"] == "signed in"


def test_every_pair_of_role_and_permission_is_meant() -> None:
    known = set(itertools.chain.from_iterable(PERMISSIONS.values()))
    assert known == set(ROLES)
    assert "personal.read" not in {name for name, roles in PERMISSIONS.items() if "auditor" in roles}


def test_a_run_and_its_terms_are_in_the_log(house: Warehouse) -> None:
    with house.database.connect() as connection:
        scored, terms = (audit.recent(connection, 1, action=action)[0] for action in ("scored", "terms changed"))
    assert scored["actor"] == terms["actor"] == "highwater"
    assert scored["after"]["recommended"]
    assert scored["after"]["ledger_entries"] > 0
    assert {"one 1", "one 2", "payout policy"} <= set(terms["after"])
