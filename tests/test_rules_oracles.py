"""Every rule file says what its oracle says, on random accounts whose values are drawn on the limits on purpose."""

from __future__ import annotations

import datetime as dt
import random
from typing import Any

import pytest

from models import set_rules
from tests.rule_oracles import ORACLES
from tests.rule_world import START, Account, Copies, Login, Trade, World, occurrences, rulebook

LOOSE = """
max_lots = { lots = 1, effect = "warn" }
max_exposure = { lots = 2, effect = "warn" }
lot_consistency = { low = 0.5, high = 1.5, merge_seconds = 60, min_trades = 3, effect = "warn" }
idea_risk = { percent = 0.1, merge_seconds = 60, effect = "warn" }
symbol_loss = { amount = 150, effect = "warn" }
stop_loss_required = { grace_seconds = 60, max_risk_percent = 1, effect = "warn" }
news_window = { before_seconds = 60, after_seconds = 120, exempt_after_seconds = 3600, effect = "warn" }
weekend = { cutoff = "Fri 16:45", effect = "warn" }
overnight = { cutoff = "16:45", zone = "Europe/London", effect = "warn" }
inactivity = { days = 3, warn_days = 2, effect = "warn" }
holding_time = { seconds = 60, effect = "warn" }
holding_share = { seconds = 60, max_share_trades = 50, min_trades = 2, effect = "warn" }
hedging = { min_overlap_seconds = 60, opposed = [["GBPUSD", "EURUSD"]], effect = "warn" }
martingale = { multiple = 2, losses = 2, within_seconds = 3600, effect = "warn" }
grid = { layers = 1, effect = "warn" }
adding_to_losers = { multiple = 1.01, effect = "warn" }
hyperactivity = { trades_per_day = 2, effect = "warn" }
time_limit = { days = 4, effect = "warn" }
symbols = { allowed = ["EURUSD", "USDJPY"], effect = "warn" }
margin = { percent = 2.2, leverage = 100, effect = "warn" }
allocation_cap = { amount = 150000, effect = "warn" }
login_country = { allowed = ["DE", "FR"], travel_seconds = 3600, effect = "warn" }
login_address = { max_addresses = 2, max_owners = 1, known = ["10.0.0.3"], effect = "warn" }
copy_own_accounts = "challenge_only"
"""
OTHERS = """
max_lots = { lots = 0.5, symbols = ["EURUSD"], effect = "warn" }
max_exposure = { lots = 1, per = "symbol", effect = "warn" }
lot_consistency = { merge_seconds = 0, min_trades = 1, effect = "warn" }
idea_risk = { amount = 100, merge_seconds = 0, effect = "warn" }
symbol_loss = { percent = 0.1, effect = "warn" }
stop_loss_required = { grace_seconds = 0, effect = "warn" }
news_window = { before_seconds = 0, after_seconds = 60, impact = "medium", applies = "open", effect = "warn" }
weekend = { cutoff = "Sun 12:00", zone = "Asia/Tokyo", effect = "warn" }
overnight = { cutoff = "09:00", zone = "UTC", effect = "warn" }
inactivity = { days = 1, effect = "warn" }
holding_time = { seconds = 61, effect = "warn" }
holding_share = { seconds = 3600, min_average_winner_seconds = 5400, min_trades = 1, effect = "warn" }
hedging = { together = [["GBPUSD", "EURUSD"]], effect = "warn" }
martingale = { multiple = 1, losses = 1, within_seconds = 60, effect = "warn" }
grid = { layers = 2, losing_only = false, effect = "warn" }
adding_to_losers = { multiple = 0, effect = "warn" }
hyperactivity = { trades_per_day = 1, effect = "warn" }
time_limit = { days = 2, starts = "first_trade", effect = "warn" }
symbols = { prohibited = ["USDJPY", "GBPUSD"], effect = "warn" }
margin = { percent = 1.1, leverage = 100, effect = "warn" }
allocation_cap = { accounts = 1, effect = "warn" }
login_country = { prohibited = ["US"], home_only = true, effect = "warn" }
login_address = { max_owners = 2, effect = "warn" }
copy_own_accounts = { policy = "prohibited", min_strength = 0.8 }
"""

# steps between instants meet every time limit of the terms exactly, and a microsecond to either side
STEPS = [0, 0, 1, 59, 60, 61, 120, 3599, 3600, 3601, 86400, 172800, 259200]
ACCOUNTS = 40
TRADERS = [f"T{number}" for number in range(12)]
NUDGES = [dt.timedelta(0), dt.timedelta(0), dt.timedelta(microseconds=1), dt.timedelta(microseconds=-1)]


