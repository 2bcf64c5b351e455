"""Attribution: who is credited, in which shares, and what waits because it cannot be known yet."""

from __future__ import annotations

from typing import Any

import duckdb
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.attribution import attribute, coupon_owners, hold_suspects
from sql import relations
from tests.builders import lake
from tests.payout_world import DAY, START, settlement

CLICKS = pd.DataFrame({"click_id": ["K1", "K2"], "partner_id": ["P1", "P2"]})
PARTNERS = pd.DataFrame({"partner_id": ["P1", "P2"]})


def sales(*rows: dict[str, Any]) -> pd.DataFrame:
    """Purchases an hour apart, C1, C2, … of trader T unless said otherwise."""
    usual = {"trader_id": "T", "partner_id": None, "click_id": None, "coupon": None}
    start = pd.Timestamp("2026-01-01", tz="UTC")
    told = [
        usual | {"challenge_id": f"C{n}", "purchased_at": start + pd.Timedelta(hours=n)} | row
        for n, row in enumerate(rows, 1)
    ]
    return pd.DataFrame(told).astype({"partner_id": object, "click_id": object, "coupon": object})


def credited(*rows: dict[str, Any]) -> dict[str, str]:
    """Partner by challenge."""
    found = attribute(sales(*rows), CLICKS, PARTNERS).credits
    return dict(zip(found["challenge_id"], found["partner_id"], strict=True))


def test_the_checkouts_word_holds_over_the_click_and_the_difference_is_named() -> None:
    found = attribute(sales({"partner_id": "P1", "click_id": "K2"}), CLICKS, PARTNERS)
    assert found.credits["partner_id"].tolist() == ["P1"]
    assert any("another partner than their click" in line and line.endswith("C1") for line in found.log)


def test_a_click_credits_its_partner_and_a_purchase_without_touch_nobody() -> None:
    assert credited({"click_id": "K2"}, {"trader_id": "U"}) == {"C1": "P2"}


def test_the_first_touch_holds_for_later_clicks_and_not_for_purchases_without_one() -> None:
    assert credited({"click_id": "K1"}, {"click_id": "K2"}, {}) == {"C1": "P1", "C2": "P1"}


def test_a_click_that_has_not_landed_holds_the_commission_and_is_named() -> None:
    found = attribute(sales({"partner_id": "P1", "click_id": "K9"}), CLICKS, PARTNERS)
    assert found.credits["held_because"].tolist() == ["unknown click K9"]
    assert any("click that has not landed" in line for line in found.log)


def test_a_lost_click_after_the_first_touch_is_held_for_that_partner_and_before_it_for_nobody() -> None:
    found = attribute(sales({"click_id": "K9"}, {"click_id": "K1"}, {"click_id": "K8"}), CLICKS, PARTNERS).credits
    assert found[["challenge_id", "partner_id", "how"]].to_numpy().tolist() == [
        ["C2", "P1", "click"],
        ["C3", "P1", "first_touch"],
    ]
    assert found["held_because"].fillna("").tolist() == ["", "unknown click K8"]


def test_a_partner_that_has_not_landed_is_credited_with_nothing_and_named() -> None:
    found = attribute(sales({"partner_id": "P9"}), CLICKS, PARTNERS)
    assert found.credits.empty
    assert any("partner that has not landed" in line for line in found.log)


def test_who_is_credited_in_the_place_of_a_partner_that_has_not_landed_waits_for_it() -> None:
    """Paid at once, the purchase would be paid again once the partner lands whom the checkout named."""
    rows = ({"partner_id": "P9", "click_id": "K1"}, {"click_id": "K1"}, {"partner_id": "P9", "click_id": "K8"})
    found = attribute(sales(*rows), CLICKS, PARTNERS).credits
    assert found["partner_id"].tolist() == ["P1", "P1", "P1"]
    assert found["held_because"].fillna("").tolist() == ["unknown partner P9", "", "unknown click K8"]
    landed = attribute(sales(*rows), CLICKS, pd.DataFrame({"partner_id": ["P1", "P9"]})).credits
    assert landed["partner_id"].tolist() == ["P9", "P9", "P9"], "it was the first touch"


def test_a_click_of_a_partner_that_has_not_landed_credits_nobody_or_the_first_touch_and_is_named() -> None:
    clicks = pd.DataFrame({"click_id": ["K1", "K9"], "partner_id": ["P1", "P9"]})
    rows = ({"click_id": "K9"}, {"click_id": "K1"}, {"click_id": "K9"}, {"partner_id": "P2", "click_id": "K9"})
    found = attribute(sales(*rows), clicks, PARTNERS)
    assert found.credits[["challenge_id", "partner_id"]].to_numpy().tolist() == [
        ["C2", "P1"],
        ["C3", "P1"],
        ["C4", "P2"],
    ]
    assert any(line.startswith("2 purchases") and line.endswith("C1, C3") for line in found.log)


@pytest.mark.parametrize(("uses", "known"), [(4, False), (5, True)])
def test_a_coupon_belongs_to_a_partner_after_enough_uses(uses: int, known: bool) -> None:
    rows = [{"trader_id": f"T{n}", "partner_id": "P1", "coupon": "X"} for n in range(uses)]
    last = f"C{uses + 1}"
    assert (last in credited(*rows, {"trader_id": "new", "coupon": "X"})) is known


