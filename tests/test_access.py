"""People: who may do what, sign-in that tells nothing to strangers, and accounts that only others change."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from models import access, audit
from models.access import LOCAL, PERMISSIONS, ROLES, AccessRefused, Person
from pipelines import start
from sql.desk_schema import PEOPLE
from sql.warehouse import Warehouse

ADAM = Person("adam", "admin")


def test_every_permission_is_told_in_words() -> None:
    """The page and refusals showed `payouts.decide`."""
    assert access.IN_WORDS.keys() == PERMISSIONS.keys()
    with pytest.raises(access.AccessRefused, match=r"rita \(risk analyst\) may not do this: manage people and roles\."):
        access.require(Person("rita", "risk_analyst"), "people.manage")


@pytest.mark.parametrize("permission", sorted(PERMISSIONS))
@pytest.mark.parametrize("role", [*ROLES, LOCAL, "nobody", ""])
def test_a_role_may_what_the_table_says_and_nothing_else(role: str, permission: str) -> None:
    assert Person("x", role).may(permission) == (role == LOCAL or role in PERMISSIONS[permission])
    assert not Person("x", role).may(f"{permission}.not")


@pytest.mark.parametrize(("desks", "desk", "sees"), [(None, "a", True), (("a",), "a", True), (("a",), "b", False)])
def test_desks_are_boundaries(desks: tuple[str, ...] | None, desk: str, sees: bool) -> None:
    person = Person("x", "payout_reviewer", desks)
    assert person.sees(desk) == sees
    if not sees:
        with pytest.raises(AccessRefused, match="desk b"):
            access.require(person, "payouts.decide", desk)


def test_those_who_decide_money_neither_manage_people_nor_the_other_way() -> None:
    assert not PERMISSIONS["people.manage"] & (PERMISSIONS["payouts.decide"] | PERMISSIONS["payouts.confirm"])


def test_signing_in(warehouse: Warehouse) -> None:
    with warehouse.database.begin() as connection:
        access.add_person(connection, ADAM, "ann", "long enough", "payout_reviewer", ("prague",))
        assert access.sign_in(connection, "ann", "long enough") == Person("ann", "payout_reviewer", ("prague",))
        assert access.sign_in(connection, "ann", "wrong") is None
        assert access.sign_in(connection, "bob", "long enough") is None
        access.change_person(connection, ADAM, "ann", "left", active=False)
        assert access.sign_in(connection, "ann", "long enough") is None
        held = connection.execute(sa.select(PEOPLE.c.password_hash)).scalar_one()
        assert held.startswith("$argon2id$")
        actions = [one["action"] for one in audit.recent(connection)]
    assert actions.count("sign-in refused") == 3
    assert {"signed in", "person added", "person changed"} <= set(actions)
    assert "long enough" not in str(actions)


def test_accounts_are_managed_by_others_only(warehouse: Warehouse) -> None:
    with warehouse.database.begin() as connection:
        access.add_person(connection, Person("first", LOCAL), "adam", "long enough", "admin")
        with pytest.raises(AccessRefused):
            access.add_person(connection, Person("ann", "manager"), "eve", "long enough", "admin")
        with pytest.raises(AccessRefused, match="own account"):
            access.change_person(connection, ADAM, "adam", "more", role="manager")
        with pytest.raises(ValueError, match="no role"):
            access.add_person(connection, ADAM, "eve", "long enough", "king")
        with pytest.raises(ValueError, match="8 characters"):
            access.add_person(connection, ADAM, "eve", "short", "admin")


def test_the_demo_people_are_made_once_and_only_where_nobody_is(warehouse: Warehouse) -> None:
    with warehouse.database.begin() as connection:
        access.ensure_demo_people(connection)
        access.ensure_demo_people(connection)
        assert {one["role"] for one in access.people(connection)} == set(ROLES)
        assert all("password_hash" not in one for one in access.people(connection))


def test_claims_of_a_provider() -> None:
    claims = {"email": "ann@firm.example", "highwater_role": "manager", "highwater_desks": ["prague"]}
    assert access.from_claims(claims) == Person("ann@firm.example", "manager", ("prague",))
    assert access.from_claims({"email": "ann@firm.example"}) is None
    assert access.from_claims({"email": "ann@firm.example", "highwater_role": LOCAL}) is None


@pytest.mark.parametrize(
    ("role", "shown"), [("payout_reviewer", "Ann Lee"), ("auditor", "A••••••"), ("admin", "A••••••")]
)
def test_personal_data_is_masked_unless_the_role_needs_it(role: str, shown: str) -> None:
    assert access.masked("Ann Lee", Person("x", role)) == shown
    assert access.masked(None, Person("x", role)) is None


def test_the_demo_firm_comes_with_its_people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.demo.write_demo", lambda *_args, **_more: None)
    monkeypatch.setattr("pipelines.land.land_paths", lambda *_args: [])
    house = Warehouse.open(tmp_path)
    start.make_demo(house, 1, 1)
    with house.database.connect() as connection:
        assert [one["name"] for one in access.people(connection)] == sorted(name for name, _ in access.DEMO_PEOPLE)
        assert all(one["demo"] for one in access.people(connection))
    house.database.dispose()


@pytest.mark.parametrize("role", ROLES)
def test_what_is_personal_is_masked_in_records_however_deep(role: str) -> None:
    record = {
        "trader_name": "Ann Lee",
        "reasons": [{"signal": "device", "value": "device-1", "rarity": 2}],
        "rows": [{"ip": "203.0.113.5", "lots": 1.0, "destination": None}],
        "check": "payee",
        "value": "kept",
    }
    seen = access.veil(record, Person("x", role))
    if Person("x", role).may("personal.read"):
        assert seen == record
        return
    assert not {"Ann Lee", "device-1", "203.0.113.5"} & set(str(seen).split("'"))
    assert (seen["value"], seen["rows"][0]["lots"], seen["rows"][0]["destination"]) == ("kept", 1.0, None)
    assert access.veil({"check": "screening", "sentence": "Ann Lee is alike"}, Person("x", role))["numbers"] == {}
