"""Partner detectors: each fires on its behaviour and stays silent on what looks alike; evidence tells numbers."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass, field
from typing import Any

import duckdb
import pandas as pd
import pytest

from models import attribution
from models.detectors.base import strength
from models.detectors.partners import PARTNER_DETECTORS, detect_partners, own_buyers
from sql import relations
from sql.schema import DATASETS, DUCKDB_TYPES

NOW = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
START = dt.datetime(2026, 1, 5, tzinfo=dt.UTC)
USED = ("partners", "traders", "payouts", "accounts", "payments", "challenges", "clicks")


@dataclass
class World:
    """Records by dataset, filled partner by partner."""

    rows: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: {name: [] for name in USED})
    owners: dict[str, str] = field(default_factory=dict)
    traded: list[str] = field(default_factory=list)

    def partner(self, partner: str, **more: Any) -> None:
        """A partner with a mailbox and a destination of their own."""
        usual = {"name": partner, "plan": "cpa", "email": f"{partner}@partners.example"}
        self.rows["partners"].append(
            usual | {"partner_id": partner, "payout_destination": f"bank_{partner}", "joined_at": START} | more
        )

    def buyer(self, partner: str, trader: str, day: float, *, trades: bool = True, **more: Any) -> None:
        """A trader whom a partner brought: a click an hour before the purchase on a device of their own."""
        at = START + dt.timedelta(days=day)
        told = {"full_name": trader, "email": f"{trader}@mail.example", "country": "CZ"} | more.pop("record", {})
        self.rows["traders"].append(told | {"trader_id": trader, "registered_at": at})
        click = {"click_id": f"K{trader}", "device_id": f"dev_{trader}", "ip": f"ip_{trader}"} | more.pop("click", {})
        delay = dt.timedelta(seconds=more.pop("delay_s", 3600))
        if more.pop("clicked", True):
            self.rows["clicks"].append(click | {"partner_id": partner, "occurred_at": at - delay})
            more["click_id"] = click["click_id"]
        sale = {
            "challenge_id": f"C{trader}",
            "trader_id": trader,
            "partner_id": partner,
            "purchased_at": at,
            "fee": 100,
        }
        self.rows["challenges"].append(sale | {"currency": "USD", "instrument": f"card_{trader}"} | more)
        self.rows["accounts"].append(
            {"account_id": f"A{trader}", "challenge_id": f"C{trader}", "trader_id": trader, "opened_at": at}
        )
        self.owners.setdefault(trader, f"O{trader}")
        if trades:
            self.traded.append(f"A{trader}")

    def crowd(self, partner: str, count: int, **more: Any) -> None:
        """Ordinary buyers, days apart."""
        for number in range(count):
            self.buyer(partner, f"{partner}t{number}", 3 + 5.3 * number % 90, **more)

    def signals(self) -> pd.DataFrame:
        """What the detectors say."""
        return detect_partners(self.engine())

    def engine(self) -> duckdb.DuckDBPyConnection:
        """The records as the SQL files see them."""
        connection = duckdb.connect()
        connection.execute("set timezone = 'UTC'")
        relations.prepare(connection, NOW)
        for name in USED:
            columns = DATASETS[name].columns
            listed = ", ".join(f'"{one.name}" {DUCKDB_TYPES[one.kind]}' for one in columns)
            connection.execute(f"create table staging.{name} ({listed})")
            marks = ", ".join("?" for _ in columns)
            for row in self.rows[name]:
                connection.execute(
                    f"insert into staging.{name} values ({marks})", [row.get(one.name) for one in columns]
                )
        connection.execute("create table facts.trades as select unnest(?) as account_id", [self.traded or [""]])
        connection.execute("create table decided.owners (trader_id varchar, owner_id varchar)")
        if self.owners:
            connection.executemany("insert into decided.owners values (?, ?)", list(self.owners.items()))
        attribution.show(connection, attribution.read(connection))
        return connection


def firm() -> World:
    """Six ordinary partners with a dozen buyers each."""
    world = World()
    for number in range(6):
        world.partner(f"H{number}")
        world.crowd(f"H{number}", 12)
    return world


def flags(world: World) -> set[tuple[str, str]]:
    """Partner and detector of every flag."""
    found = world.signals()
    strong = found[found["strength"] >= 0.5]
    return set(zip(strong["subject_id"], strong["detector"], strict=True))


def test_an_ordinary_firm_has_no_flag() -> None:
    assert flags(firm()) == set()


def test_an_empty_firm_says_nothing() -> None:
    assert World().signals().empty


def test_a_buyer_who_is_paid_to_the_partners_destination() -> None:
    world = firm()
    world.partner("P", payout_destination="bank_x")
    world.crowd("P", 3)
    world.buyer("P", "self", 20)
    world.rows["payouts"].append(
        {"payout_id": "Q1", "account_id": "Aself", "requested_at": NOW, "amount": 1, "destination": "bank_x"}
    )
    assert flags(world) == {("P", "self_referral")}
    engine = world.engine()
    found = detect_partners(engine)
    assert own_buyers(engine, found).to_numpy().tolist() == [["P", "self"]]
    told = json.loads(found.loc[found["detector"] == "self_referral", "evidence"].iloc[0])
    assert "1 paid to the partner's own destination" in told["sentence"]
    assert [row["trader_id"] for row in told["rows"]] == ["self"]


def test_a_buyer_who_writes_from_the_partners_mailbox_under_a_tag() -> None:
    world = firm()
    world.partner("P", email="Jan.Novak@gmail.com")
    world.crowd("P", 3)
    world.buyer("P", "self", 20, record={"email": "jannovak+trade@googlemail.com"})
    assert flags(world) == {("P", "self_referral")}


def test_a_card_of_the_partner_and_records_of_the_partners_owner() -> None:
    world = firm()
    world.partner("P", payout_destination="card_mine")
    world.crowd("P", 3)
    world.buyer("P", "self", 20, instrument="card_mine")
    assert ("P", "self_referral") in flags(world)
    other = firm()
    other.partner("Q", email="q@mail.example")
    other.crowd("Q", 8)
    other.rows["traders"].append({"trader_id": "known", "full_name": "Q", "email": "q@mail.example"})
    other.buyer("Q", "cousin", 20)
    other.owners |= {"known": "OQ", "cousin": "OQ"}
    assert flags(other) == {("Q", "self_referral")}


def test_two_records_of_one_person_among_many_buyers_say_nothing_and_a_common_click_device_is_told() -> None:
    """Guards that no finding is told without what ties the partner: the sentence had ended at its colon."""
    world = firm()
    world.partner("P", payout_destination="card_mine")
    world.crowd("P", 8)
    for twice in ("one", "other"):
        world.buyer("P", twice, 20, click={"device_id": "dev_both"})
    world.owners |= {"one": "OX", "other": "OX"}
    assert world.signals().query("detector == 'self_referral'").empty
    world.buyer("P", "self", 20, instrument="card_mine")
    found = world.signals().query("detector == 'self_referral'")
    told = json.loads(found["evidence"].iloc[0])["sentence"]
    assert "1 bought with the partner's own instrument" in told
    assert told.endswith("2 clicking from a device that another of them clicked from.")


def test_a_namesake_at_the_same_provider_is_no_self_referral() -> None:
    world = firm()
    world.partner("P", email="a@mail.example", name="Jan Novak")
    world.crowd("P", 6)
    world.buyer("P", "namesake", 20, record={"full_name": "Jan Novak", "email": "b@mail.example"})
    assert flags(world) == set()


@pytest.mark.parametrize(("namesakes", "buyers", "fires"), [(1, 1, True), (12, 1, False), (1, 40, False)])
def test_a_buyer_of_the_partners_name_fires_where_chance_hardly_explains_it(
    namesakes: int, buyers: int, fires: bool
) -> None:
    detector = PARTNER_DETECTORS["self_referral"]
    ties = ("same_destination", "same_instrument", "same_mailbox", "own_cluster", "one_owner", "shared_click_device")
    seen = pd.DataFrame({"buyers": [buyers], "same_name": 1, "namesakes": namesakes, "traders": 800})
    seen = seen.assign(**dict.fromkeys(ties, 0))
    assert bool(strength(detector.weigh(seen, detector.terms))[0] >= 0.5) is fires


def test_namesakes_of_a_partner_are_people_not_records() -> None:
    world = firm()
    world.partner("P", name="Jan Novak")
    for number, partner in enumerate(("P", "H1", "H2")):
        world.buyer(partner, f"namesake{number}", 20, record={"full_name": " jan NOVAK"})
    world.owners |= {"namesake1": "OX", "namesake2": "OX"}
    told = world.signals().query("subject_id == 'P' and detector == 'self_referral'")["evidence"]
    assert json.loads(told.iloc[0])["numbers"]["namesakes"] == 2


def test_made_up_buyers_come_at_once_and_never_trade() -> None:
    world = firm()
    world.partner("P")
    for number in range(9):
        world.buyer("P", f"fake{number}", 20 + number / 1000, trades=False, click={"device_id": "dev_farm"})
    assert ("P", "fake_cluster") in flags(world)


def test_a_campaign_whose_buyers_trade_is_no_cluster() -> None:
    world = firm()
    world.partner("P")
    for number in range(12):
        world.buyer("P", f"fan{number}", 20 + number / 300)
    assert flags(world) == set()


def test_buyers_of_last_week_are_not_idle_yet() -> None:
    world = firm()
    world.partner("P")
    for number in range(9):
        world.buyer("P", f"new{number}", 140 + number * 0.7, trades=False)
    assert flags(world) == set()


def test_buyers_passed_from_partner_to_partner() -> None:
    world = firm()
    world.partner("P")
    for number in range(7):
        world.buyer("P", f"again{number}", 100 + 3 * number)
        world.owners[f"again{number}"] = f"OH0t{number}"
    world.partner("Q")
    world.crowd("Q", 11)
    world.buyer("Q", "switched", 110)
    world.owners["switched"] = "OH1t1"
    assert flags(world) == {("P", "recycled_buyers")}


def test_a_partner_under_themselves() -> None:
    world = firm()
    world.partner("P", payout_destination="bank_p")
    world.partner("R", payout_destination="bank_p", parent_partner_id="P")
    world.partner("S", parent_partner_id="T")
    world.partner("T", parent_partner_id="S")
    world.partner("U", parent_partner_id="P")
    world.partner("V", email="vera.desk@gmail.com")
    world.partner("W", email="VeraDesk+team@googlemail.com", parent_partner_id="V")
    world.partner("X", email="vera@gmail.com", parent_partner_id="V")
    assert flags(world) == {(name, "sub_partner_loop") for name in ("R", "S", "T", "W")}


def test_a_code_that_escaped_abroad() -> None:
    world = firm()
    world.partner("P")
    world.crowd("P", 8)
    for number in range(30):
        world.buyer(
            "P",
            f"leak{number}",
            122 + number / 2,
            clicked=False,
            coupon="CODE",
            record={"country": ["VN", "BR"][number % 2]},
        )
    assert ("P", "coupon_leakage") in flags(world)
    steady = firm()
    steady.partner("P")
    for number in range(24):
        steady.buyer("P", f"radio{number}", 5.5 * number, clicked=False, coupon="CODE")
    assert flags(steady) == set()


@pytest.mark.parametrize(("clicks", "visitors"), [(400, 4), (3000, 3000)])
def test_clicks_that_nobody_made(clicks: int, visitors: int) -> None:
    """Also where each is fired in another person's browser, so that no visitor clicks twice."""
    world = firm()
    world.partner("P")
    for number in range(14):
        world.buyer("P", f"stuffed{number}", 10 + 7 * number, delay_s=4)
    for number in range(clicks):
        world.rows["clicks"].append(
            {
                "click_id": f"X{number}",
                "partner_id": "P",
                "occurred_at": START,
                "device_id": f"seen_{number % visitors}",
            }
        )
    assert ("P", "click_stuffing") in flags(world)


def test_every_detector_answers_five_questions() -> None:
    for detector in PARTNER_DETECTORS.values():
        answers = detector.answers
        assert all((answers.behaviour, answers.data, answers.assumes, answers.fails, answers.respond))
        assert detector.subject == "partner"