def test_a_known_coupon_holds_over_the_click_and_the_first_touch_over_both() -> None:
    frame = sales({"click_id": "K2", "coupon": "X"}, {"click_id": "K2"}, {"trader_id": "U", "click_id": "K2"})
    found = attribute(frame, CLICKS, PARTNERS, coupons={"X": "P1"}).credits
    assert found[["partner_id", "how"]].to_numpy().tolist() == [
        ["P1", "coupon"],
        ["P1", "first_touch"],
        ["P2", "click"],
    ]


def test_a_coupon_of_two_partners_belongs_to_none() -> None:
    frame = sales(*({"partner_id": "P1" if n % 2 else "P2", "coupon": "X"} for n in range(20)))
    assert coupon_owners(frame, frame["partner_id"]).empty
    more = frame.tail(1).assign(challenge_id="C99", partner_id=None, trader_id="new")
    alone = attribute(pd.concat([frame, more]), CLICKS, PARTNERS)
    assert "C99" not in set(alone.credits["challenge_id"])
    assert alone.log[-1].startswith("1 purchases carry no touch but a coupon that several partners' buyers use")
    assert alone.log[-1].endswith(": C99")


def test_people_reassign_and_a_purchase_whose_shares_do_not_sum_to_one_is_held() -> None:
    split = pd.DataFrame({"challenge_id": "C1", "partner_id": ["P1", "P2"], "share": [0.75, 0.25]})
    found = attribute(sales({"partner_id": "P1"}), CLICKS, PARTNERS, split).credits
    assert found[["partner_id", "share", "how"]].to_numpy().tolist() == [
        ["P1", 0.75, "assigned"],
        ["P2", 0.25, "assigned"],
    ]
    held = attribute(sales({"partner_id": "P1"}), CLICKS, PARTNERS, split.assign(share=[0.65, 0.25]))
    assert held.credits[["partner_id", "share", "held_because"]].to_numpy().tolist() == [
        ["P1", 1.0, "decided shares do not sum to one"]
    ]
    assert held.log[0].startswith("challenge C1: the shares decided for it sum to 0.9, not to one")


TOUCH = st.fixed_dictionaries(
    {
        "trader_id": st.sampled_from("TUV"),
        "partner_id": st.sampled_from([None, "P1", "P2", "P9"]),
        "click_id": st.sampled_from([None, "K1", "K2", "K9"]),
        "coupon": st.sampled_from([None, "X"]),
    }
)


@given(st.lists(TOUCH, min_size=1, max_size=12))
def test_shares_of_every_credited_purchase_sum_to_one(rows: list[dict[str, Any]]) -> None:
    found = attribute(sales(*rows), CLICKS, PARTNERS).credits
    assert (found.groupby("challenge_id")["share"].sum() == 1).all()
    assert set(found["partner_id"]) <= {"P1", "P2"}


def test_a_partners_own_purchases_wait_and_others_do_not() -> None:
    found = attribute(sales({"partner_id": "P1"}, {"partner_id": "P1", "trader_id": "U"}), CLICKS, PARTNERS).credits
    events = pd.DataFrame({"challenge_id": ["C1", "C2"], "trader_id": ["T", "U"]})
    held = hold_suspects(found, events, pd.DataFrame({"partner_id": ["P1"], "trader_id": ["U"]}))
    assert held["held_because"].notna().tolist() == [False, True]


def partner_lake(connection: duckdb.DuckDBPyConnection, *records: dict[str, Any], **more: list[Any]) -> None:
    """Partners' records told one after another, and what else landed, as of 60 days after the start."""
    usual = {"name": "One", "plan": "cpa", "joined_at": START}
    lake(connection, {"partners": [usual | record for record in records], **more})
    connection.execute(
        "update lake.partners as told set _version = (select count(*) from lake.partners as other"
        " where other.partner_id = told.partner_id and other._line <= told._line)"
    )
    relations.prepare(connection, START + 60 * DAY)


def test_a_partner_whose_move_is_told_before_its_day_stands_where_they_stood_until_then() -> None:
    later = {"partner_id": "P1", "plan": "hybrid", "payout_destination": "new", "joined_at": START + 61 * DAY}
    with duckdb.connect() as connection:
        partner_lake(connection, {"partner_id": "P1"}, {"partner_id": "P1", "email": "one@firm.test"}, later)
        relations.build(connection, "staging.partners")
        told = connection.sql("select partner_id, plan, email from staging.partners").fetchall()
    assert told == [("P1", "cpa", "one@firm.test")]


def test_what_was_sent_to_a_partners_earlier_destination_stays_sent_to_that_partner() -> None:
    """A destination that two had by turns is whose it is now, one that two had before is nobody's."""
    records = [("P1", "old"), ("P1", "now"), ("P2", "lent"), ("P2", "own"), ("P3", "lent")]
    records += [("P4", "both"), ("P5", "both"), ("P4", "x"), ("P5", "y")]
    sent = [settlement(n, "", 20, "50", destination=name) for n, name in enumerate(("old", "now", "lent", "both"), 1)]
    with duckdb.connect() as connection:
        named = [{"partner_id": who, "payout_destination": where} for who, where in records]
        partner_lake(connection, *named, settlements=sent)
        relations.build(connection, "facts.partner_transfers")
        query = "select settlement_id, partner_id from facts.partner_transfers order by settlement_id"
        told = connection.sql(query).fetchall()
    assert [who for _, who in told] == ["P1", "P1", "P3"]
