"""What people decide about partners: held to shares, tree and role, audited, and counted by the next settlement."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy as sa

from models.access import AccessRefused, Person
from models.attribution import attribute
from models.audit import verify
from models.partner_desk import PartnerRefused, assigned, coupons, give_coupon, hold, move, moves, on_hold, reassign
from sql.desk_schema import AUDIT_LOG
from sql.partner_schema import PARTNER_DECISIONS, PARTNER_HOLDS
from sql.warehouse import Warehouse

PAUL = Person("paul", "partner_manager")
SINCE = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
HALF = Decimal("0.5")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[sa.Connection]:
    """A database after a run: partners P1 ← P2 ← P3 and a purchase at each of two desks."""
    house = Warehouse.open(tmp_path)
    with house.database.begin() as connection:
        for statement in (
            "create table mart_partners (desk_id text, partner_id text, parent_partner_id text, plan text)",
            "insert into mart_partners values ('all', 'P1', null, 'cpa'), ('all', 'P2', 'P1', 'cpa'),"
            " ('all', 'P3', 'P2', 'cpa'), ('tokyo', 'P3', 'P2', 'cpa')",
            "create table mart_cohort_challenges (challenge_id text, desk_id text)",
            "insert into mart_cohort_challenges values ('C1', 'prague'), ('C2', 'tokyo')",
        ):
            connection.execute(sa.text(statement))
        yield connection
    house.database.dispose()


def test_a_purchase_is_reassigned_in_shares_and_the_newest_decision_holds(database: sa.Connection) -> None:
    assert reassign(database, PAUL, "C1", {"P1": HALF, "P2": HALF}, "both signed") == 1
    assert assigned(database).to_numpy().tolist() == [["C1", "P1", 0.5], ["C1", "P2", 0.5]]
    assert reassign(database, PAUL, "C1", {"P3": Decimal(1)}, "found out") == 2
    assert assigned(database).to_numpy().tolist() == [["C1", "P3", 1.0]]
    actions = database.execute(sa.select(AUDIT_LOG.c.actor, AUDIT_LOG.c.action, AUDIT_LOG.c.subject)).tuples().all()
    assert actions == [("paul", "partner purchase", "purchase:C1")] * 2
    assert verify(database) is None


def test_a_purchase_can_be_credited_to_nobody(database: sa.Connection) -> None:
    reassign(database, PAUL, "C1", {}, "the buyer came by himself")
    sales = pd.DataFrame(
        {
            "challenge_id": ["C1", "C2"],
            "trader_id": ["T1", "T2"],
            "purchased_at": [SINCE, SINCE],
            "partner_id": ["P1", "P1"],
            "click_id": None,
            "coupon": None,
        }
    )
    clicks, known = pd.DataFrame({"click_id": [], "partner_id": []}), pd.DataFrame({"partner_id": ["P1"]})
    assert attribute(sales, clicks, known, assigned(database)).credits["challenge_id"].tolist() == ["C2"]


@pytest.mark.parametrize(
    ("challenge", "shares", "words"),
    [
        ("C1", {"P1": HALF, "P2": Decimal("0.499999")}, "sum to 0.999999"),
        ("C1", {"P1": HALF, "P2": Decimal("0.500001")}, "sum to 1.000001"),
        ("C1", {"P1": Decimal("1.5"), "P2": Decimal("-0.5")}, "above 0"),
        ("C1", {"P9": Decimal(1)}, "P9: no such partner"),
        ("C9", {"P1": Decimal(1)}, "C9: no such purchase"),
    ],
)
def test_what_cannot_be_is_refused_and_leaves_nothing(
    database: sa.Connection, challenge: str, shares: dict[str, Decimal], words: str
) -> None:
    with pytest.raises(PartnerRefused, match=words):
        reassign(database, PAUL, challenge, shares, "why")
    assert assigned(database).empty


def test_a_decision_needs_a_reason_the_role_and_the_desk(database: sa.Connection) -> None:
    whole = {"P1": Decimal(1)}
    with pytest.raises(PartnerRefused, match="needs a reason"):
        reassign(database, PAUL, "C1", whole, " ")
    with pytest.raises(AccessRefused, match="may not do this"):
        reassign(database, Person("rita", "risk_analyst"), "C1", whole, "why")
    with pytest.raises(AccessRefused, match="does not work at desk tokyo"):
        reassign(database, Person("paul", "partner_manager", ("prague",)), "C2", whole, "why")


def test_a_partner_cannot_become_their_own_ancestor(database: sa.Connection) -> None:
    for parent in ("P1", "P3"):
        with pytest.raises(PartnerRefused, match="own ancestor"):
            move(database, PAUL, "P1", parent, "cpa", SINCE, "why")
    move(database, PAUL, "P3", None, "cpa", SINCE, "left the team")
    move(database, PAUL, "P1", "P3", "cpa", SINCE, "joined it")
    with pytest.raises(PartnerRefused, match="own ancestor"):
        move(database, PAUL, "P3", "P2", "cpa", SINCE, "P2 stands below P1, which stands below P3")


def test_a_move_counts_from_its_day(database: sa.Connection) -> None:
    move(database, PAUL, "P3", "P1", "tiered", SINCE, "a better plan")
    assert moves(database).to_numpy().tolist() == [["P3", "P1", "tiered", pd.Timestamp(SINCE)]]


def test_a_coupon_given_to_a_partner_credits_its_purchases(database: sa.Connection) -> None:
    give_coupon(database, PAUL, "SPRING", "P2", "agreed")
    sale = pd.DataFrame({"challenge_id": ["C1"], "trader_id": ["T1"], "purchased_at": [SINCE], "coupon": ["SPRING"]})
    sale = sale.assign(partner_id=None, click_id=None)
    clicks, known = pd.DataFrame({"click_id": [], "partner_id": []}), pd.DataFrame({"partner_id": ["P2"]})
    credited = attribute(sale, clicks, known, coupons=coupons(database)).credits
    assert credited[["partner_id", "how"]].to_numpy().tolist() == [["P2", "coupon"]]
    give_coupon(database, PAUL, "SPRING", None, "ended")
    assert coupons(database) == {}


def test_commissions_are_held_until_they_are_released(database: sa.Connection) -> None:
    assert hold(database, PAUL, "P1", "own buyers") == 1
    assert {one: row["reason"] for one, row in on_hold(database).items()} == {"P1": "own buyers"}
    with pytest.raises(PartnerRefused, match="on hold already"):
        hold(database, PAUL, "P1", "again")
    assert hold(database, PAUL, "P1", "explained", on=False) == 2
    assert on_hold(database) == {}
    with pytest.raises(PartnerRefused, match="not on hold"):
        hold(database, PAUL, "P1", "again", on=False)
    told = database.execute(sa.select(AUDIT_LOG.c.actor, AUDIT_LOG.c.action, AUDIT_LOG.c.subject)).tuples().all()
    assert told == [("paul", "partner hold", "partner:P1"), ("paul", "partner release", "partner:P1")]
    assert verify(database) is None


@pytest.mark.parametrize(
    ("person", "partner", "reason", "words"),
    [
        (PAUL, "P1", " ", "needs a reason"),
        (PAUL, "P9", "why", "P9: no such partner"),
        (Person("rita", "risk_analyst"), "P1", "why", "may not do this"),
    ],
)
def test_a_hold_needs_a_reason_a_partner_and_the_role(
    database: sa.Connection, person: Person, partner: str, reason: str, words: str
) -> None:
    with pytest.raises((PartnerRefused, AccessRefused), match=words):
        hold(database, person, partner, reason)
    assert on_hold(database) == {}


def test_decisions_are_never_changed(database: sa.Connection) -> None:
    reassign(database, PAUL, "C1", {"P1": Decimal(1)}, "why")
    hold(database, PAUL, "P1", "why")
    for table in (PARTNER_DECISIONS, PARTNER_HOLDS):
        with pytest.raises(sa.exc.DBAPIError, match="append-only"):
            database.execute(sa.update(table).values(reason="another"))
