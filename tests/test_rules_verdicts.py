"""What follows when a set-based rule is broken: strikes, effects, endings, evidence, and the scoring run around it."""

from __future__ import annotations

import dataclasses
import datetime as dt
import random
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest

from models import catalogue, set_rules
from pipelines.land import land_paths
from pipelines.score import _TOUCHED_BY, ends_of, judged_accounts, score
from pipelines.score import judge as judge_all
from sql import schema
from sql.warehouse import Warehouse, read_frame
from tests.builders import insert, write_firm
from tests.rule_world import (
    START,
    Account,
    Copies,
    Login,
    Trade,
    World,
    deal_rows,
    engine,
    judge,
    lake_rows,
    occurrences,
    rows,
    rulebook,
)  # fmt: skip

LATER = START + dt.timedelta(days=20)


def at(hours: float, days: int = 0) -> dt.datetime:
    """An instant of the tests' first day, or of a later one."""
    return START + dt.timedelta(days=days, hours=hours)


def short(name: str, opened_at: dt.datetime) -> Trade:
    """A trade held for half a minute."""
    return Trade(name, opened_at, opened_at + dt.timedelta(seconds=30), profit="10")


def said(world: World) -> list[tuple[str, str, str, dt.datetime]]:
    """Verdicts as (rule, outcome, effect, instant)."""
    return [(row["rule"], row["outcome"], row["effect"], row["happened_at"]) for row in rows(judge(world))]


def test_strikes_are_tolerated_and_then_no_more() -> None:
    """Guards the number of strikes on both sides and that a tolerated one has its own effect."""
    trades = [short(f"t{n}", at(9 + n)) for n in range(3)]
    terms = 'holding_time = { seconds = 60, strikes = 2, strike_effect = "split_cut" }'
    found = rows(judge(World([Account("A", trades)], terms, LATER)))
    assert [(row["outcome"], row["effect"]) for row in found] == [("warned", "split_cut"), ("breached", "strip")]
    assert [row["evidence"]["occurrences_in_all"] for row in found] == [2, 1]
    assert [one["trade_id"] for row in found for one in row["evidence"]["occurrences"]] == ["t0", "t1", "t2"]


@pytest.mark.parametrize("effect", ["pause", "strip", "split_cut", "wait", "warn"])
def test_effects_that_do_not_end_an_account(effect: str) -> None:
    """Guards that every effect but terminate leaves the account going on, and is what the verdict says."""
    world = World(
        [Account("A", [short("a", at(9)), short("b", at(9, 1))])],
        f'holding_time = {{ seconds = 60, effect = "{effect}" }}',
        LATER,
    )
    found = judge(world)
    assert list(found.verdicts["effect"]) == [effect, effect]
    assert found.terminations.empty


def test_a_pause_begins_with_the_first_breach_of_a_firm_day() -> None:
    """Guards that an account is paused once a firm day, from the first breach on."""
    trades = [short("a", at(9)), short("b", at(10)), short("c", at(9, 1))]
    found = judge(World([Account("A", trades)], 'holding_time = { seconds = 60, effect = "pause" }', LATER))
    assert list(found.pauses["happened_at"]) == [trades[0].closed_at, trades[2].closed_at]


def test_one_verdict_a_firm_day_names_all_that_happened() -> None:
    """Guards that a busy day does not flood the pages, and that a new firm day speaks again."""
    trades = [short("a", at(9)), short("b", at(10)), short("c", at(9, 1))]
    found = rows(judge(World([Account("A", trades)], "holding_time = 60", LATER)))
    assert [row["happened_at"].date() for row in found] == [START.date(), at(0, 1).date()]
    assert [one["trade_id"] for one in found[0]["evidence"]["occurrences"]] == ["a", "b"]
    assert found[0]["evidence"]["sentence"].endswith("The same happened 1 more time that day.")


