"""The profit that is still to be shared is one figure: of the review, of what is owed now, and of every day before."""

from __future__ import annotations

import datetime as dt
import json
import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from models import catalogue, liability
from models.payouts import spells
from sql import relations
from tests.builders import Row
from tests.payout_world import DAY, NOW, START, feed, operation, product, request, reviewed, settlement, trade, world

SEED, ACCOUNTS, LAST_DAY = 4, 24, 57.0
INITIAL = 1_000_000
PLACES = {"USD": 2, "EUR": 2, "JPY": 0}
RATES = {"USD": 1.0, "EUR": 1.125, "JPY": 0.0065}
TERMS = 'holding_time = 7200\nsplit = { percent = 80 }\npayout = { cycle_start = "opened" }'


@dataclass
class Life:
    """An account whose money is told as it happens and counted beside it, in minor units: what moved its balance, what
    was put in, what is promised from when to when, and what is void from when on."""

    number: int
    currency: str
    opened: float = 0.0
    reset_of: int | None = None
    ends: float | None = None
    moves: list[tuple[float, int]] = field(default_factory=list)
    put_in: list[tuple[float, int]] = field(default_factory=list)
    promised: list[tuple[float, float, int]] = field(default_factory=list)
    void: list[tuple[float, int]] = field(default_factory=list)
    in_question: list[tuple[float, float]] = field(default_factory=list)
    deals: list[Row] = field(default_factory=list)
    asks: list[Row] = field(default_factory=list)
    sent: list[Row] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"A{self.number}"

    def said(self, minor: int) -> str:
        """An amount as it is told."""
        return str(Decimal(minor).scaleb(-PLACES[self.currency]))

    def trade(self, day: float, profit: int, hours: float) -> None:
        number = 1000 * self.number + len(self.deals)
        self.deals += trade(number, day, self.said(profit), hours, self.name)
        self.moves.append((day + hours / 24, profit))

    def operation(self, day: float, amount: int, comment: str = "") -> None:
        self.deals.append(operation(1000 * self.number + len(self.deals), day, self.said(amount), comment, self.name))
        self.moves.append((day, amount))

    def transfer(self, day: float, payout: str, profit: int, status: str) -> None:
        more = {"currency": self.currency, "status": status, "destination": f"bank_{self.number}"}
        name = 1000 * self.number + len(self.sent)
        self.sent.append(settlement(name, payout, day, self.said(profit * 8 // 10), **more))

    def lives(self, day: float) -> bool:
        return self.opened <= day and (self.ends is None or day < self.ends)

    def profit(self, day: float) -> int:
        """What is still to be shared at an instant."""
        stood = sum(amount for at, amount in self.moves if at <= day)
        put_in = sum(amount for at, amount in self.put_in if at <= day)
        promised = sum(amount for since, until, amount in self.promised if since <= day < until)
        return stood - put_in - promised - next((level for at, level in reversed(self.void) if at <= day), 0)


def live(number: int, draw: random.Random, opened: float = 0.0, reset_of: int | None = None) -> Life:
    """A life drawn at random: trades of which some are too short to count, money put in, taken and corrected, and
    payouts that wait, come back, are sent and booked in either order or never."""
    one = Life(number, draw.choice(list(PLACES)), opened, reset_of)
    day, short, asked, first = opened + 1.0, 0, 0, True
    last = LAST_DAY - 8 if opened or draw.random() < 0.8 else draw.uniform(12, 35)
    while day < last:
        for _ in range(draw.randint(1, 3)):
            profit, hours = 5 * draw.randint(-3_000, 12_000), draw.choice([1.0, 5.0, 5.0])
            one.trade(day + 0.1, profit, hours)
            short += max(profit, 0) if hours == 1.0 else 0
            day += 1
        if draw.random() < 0.35:
            one.operation(day + 0.1, amount := 5 * draw.randint(2_000, 30_000), "growth")
            one.put_in.append((day + 0.1, amount))
            day += 1
        if first and draw.random() < 0.2 and one.profit(day) > 20_000:
            one.operation(day + 0.1, -5 * draw.randint(200, 4_000))  # nobody asked for it
            day, short = day + 1, 0
        first = False
        there = one.profit(day)
        if there < 20_000:
            continue
        profit = 5 * draw.randint(there // 20, there // 5 if draw.random() < 0.8 else there // 3)
        due = max(min(profit, there) - short, 0)
        asked += 1
        payout = f"Q{number}-{asked}"
        one.asks.append(request(payout, day + 0.3, one.said(profit), one.name, f"bank_{number}"))
        was = one.void[-1][1] if one.void else 0
        if due < 1_000:
            day += 2
            continue
        match draw.choice(["waits", "returned", "sent", "sent", "booked", "booked", "booked first", "put back"]):
            case "waits":
                pass
            case "returned":
                one.transfer(day + 1.2, payout, due, "returned")
            case "put back":
                one.operation(day + 1.1, -due)
                one.transfer(day + 2.2, payout, due, "returned")
                one.operation(day + 3.1, due)
                one.in_question.append((day + 1.1, day + 3.1))
            case outcome:
                since = day + (1.1 if outcome == "booked first" else 1.2)
                drew = due if outcome == "sent" or draw.random() < 0.5 else min(profit, there)
                if outcome == "sent":
                    one.transfer(day + 1.2, payout, due, "sent")
                    one.promised.append((since, 99.0, due))
                elif outcome == "booked":
                    one.transfer(day + 1.2, payout, due, "settled")
                    one.operation(day + 3.1, -drew)
                    one.promised.append((since, day + 3.1, drew))
                else:
                    one.operation(day + 1.1, -drew)
                    one.transfer(day + 2.2, payout, due, "settled")
                one.void.append((since, max(was + short - (drew - due), 0)))
                short = 0
        day += 4
        if one.void and (void := one.void[-1][1]) and draw.random() < 0.4:
            if draw.random() < 0.5:
                one.void.append((day + 0.2, 0))
                one.operation(day + 0.2, -void, "correction")
            else:
                one.operation(day + 0.2, -5 * draw.randint(10, 900), "correction of a price")
            day += 1
    if last < LAST_DAY - 8:
        one.ends = day + 0.1 + 5 / 24
        one.trade(day + 0.1, -200_000 - sum(amount for _, amount in one.moves), 5.0)
    return one


def firm() -> list[Life]:
    """Lives, those that ended early each followed by a reset."""
    draw = random.Random(SEED)
    lives = [live(number, draw) for number in range(1, ACCOUNTS + 1)]
    for one in [one for one in lives if one.ends is not None]:
        lives.append(live(len(lives) + 1, draw, float(int(one.ends or 0)) + 1, one.number))
    return lives


def told_of(lives: list[Life], until: float = 99.0, more: list[Row] | None = None) -> dict[str, list[Row]]:
    """The firm's feed as far as it is told by a day."""
    deals = [row for one in lives for row in one.deals]
    asks = [row for one in lives for row in one.asks] + (more or [])
    rows = feed(deals, asks, len(lives), settlements=[row for one in lives for row in one.sent], equity=[])
    for name, dated_by in (("deals", "executed_at"), ("payouts", "requested_at"), ("settlements", "settled_at")):
        rows[name] = [row for row in rows[name] if row[dated_by] <= START + until * DAY]
    rows["rates"] = [{"currency": one, "day": "2026-01-01", "rate_to_usd": str(rate)} for one, rate in RATES.items()]
    for place, one in enumerate(lives):
        money = {"currency": one.currency, "initial_balance": one.said(INITIAL)}
        rows["accounts"][place] = dict(rows["accounts"][place]) | money | {"opened_at": START + one.opened * DAY}
        if one.reset_of is not None:
            rows["challenges"][place] = dict(rows["challenges"][place]) | {"reset_of": f"C{one.reset_of}"}
    return rows


@pytest.fixture(scope="module")
def lives() -> list[Life]:
    return firm()


@pytest.fixture(scope="module")
def marts(lives: list[Life], tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    folder = tmp_path_factory.mktemp("plans")
    (folder / "plan.toml").write_text(product(TERMS), encoding="utf-8")
    with world(folder, told_of(lives)) as connection:
        spells.show(connection, catalogue.load(folder), NOW)
        liability.record(connection, NOW)
        yield connection


def minor(one: Life, amount: float) -> int:
    """An amount of a mart in minor units."""
    return round(amount * float(10 ** PLACES[one.currency]))


def test_the_firm_has_all_that_the_figures_are_about(lives: list[Life]) -> None:
    """Else the others would compare little."""
    assert {one.currency for one in lives} == set(PLACES)
    assert sum(bool(one.put_in) for one in lives) > 5 and sum(bool(one.in_question) for one in lives) > 3
    assert sum(any(until > 60 for _, until, _ in one.promised) for one in lives) > 3
    assert sum(any(level for _, level in one.void) for one in lives) > 5
    assert any(len(one.void) > 1 and one.void[-1][1] == 0 for one in lives)
    assert len(lives) > ACCOUNTS and any(one.reset_of for one in lives)


@pytest.mark.parametrize("day", [20.6, 37.6, 59.9])
def test_the_review_says_of_each_account_what_was_counted_by_hand(
    lives: list[Life], tmp_path: Path, day: float
) -> None:
    """Of a request made then, with what was known then; what was paid and came back later is in question meanwhile."""
    alive = [
        one for one in lives if one.lives(day) and not any(since <= day < until for since, until in one.in_question)
    ]
    asks = [request(f"QNOW-{one.number}", day, one.said(100), one.name, f"bank_{one.number}") for one in alive]
    (tmp_path / "plan.toml").write_text(product(TERMS), encoding="utf-8")
    told = reviewed(tmp_path, told_of(lives, day, asks), terms=None)
    found = {one.name: told[f"QNOW-{one.number}"]["checks"]["profit"]["numbers"]["withdrawable"] for one in alive}
    assert {name: Decimal(amount) for name, amount in found.items()} == {
        one.name: Decimal(one.said(one.profit(day))) for one in alive
    }


def test_what_is_accrued_is_the_traders_part_of_it(lives: list[Life], marts: duckdb.DuckDBPyConnection) -> None:
    relations.build(marts, "marts.liability", "marts.liability_accounts")
    found = dict(marts.execute("select account_id, earned from facts.funded_now").fetchall())
    alive = {one.name: one for one in lives if one.lives(60)}
    assert {name: minor(alive[name], amount) for name, amount in found.items()} == {
        name: one.profit(60) for name, one in alive.items()
    }
    owed: defaultdict[str, int] = defaultdict(int)
    for one in alive.values():
        owed[one.currency] += 8 * max(one.profit(60), 0)
    accrued = marts.execute("select currency, amount from marts.liability where kind = 'accrued'").fetchall()
    assert {currency: round(amount * 10 ** (PLACES[currency] + 1)) for currency, amount in accrued} == owed
    shown = dict(marts.execute("select account_id, accrued_usd from marts.liability_accounts where lives").fetchall())
    assert shown == pytest.approx(
        {name: 0.8 * max(one.profit(60), 0) * in_usd(one) for name, one in alive.items()}, abs=1e-6
    )


def in_usd(one: Life) -> float:
    """What a minor unit is in US dollars."""
    return float(RATES[one.currency] / 10 ** PLACES[one.currency])


def test_every_day_before_was_as_it_was_counted(lives: list[Life], marts: duckdb.DuckDBPyConnection) -> None:
    """The ends of days, and whenever a payout was promised or what rules took became void."""
    mine = {one.name: one for one in lives}
    found = marts.execute("select account_id, stands_at, profit from facts.funded_days").fetchall()
    assert len(found) > 10 * len(lives)
    wrong = [
        (name, day, minor(mine[name], profit), mine[name].profit(day))
        for name, at, profit in found
        if (day := (at - START) / DAY) < 60 and minor(mine[name], profit) != mine[name].profit(day)
    ]
    assert wrong == []
    weeks = marts.execute("select account_id, firm_day, profit_share from facts.funded_weeks").fetchall()
    assert len(weeks) > 5 * len(lives)
    for name, firm_day, share in weeks:
        ends = dt.datetime.combine(firm_day, dt.time(), dt.UTC) + DAY
        assert round(share * INITIAL) == mine[name].profit((ends - START) / DAY), (name, firm_day)


def test_the_overview_shows_the_same_fourteen_days(lives: list[Life], marts: duckdb.DuckDBPyConnection) -> None:
    relations.build(marts, "marts.overview")
    query = "select desk_id, trend, value from marts.overview where figure = 'accrued'"
    found = {desk: (json.loads(trend), value) for desk, trend, value in marts.execute(query).fetchall()}
    owed = [
        sum(0.8 * max(one.profit(day), 0) * in_usd(one) for one in lives if one.lives(day)) for day in range(47, 61)
    ]
    assert found.keys() == {"D1", "all"}
    for trend, value in found.values():
        assert trend == pytest.approx(owed, abs=1e-6) and value == pytest.approx(owed[-1], abs=1e-6)
    assert len(set(owed)) > 5


def test_what_is_at_stake_and_the_next_share_are_of_the_same_profit(
    lives: list[Life], marts: duckdb.DuckDBPyConnection
) -> None:
    relations.build(marts, "marts.risk_queue", "marts.accounts", "marts.payout_queue")
    alive = {one.name: one for one in lives if one.lives(60)}
    query = (
        "select account_id, stake from marts.risk_queue inner join marts.accounts using (account_id) where waiting = 0"
    )
    staked = marts.execute(query).fetchall()
    assert {name: minor(alive[name], stake) for name, stake in staked if name in alive} == {
        name: max(alive[name].profit(60), 0) for name, _ in staked if name in alive
    }
    left = marts.execute("select distinct account_id, profit_left from marts.payout_queue").fetchall()
    assert {name: minor(alive[name], amount) for name, amount in left if name in alive} == {
        name: alive[name].profit(60) for name, _ in left if name in alive
    }


# --- by hand, to the cent ---------------------------------------------------------------------------------------------


def days_of(folder: Path, rows: dict[str, list[Row]], terms: str, zone: str = "UTC") -> dict[float, float]:
    """The profit of the firm's one account, by the day on which it stood so; now is 60."""
    (folder / "plan.toml").write_text(product(terms).replace('zone = "UTC"', f'zone = "{zone}"'), encoding="utf-8")
    with world(folder, rows) as connection:
        spells.show(connection, catalogue.load(folder), NOW)
        liability.register_terms(connection)
        relations.build(connection, "facts.funded_days", "facts.funded_now")
        query = """
            select stands_at, profit from facts.funded_days
            union all
            select getvariable('as_of'), earned from facts.funded_now
            order by 1
        """
        found: list[tuple[dt.datetime, Any]] = connection.execute(query).fetchall()
    return {round((at - START) / DAY, 2): round(float(profit), 2) for at, profit in found}


MIDNIGHT = 16 / 24
"""From the hour at which a day of the test begins to the end of the date."""


def test_a_payout_is_owed_no_more_once_it_was_sent_and_nothing_is_taken_off_twice(tmp_path: Path) -> None:
    """1,000 earned; 400 sent on day 11, off the account on day 13."""
    rows = feed([*trade(1, 1, "1000", 5), operation(1, 13, "-400")], [request("Q1", 10, "400")])
    rows["settlements"] = [settlement(1, "Q1", 11, "320")]
    found = days_of(tmp_path, rows, "split = { percent = 80 }")
    assert found == {round(1 + MIDNIGHT, 2): 1000, 11: 600, round(13 + MIDNIGHT, 2): 600, 60: 600}


def test_what_only_waits_or_came_back_is_owed(tmp_path: Path) -> None:
    rows = feed(trade(1, 1, "1000", 5), [request("Q1", 10, "400"), request("Q2", 30, "300")])
    rows["settlements"] = [settlement(1, "Q1", 11, "320", status="returned")]
    found = days_of(tmp_path, rows, "split = { percent = 80 }")
    assert found == {round(1 + MIDNIGHT, 2): 1000, 60: 1000}


def test_what_a_rule_took_stays_void_until_a_correction_of_just_that_amount(tmp_path: Path) -> None:
    """Of 1,000 are 300 of a short trade; 500 were asked for, 200 paid on day 11 and at once off the account."""
    deals = [*trade(1, 1, "300", 1), *trade(2, 2, "700", 5), operation(1, 11, "-200")]
    asks = [request("Q1", 10, "500")]
    terms = "holding_time = 7200\nsplit = { percent = 80 }"
    corrected = [*deals, operation(2, 20, "-12.34", "correction"), operation(3, 30, "-300", "correction")]
    ends = [round(day + MIDNIGHT, 2) for day in (1, 2, 11, 20, 30)]
    for told, after in ((deals, [500]), (corrected, [500, 487.66, 487.66])):
        found = days_of(tmp_path, feed(told, asks), terms)
        assert found == dict(zip(ends, [300, 1000, *after], strict=False)) | {60: after[-1]}


@pytest.mark.parametrize(
    ("zone", "day"), [("UTC", 5.6), ("UTC", 5.7), ("Europe/Prague", 5.64), ("America/New_York", 5.8)]
)
def test_money_put_in_is_profit_on_no_day_wherever_the_firms_day_ends(tmp_path: Path, zone: str, day: float) -> None:
    rows = feed([*trade(1, 1, "100.10", 5), operation(1, day, "2500", "growth"), *trade(2, 9, "0.01", 5)], [])
    found = days_of(tmp_path, rows, "split = { percent = 80 }", zone)
    assert set(found.values()) == {100.1, 100.11} and found[60] == 100.11


def test_a_minimum_is_met_to_the_cent(tmp_path: Path) -> None:
    """10,050.05 less 10,000.00 is 50.05, whatever halves of it a computer can hold."""
    (tmp_path / "plan.toml").write_text(
        product("split = { percent = 80 }\npayout = { minimum = 50.05 }"), encoding="utf-8"
    )
    with world(tmp_path, feed(trade(1, 1, "50.05", 5), [])) as connection:
        spells.show(connection, catalogue.load(tmp_path), NOW)
        relations.build(connection, "facts.funded_now")
        assert connection.execute("select is_eligible from facts.funded_now").fetchall() == [(True,)]