def trades(draw: random.Random) -> list[Trade]:
    """A few positions one after another, close enough in time, lots and money to meet the limits."""
    made: list[Trade] = []
    at = START + dt.timedelta(hours=draw.choice([9, 15, 16, 21]), minutes=draw.choice([0, 45]))
    for place in range(draw.randrange(10)):
        at += dt.timedelta(seconds=draw.choice(STEPS)) + draw.choice(NUDGES)
        span = draw.choice([None, *STEPS])
        held = None if span is None else dt.timedelta(seconds=span) + max(draw.choice(NUDGES), NUDGES[0])
        price = draw.choice([1.0, 1.1, 1.2])
        made.append(
            Trade(
                f"t{place}",
                at,
                None if held is None else at + held,
                draw.choice(["EURUSD", "EURUSD", "GBPUSD"]),
                draw.choice(["buy", "buy", "sell"]),
                draw.choice(["0.5", "0.99", "1", "1.01", "2"]),
                price,
                price,
                draw.choice(["-100", "-100.01", "-50", "-150", "-150.01", "0", "50", "100"]),
                draw.choice(["0", "0", "-0.01"]),
                draw.choice([None, 0.0, price - 0.01, price - 0.0101, price - 0.005]),
                draw.choice([None, price + 0.01]),
            )
        )
    return made


def account(draw: random.Random, place: int) -> Account:
    """An account of one of a few traders, ended or not."""
    return Account(
        f"A{place}",
        trades(draw),
        draw.choice(["evaluation_1", "funded"]),
        "USD",
        draw.choice(["50000", "100000"]),
        START + dt.timedelta(days=draw.choice([0, 0, 1])),
        draw.choice([None, None, START + dt.timedelta(days=1), START + dt.timedelta(days=3, hours=9)]),
        draw.choice(TRADERS),
    )


def world(draw: random.Random, terms: str) -> World:
    """Many accounts of traders of whom two are one owner, with news on and beside the minute of trades; some copy."""
    accounts = [account(draw, place) for place in range(ACCOUNTS)]
    executed = [t.opened_at for a in accounts for t in a.trades]
    news: list[dict[str, Any]] = [
        {
            "event_id": f"N{place}",
            "occurs_at": draw.choice(executed) + dt.timedelta(seconds=draw.choice([-120, 0, 60, 61])),
            "currency": draw.choice(["USD", "EUR", "GBP", "JPY"]),
            "impact": draw.choice(["high", "medium", "low"]),
        }
        for place in range(ACCOUNTS)
    ]
    logins = [
        Login(
            draw.choice(TRADERS),
            START + dt.timedelta(seconds=draw.choice([0, 86400]) + sum(draw.choices(STEPS, k=3))),
            f"10.0.0.{draw.randrange(6)}",
            draw.choice([None, "DE", "DE", "FR", "US"]),
            draw.choice([None, None, "A1", "A2"]),
        )
        for _ in range(3 * ACCOUNTS)
    ]
    logins = list({(one.trader_id, one.at, one.ip): one for one in logins}.values())
    homes = {trader: draw.choice(["DE", "FR"]) for trader in TRADERS[:-1]}
    owners = {trader: f"O{max(place, 1)}" for place, trader in enumerate(TRADERS)}
    copies = []
    for _ in range(ACCOUNTS):
        one, other = draw.sample([account.account_id for account in accounts], 2)
        strength, relation = draw.choice([0.49, 0.5, 0.79, 0.8, 0.9]), draw.choice(["copy", "copy", "mirror"])
        copies.append(Copies(one, other, strength, relation, same_owner=draw.random() < 0.7))
    until = START + dt.timedelta(days=8)
    return World(accounts, terms, until, news=news, owners=owners, copies=copies, logins=logins, homes=homes)


def told(world: World) -> set[tuple[str, str, dt.datetime, str | None]]:
    """What the oracles say of a world, as the rule files say it."""
    book = rulebook(world)
    return {
        (account.account_id, rule, instant, trade)
        for account in world.accounts
        for rule, oracle in ORACLES.items()
        for terms in [book.terms("plan", 1, account.stage)]
        if terms is not None and rule in terms
        for instant, trade in oracle(account, terms[rule], world)
        if instant <= min(account.ended_at or world.as_of, world.as_of)
    }


@pytest.mark.parametrize("terms", [LOOSE, OTHERS], ids=["loose", "others"])
def test_rule_files_say_what_the_oracles_say(terms: str) -> None:
    """Guards every comparison of every rule file, and that the pass before them clears nobody guilty."""
    met: set[str] = set()
    for seed in range(2):
        drawn = world(random.Random(seed), terms)
        found = {(account, rule, at, trade) for account, rule, _, at, trade in occurrences(drawn)}
        expected = told(drawn)
        assert found - expected == set(), "found by the rule files alone"
        assert expected - found == set(), "found by the oracles alone"
        met |= {rule for _, rule, _, _ in expected}
    assert met == set(ORACLES), "a rule that nobody broke was not tested"


def test_every_rule_file_has_an_oracle() -> None:
    """A new rule comes with its oracle."""
    assert set(ORACLES) == {*set_rules.OWN, *set_rules.SHARED}