@pytest.mark.parametrize(
    ("minute", "firm_day", "opened_at"),
    [(4, "2026-03-02", at(0)), (5, "2026-03-03", at(24)), (6, "2026-03-03", at(24))],
)
def test_a_verdict_is_of_the_firm_day_of_its_own_version(minute: int, firm_day: str, opened_at: dt.datetime) -> None:
    """Guards the reset on both sides, amid a quarter of an hour, whatever the clock of a version not yet bought."""
    opened = at(24) + dt.timedelta(minutes=minute)
    world = World(
        [Account("A", [Trade("a", opened)])], 'max_lots = { lots = 0.5, effect = "warn" }', LATER, reset="00:05",
        later_zone="Asia/Tokyo",
    )  # fmt: skip
    [found] = rows(judge(world))
    assert found["evidence"]["firm_day"] == firm_day
    assert dt.datetime.fromisoformat(found["evidence"]["day_opened_at"]) == opened_at + dt.timedelta(minutes=5)


def test_an_ended_account_has_no_later_verdict() -> None:
    """Guards the end on both sides: what happens at its instant counts, what comes a microsecond later does not."""
    trades = [short("a", at(9))]
    close = trades[0].closed_at
    assert close is not None
    for ended_at, count in ((close, 1), (close - dt.timedelta(microseconds=1), 0)):
        world = World([Account("A", trades, ended_at=ended_at)], "holding_time = 60", LATER)
        assert len(said(world)) == count


def test_nothing_ends_an_account_twice() -> None:
    """Guards that the walk's end at the same instant goes first, and one rule alone ends an account."""
    trades = [short("a", at(9))]
    terms = 'holding_time = { seconds = 60, effect = "terminate" }\ngrid = { layers = 1 }'
    close = trades[0].closed_at
    assert close is not None
    for as_of in (LATER, close):
        assert said(World([Account("A", trades, ended_at=close)], terms, as_of)) == []
    both = 'holding_time = { seconds = 60, effect = "terminate" }\nidea_risk = { amount = 5, effect = "terminate" }'
    losing = [dataclasses.replace(trades[0], profit="-10")]
    assert [row[0] for row in said(World([Account("A", losing)], both, LATER))] == ["holding_time"]


def test_who_passes_in_the_instant_in_which_a_rule_ends_the_account_has_not_passed() -> None:
    """Guards the pass on both sides, and that in the last instant of the time allowed one is in time."""
    trades = [short("a", at(9))]
    close = trades[0].closed_at
    assert close is not None
    terms = 'holding_time = { seconds = 60, effect = "terminate" }'
    for ended_at, ending in ((close, ["holding_time"]), (close - dt.timedelta(microseconds=1), [])):
        world = World([Account("A", trades, ended_at=ended_at, passed=True)], terms, LATER)
        assert list(judge(world).terminations["rule"]) == ending
    for rule in ("time_limit", "inactivity"):
        passed, late = Account("A", ended_at=at(24), passed=True), Account("B")
        assert list(judge(World([passed, late], f"{rule} = 1", LATER)).terminations["account_id"]) == ["B"]


@pytest.mark.parametrize(
    ("status", "late", "ending"), [("closed", 0, True), ("closed", 1, False), ("breached", 0, False)]
)
def test_the_instant_of_closing_is_still_judged_by_rules(status: str, late: int, ending: bool) -> None:
    """Guards that what the firm closes ends by what was broken at that instant, not by what came later."""
    closing = short("a", at(9)).closed_at
    assert closing is not None
    ended_at = closing - dt.timedelta(microseconds=late)
    end = ends_of(pd.DataFrame({"account_id": ["A"], "status": [status], "status_at": [ended_at]})).iloc[0]
    account = Account("A", [short("a", at(9))], ended_at=ended_at, passed=bool(end["passed"]))
    found = judge(World([account], 'holding_time = { seconds = 60, effect = "terminate" }', LATER))
    assert list(found.terminations["rule"]) == ["holding_time"] * ending


