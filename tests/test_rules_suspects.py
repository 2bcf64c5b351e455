"""The pass that clears trades never clears a guilty one: rules say the same with it and without it."""

from __future__ import annotations

import random
from typing import Any

import pytest

from models import set_rules
from pipelines.score import judged_accounts
from tests.rule_world import START, Account, Trade, World, engine, keep_everything, rulebook
from tests.test_rules_oracles import LOOSE, NUDGES, OTHERS, STEPS
from tests.test_rules_verdicts import LATER

SYMBOLS = ("EURUSD", "EURUSD", "USDJPY", "XAUUSD", "ODDITY")
NEWS = [{"event_id": "N", "occurs_at": START + STEPS[-1] * NUDGES[2], "currency": "USD", "impact": "high"}]


def book(draw: random.Random, number: int) -> Account:
    """An account of trades that crowd together: many ties, stacks and rows of losses."""
    made, at = [], START
    for place in range(draw.choice([0, 1, 12, 40])):
        at += draw.choice([0, 0, 1, 60, 61, 3600, 90_000]) * NUDGES[2] * 1_000_000
        held = draw.choice([None, 0, 1, 59, 60, 61, 3600, 90_000])
        closed_at = None if held is None else at + held * NUDGES[2] * 1_000_000
        price = draw.choice([1.0, 1.1, 1.2])
        halved = [(at + held * NUDGES[2] * 500_000, "-0.25", draw.choice(["-400", "200"]))] if held and held > 1 else []
        made.append(
            Trade(
                f"t{draw.randrange(100)}-{place}",
                at,
                closed_at,
                draw.choice(SYMBOLS),
                draw.choice(["buy", "sell"]),
                draw.choice(["0.5", "1", "1.01", "2"]),
                price,
                draw.choice([price, price + 0.1]),
                draw.choice(["-100", "-150.01", "-50", "0", "100"]),
                draw.choice(["0", "-0.01"]),
                draw.choice([None, price - 0.01, price - 0.005]),
                adds=halved if draw.random() < 0.3 else [],
            )
        )
    ended_at = draw.choice([None, None, START + 2 * 86_400 * 1_000_000 * NUDGES[2]])
    stage, initial = draw.choice(["evaluation_1", "funded"]), draw.choice(["50000", "100000"])
    return Account(f"A{number}", made, stage, initial=initial, ended_at=ended_at)


def found(world: World) -> list[tuple[Any, ...]]:
    """Every occurrence of every rule over an account's own trades."""
    connection = engine(world)
    set_rules.judge(connection, judged_accounts(connection), rulebook(world), world.as_of)
    return connection.execute("from decided.occurrences order by all").fetchall()


@pytest.mark.parametrize("terms", [LOOSE, OTHERS], ids=["loose", "others"])
def test_what_is_cleared_is_innocent(terms: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards every bound of the pass: with all trades kept the rules find nothing more."""
    draw = random.Random(13)
    worlds = [World([book(draw, n) for n in range(25)], terms, LATER, news=NEWS)]
    cleared = [found(world) for world in worlds]
    keep_everything(monkeypatch)
    assert [found(world) for world in worlds] == cleared
    assert {row[1] for rows in cleared for row in rows} >= set(set_rules.OWN) - {"symbols", "login_country"}


def test_a_quiet_account_is_cleared() -> None:
    """Guards that the pass is worth its while: a trade that breaks nothing is not looked into."""
    hour = 3600 * 1_000_000 * NUDGES[2]
    trades = [Trade("a", START + 9 * hour, START + 10 * hour, lots="0.5", stop_loss=1.099)]
    world = World([Account("A", trades)], LOOSE, START + 11 * hour)
    connection = engine(world)
    set_rules.judge(connection, judged_accounts(connection), rulebook(world), world.as_of)
    assert connection.execute("select count(*) from decided.suspects").fetchall() == [(0,)]