def test_a_pass_and_an_end_by_a_rule_at_one_instant_are_told_as_the_end() -> None:
    """Guards that walk and rules together tell one of the two, for a trade held too short by a microsecond and not."""
    held = [dt.timedelta(seconds=60), dt.timedelta(seconds=60, microseconds=-1)]
    accounts = [
        Account(name, [Trade(name, at(9), at(9) + time, profit="10000")]) for name, time in zip("AB", held, strict=True)
    ]
    accounts.append(Account("C", [Trade("C", at(9), at(24), profit="10000")]))
    terms = 'profit_target = { percent = 10 }\ntime_limit = 1\nholding_time = { seconds = 60, effect = "terminate" }'
    world = World(accounts, terms, LATER)
    connection = engine(world)
    told = judge_all(connection, judged_accounts(connection), rulebook(world), LATER)
    assert dict(zip(told.status["account_id"], told.status["status"], strict=True)) == {
        "A": "passed", "B": "breached", "C": "passed",
    }  # fmt: skip
    said = told.verdicts[["account_id", "rule", "outcome", "happened_at"]].itertuples(index=False, name=None)
    assert sorted(said) == [
        ("A", "profit_target", "passed", at(9) + held[0]),
        ("B", "holding_time", "breached", at(9) + held[1]),
        ("C", "profit_target", "passed", at(24)),
    ]


def test_a_rule_that_ends_an_account_silences_what_comes_later() -> None:
    """Guards that terminations are final and that statistics over the stage stop at them."""
    trades = [Trade("a", at(9), at(10), profit="-2000"), short("b", at(11)), short("c", at(12))]
    terms = "idea_risk = { percent = 1 }\nholding_time = 60\n"
    terms += "holding_share = { seconds = 60, max_share_trades = 10, min_trades = 1 }"
    found = judge(World([Account("A", trades)], terms, LATER))
    assert [(row["rule"], row["effect"]) for row in rows(found)] == [("idea_risk", "terminate")]
    ended = found.terminations.iloc[0]
    assert (ended["rule"], ended["status"], ended["happened_at"]) == ("idea_risk", "breached", at(10))


def test_a_rule_that_ends_an_account_by_opening_says_so() -> None:
    """Guards that what is open at an account's end counts as open there: the ending trade is judged against it."""

    def account(name: str, *added: tuple[str, str]) -> Account:
        layers = [("buy", "1"), *added]
        prices = [1.1 - 0.01 * place for place in range(len(layers))]
        opened = [at(9 + place) for place in range(len(layers))]
        trades = [
            Trade(f"{name}{place}", opened[place], at(20), side=side, lots=lots, open_price=prices[place])
            for place, (side, lots) in enumerate(layers)
        ]
        return Account(name, trades)

    accounts = [account("A", ("buy", "1"), ("buy", "1")), account("B", ("buy", "2")), account("C", ("sell", "1"))]
    terms = (
        'grid = { layers = 2, effect = "terminate" }\nadding_to_losers = { multiple = 1, effect = "terminate" }\n'
        'hedging = { min_overlap_seconds = 0, effect = "terminate" }'
    )
    found = judge(World(accounts, terms, LATER))
    ended = [("A", "grid", at(11)), ("B", "adding_to_losers", at(10)), ("C", "hedging", at(10))]
    for told in (found.terminations, found.verdicts):
        assert list(told[["account_id", "rule", "happened_at"]].itertuples(index=False, name=None)) == ended


@pytest.mark.parametrize("terms", ["inactivity = 10", "time_limit = 10"])
def test_rules_of_time_expire(terms: str) -> None:
    """Guards the status expired, and that nothing expires before its time."""
    found = judge(World([Account("A")], terms, at(0, 10)))
    assert list(found.terminations["status"]) == ["expired"]
    assert judge(World([Account("A")], terms, at(0, 10) - dt.timedelta(microseconds=1))).terminations.empty


def test_evidence_tells_a_dispute_everything() -> None:
    """Guards the sentence, numbers, rule text and version of a verdict."""
    trade = Trade("a", at(8), at(9), profit="-1000.01", side="sell")
    world = World([Account("A", [trade])], "idea_risk = { percent = 1 }", LATER, zone="Europe/Prague")
    evidence = rows(judge(world))[0]["evidence"]
    assert evidence["sentence"] == (
        "The sell idea in EURUSD had lost 1,000.01 USD, more than the 1,000.00 USD allowed, "
        "at 10:00:00 Prague on 2026-03-02."
    )
    assert evidence["numbers"] == {"observed": "1000.01", "allowed": "1000"}
    assert evidence["rule"]["merge_seconds"] == "300"
    assert (evidence["product"], evidence["product_version"], evidence["stage"]) == ("plan", 1, "evaluation_1")
    assert evidence["rule_text"].startswith("One trade idea may not lose more than 1 % of the initial balance")


def test_a_trade_near_one_release_is_told_once_with_what_was_published_and_how_near_counts() -> None:
    """Guards that the figures of one release, published together, are not told as the same thing happening again."""
    titles = (
        ("N2", "USD", "Payrolls"),
        ("N1", "USD", "Unemployment rate"),
        ("N3", "EUR", "Rate decision"),
        ("N4", "USD", ""),
    )
    news = [
        {"event_id": name, "occurs_at": at(9), "currency": currency, "impact": "high", "title": title}
        for name, currency, title in titles
    ]
    world = World(
        [Account("A", [Trade("a", at(8), at(9.025))])], "news_window = {}", LATER, news=news, zone="Europe/Prague"
    )
    evidence = rows(judge(world))[0]["evidence"]
    assert evidence["occurrences_in_all"] == 1
    assert evidence["sentence"] == (
        "Trade a in EURUSD was closed 90 s after Payrolls, Rate decision, Unemployment rate (EUR, USD), "
        "inside the 120 s that count, at 10:01:30 Prague on 2026-03-02."
    )


@pytest.mark.parametrize(
    ("terms", "sentence"),
    [
        (
            "inactivity = 10",
            "No trade was opened for 10 days after 09:00:00 New York on 2026-03-02, of the 10 allowed, "
            "at 10:00:00 New York on 2026-03-12.",
        ),
        (
            'time_limit = { days = 10, starts = "first_trade" }',
            "The stage was not passed within 10 days of 09:00:00 New York on 2026-03-02: "
            "they were over at 10:00:00 New York on 2026-03-12.",
        ),
        (
            'lot_consistency = { min_trades = 1, high = 0.9, effect = "warn" }',
            "1 lots in EURUSD (trade a, opened 09:00:00 New York on 2026-03-02) are more than the 0.9 that the average "
            "of 1 lots over 1 entries allows, as of 2026-03-02 09:00:00 New York.",
        ),
    ],
)
def test_every_instant_of_a_sentence_is_told_by_the_firms_clock(terms: str, sentence: str) -> None:
    """Guards against sentences of two zones, of which one has to be converted to be understood."""
    world = World([Account("A", [Trade("a", at(14), at(15))])], terms, at(0, 20), zone="America/New_York")
    assert [row["evidence"]["sentence"] for row in rows(judge(world))] == [sentence]


def test_every_rule_states_its_verdicts_in_a_sentence() -> None:
    """Guards that no rule leaves a gap in its words."""
    news = [{"event_id": "N", "occurs_at": at(9), "currency": "USD", "impact": "high"}]
    trades = [
        Trade("a", at(9), at(9.001), lots="3", profit="-900"),
        Trade("b", at(9.01), at(9.02), lots="3", profit="-900"),
        Trade("c", at(9.5), at(9, 8), lots="9", open_price=1.05, stop_loss=0.9),
        Trade("d", at(9.6), at(11), side="sell", lots="0.1"),
        Trade("e", at(9.7), at(11), open_price=1.0),
        Trade("f", at(9.8), at(11), open_price=1.0),
    ]
    terms = "\n".join(
        f'{rule} = {{ {fields}{", " if fields else ""}effect = "warn" }}'
        for rule, fields in {
            "max_lots": "lots = 1",
            "max_exposure": "lots = 4",
            "lot_consistency": "min_trades = 2",
            "idea_risk": "percent = 1",
            "symbol_loss": "amount = 10",
            "stop_loss_required": "max_risk_percent = 1",
            "news_window": "",
            "weekend": "",
            "overnight": "",
            "inactivity": "days = 5, warn_days = 2",
            "holding_time": "seconds = 60",
            "holding_share": "seconds = 60, max_share_trades = 10, min_trades = 1",
            "hedging": "",
            "martingale": "",
            "grid": "layers = 1",
            "adding_to_losers": "multiple = 0",
            "hyperactivity": "trades_per_day = 1",
            "time_limit": "days = 15",
            "symbols": 'prohibited = ["EURUSD"]',
            "margin": "percent = 1",
            "allocation_cap": "amount = 1, accounts = 1",
            "login_country": 'prohibited = ["DE"], home_only = true, travel_seconds = 60',
            "login_address": "max_addresses = 0, max_owners = 0",
            "copy_own_accounts": 'policy = "prohibited"',
        }.items()
    )
    accounts = [Account("A", trades, "funded", trader_id="T"), Account("B", (), "funded", trader_id="T")]
    logins = [Login("T", at(9), country="FR"), Login("T", at(9.01), country="DE")]
    world = World(accounts, terms, LATER, news=news, copies=[Copies("A", "B", 0.9)], logins=logins, homes={"T": "AT"})
    found = rows(judge(world))
    assert {row["rule"] for row in found} == {*set_rules.OWN, *set_rules.SHARED}
    for row in found:
        sentence = row["evidence"]["sentence"]
        assert sentence.endswith(".") and "None" not in sentence and "{" not in sentence, sentence


def test_copying_is_judged_by_policy_and_stage() -> None:
    """Guards who may copy: allowed everywhere, only in challenges, or nowhere; and how sure a copy must be."""
    for policy, stage, strength, count in (
        ("allowed", "funded", 0.9, 0),
        ("challenge_only", "evaluation_1", 0.9, 0),
        ("challenge_only", "funded", 0.9, 2),
        ("prohibited", "evaluation_1", 0.5, 2),
        ("prohibited", "evaluation_1", 0.49, 0),
    ):
        accounts = [Account("A", stage=stage), Account("B", stage=stage)]
        world = World(accounts, f'copy_own_accounts = "{policy}"', LATER, copies=[Copies("A", "B", strength)])
        assert len(said(world)) == count, (policy, stage, strength)


def test_an_owner_may_hold_exactly_the_cap() -> None:
    """Guards the allocation cap: over all accounts of one owner, ended ones not counted, to the cent."""

    def world(second: str, ended_at: dt.datetime | None = None, terms: str = "allocation_cap = 200000") -> World:
        first = Account("A", stage="funded", initial="100000", trader_id="T1", ended_at=ended_at)
        other = Account("B", stage="funded", initial=second, trader_id="T2", opened_at=at(1))
        return World([first, other], terms, LATER, owners={"T1": "O", "T2": "O"})

    assert said(world("100000")) == []
    assert [row[0] for row in said(world("100000.01"))] == ["allocation_cap"]
    assert said(world("100000.01", ended_at=at(1))) == []
    assert said(world("900000", terms="allocation_cap = { accounts = 2 }")) == []
    assert [row[0] for row in said(world("1", terms="allocation_cap = { accounts = 1 }"))] == ["allocation_cap"]
    assert said(world("1", at(1), "allocation_cap = { accounts = 1 }")) == []


def test_order_of_delivery_changes_nothing() -> None:
    """Guards against answers that hang on the order in which rows lie in the lake."""
    draw = random.Random(7)
    trades = [
        Trade(
            f"t{n}",
            at(9 + draw.randrange(60) / 60),
            at(10 + draw.randrange(60) / 60),
            side=draw.choice(["buy", "sell"]),
            lots=draw.choice(["0.5", "1", "2"]),
            profit=draw.choice(["-100", "50", "0"]),
        )
        for n in range(30)
    ]
    terms = "\n".join(
        [
            "martingale = {}",
            "grid = { layers = 2, losing_only = false }",
            "hedging = {}",
            "hyperactivity = 5",
            'max_exposure = { lots = 3, effect = "warn" }',
            'idea_risk = { amount = 100, effect = "warn" }',
        ]
    )
    given = occurrences(World([Account("A", trades)], terms, LATER))
    assert given
    for _ in range(2):
        draw.shuffle(trades)
        assert occurrences(World([Account("A", trades)], terms, LATER)) == given


def test_parts_of_a_rule_broken_on_one_day_are_told_apart() -> None:
    """Guards that a forbidden country and an impossible journey of one day are two verdicts, each with its repeats."""
    logins = [Login("T-A", at(hour), country=country) for hour, country in ((9, "DE"), (9.5, "FR"), (20, "FR"))]
    terms = 'login_country = { prohibited = ["FR"], travel_seconds = 3600 }'
    found = rows(judge(World([Account("A")], terms, LATER, logins=logins)))
    told = [(row["evidence"]["detail"]["part"], row["evidence"]["occurrences_in_all"]) for row in found]
    assert told == [("listed", 2), ("travel", 1)]
    assert "does not allow" in found[0]["evidence"]["sentence"] and "1 more time" in found[0]["evidence"]["sentence"]
    assert "after a log-in from DE" in found[1]["evidence"]["sentence"]
    assert [row["happened_at"] for row in found] == [at(9.5), at(9.5)]


def test_a_late_login_reaches_the_account_that_its_trader_named() -> None:
    """Guards incremental runs: how far a journey was hangs on the log-in before, of whoever names the account."""
    logins = [Login("other", at(9), country="DE", account_id="A")]
    world = World([Account("A"), Account("B")], "login_country = { travel_seconds = 3600 }", LATER, logins=logins)
    connection = engine(world)
    late = {"trader_id": "other", "occurred_at": at(8.5), "ip": "192.0.2.2", "account_id": None, "country": "FR"}
    insert(connection, "logins", [late])
    connection.execute("update lake.logins set _load_id = 2 where country = 'FR'")
    connection.execute("create table new_loads as select 2 as load_id")
    touched = connection.execute(_TOUCHED_BY["logins"]).fetchall()
    assert touched == [("A",)]


PLAN = """id = "plan"
name = "Plan"
[[versions]]
version = 1
effective_from = 2000-01-01T00:00:00Z
clock = { zone = "UTC", reset = "00:00", calendar = "fx" }
[versions.stages.evaluation_1]
profit_target = { percent = 1 }
max_loss = { percent = 10 }
daily_loss = { percent = 2 }
idea_risk = { percent = 1 }
holding_time = 60
inactivity = 10
hyperactivity = { trades_per_day = 1, effect = "pause" }
"""


def test_the_scoring_run_ends_accounts_by_set_based_rules(tmp_path: Path) -> None:
    """Guards the whole way: an idea too large ends the account before its target, an idle one expires, a hasty one
    rests, and while it rests it neither passes (E, until the reset) nor breaks its daily loss (F)."""
    trades = [Trade("1", at(9), at(10), profit="-1000.01"), Trade("2", at(11), at(12), profit="3000")]
    late = [Trade("3", at(9, 18), at(10, 18)), Trade("4", at(11, 18), at(12, 18))]
    resting = Account("D", late, opened_at=at(0, 17))
    gained = [Trade("5", at(9, 17), at(10, 17)), Trade("6", at(10.5, 17), at(11, 17), profit="1000")]
    lost = [Trade(str(n), at(n, 17), at(n + 0.5, 17), profit="-900") for n in (7, 8, 9)]
    others = [Account("E", gained, opened_at=at(0, 17)), Account("F", lost, opened_at=at(0, 17))]
    world = World([Account("A", trades), Account("B"), Account("C", [trades[1]]), resting, *others], "", LATER)
    feed = write_firm(tmp_path / "feed", {name: listed for name, listed in lake_rows(world).items() if listed})
    (feed / "desks.csv").write_text("desk_id,name,currency,time_zone\nD,Desk,USD,UTC\n", encoding="utf-8")
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "plan.toml").write_text(PLAN, encoding="utf-8")
    warehouse = Warehouse.open(tmp_path / "home")
    land_paths(warehouse, [feed])
    for full in (True, False):
        score(warehouse, catalogue.load(tmp_path / "book"), LATER, full=full)
        with warehouse.database.connect() as database:
            status = read_frame(database, schema.ACCOUNT_STATUS).set_index("account_id")
            verdicts = read_frame(database, schema.VERDICTS)
        told = {"A": "breached", "B": "expired", "C": "passed", "D": "paused", "E": "passed", "F": "active"}
        assert status["status"].to_dict() == told
        assert status["status_at"].to_dict()["A"] == at(10)
        assert status["balance"].to_dict()["A"] == Decimal("98999.99")
        assert status.loc["B", "status_at"] == at(0, 10)
        assert status.loc["D", "status_at"] == at(11, 18)
        assert status.loc["E", "status_at"] == status.loc["F", "status_at"] == at(0, 18)
        found = set(verdicts[["account_id", "rule", "outcome", "effect"]].itertuples(index=False, name=None))
        assert found == {
            ("A", "idea_risk", "breached", "terminate"),
            ("B", "inactivity", "breached", "terminate"),
            ("C", "profit_target", "passed", "pass"),
            ("D", "hyperactivity", "breached", "pause"),
            ("E", "hyperactivity", "breached", "pause"),
            ("E", "profit_target", "passed", "pass"),
            ("F", "hyperactivity", "breached", "pause"),
        }


def untold(deal: dict[str, object], **other: object) -> dict[str, object]:
    """A deal that does not say whether it opens or closes."""
    return deal | {"entry": None} | other


def found_in(trade: Trade, deals: list[dict[str, object]], terms: str) -> list[tuple[str, str | None]]:
    """What rules find where the deals of one trade are told otherwise."""
    world = World([Account("A", [trade])], terms, LATER)
    connection = engine(world)
    connection.execute("delete from lake.deals")
    insert(connection, "deals", deals)
    set_rules.judge(connection, judged_accounts(connection), rulebook(world), world.as_of)
    query = "select rule, trade_id from decided.occurrences order by all"
    return [(rule, trade_id) for rule, trade_id in connection.execute(query).fetchall()]


def test_positions_are_trades_though_their_deals_do_not_say_what_they_do() -> None:
    """Guards that `entry`, which a feed need not tell, is read from side and volume as the walk reads it."""
    trade = short("p", at(9))
    opening, closing = deal_rows("A", trade)
    assert found_in(trade, [opening, closing], "holding_time = 60") == [("holding_time", "p")]
    assert found_in(trade, [untold(opening), untold(closing)], "holding_time = 60") == [("holding_time", "p 1")]
    assert found_in(trade, [opening, untold(closing)], "holding_time = 60") == [("holding_time", "p 1")]


@pytest.mark.parametrize("silent", [False, True])
def test_a_stop_told_by_itself_is_told(silent: bool) -> None:
    """Guards that a stop told on a row of the position that neither opens nor closes it counts as one told later."""
    trade = Trade("p", at(9), at(10))
    opening, closing = deal_rows("A", trade)
    set_later = untold(opening, deal_id="p-sl", executed_at=at(9.02), side=None, volume=None, stop_loss=1.09)
    deals = [untold(one) if silent else one for one in (opening, closing)]
    terms = "stop_loss_required = { grace_seconds = 180 }"
    assert found_in(trade, deals, terms) == [("stop_loss_required", "p 1" if silent else "p")]
    assert found_in(trade, [*deals, set_later], terms) == []
