"""What is taken from an earlier look is what a rule would find if it looked again."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from models import set_rules
from models.set_rules import OVER_ALL, OWN, TOLD_AT_END
from pipelines.score import judged_accounts
from tests.rule_world import World, engine, rulebook
from tests.test_rules_oracles import LOOSE, OTHERS, world
from tests.test_rules_suspects import book

Row = tuple[Any, ...]
COLUMNS = "account_id, rule, happened_at, outcome, effect, trade_id, allowed, observed, detail"


def worlds(terms: str) -> list[World]:
    """Accounts that go on, some with log-ins, some that trade on every limit."""
    drawn = world(random.Random(5), terms)
    crowded = [book(random.Random(number), number) for number in range(100, 115)]
    return [replace(drawn, accounts=[replace(one, ended_at=None) for one in (*drawn.accounts[:25], *crowded)])]


def found(world: World, connection: Any, ends: dict[str, Any]) -> list[Row]:
    """Every occurrence of every rule where accounts end as said."""
    ended = pd.DataFrame(list(ends.items()), columns=["account_id", "ended_at"])
    set_rules.register_ends(connection, ended.assign(passed=False))
    set_rules.judge(connection, judged_accounts(connection), rulebook(world), world.as_of)
    rows: list[Row] = connection.execute(f"select {COLUMNS} from decided.occurrences order by all").fetchall()
    return rows


def told(rows: list[Row]) -> list[Row]:
    """Occurrences as far as they are the same whenever a rule looks."""
    return sorted(row[:7] if row[1] in TOLD_AT_END else row for row in rows if row[1] not in OVER_ALL)


@pytest.mark.parametrize("terms", [LOOSE, OTHERS], ids=["loose", "others"])
def test_what_a_rule_finds_up_to_an_instant_does_not_hang_on_what_follows(terms: str) -> None:
    """Guards that a rule need not look again at an account that ended sooner, at every instant that could matter."""
    draw, rules = random.Random(7), set[str]()
    for one in worlds(terms):
        connection = engine(one)
        whole = found(one, connection, {})
        instants = {
            account.account_id: [at for t in account.trades for at in (t.opened_at, t.closed_at) if at is not None]
            + [row[2] for row in whole if row[0] == account.account_id]
            for account in one.accounts
        }
        for _ in range(2):
            ends = {account: draw.choice(listed) for account, listed in instants.items() if listed}
            cut = [row for row in whole if row[2] <= ends.get(row[0], row[2])]
            sooner = found(one, connection, ends)
            assert told(sooner) == told(cut)
            assert sorted(sooner) != sorted(cut), "rules that judge at the end judge another one"
            rules |= {row[1] for row in sooner}
    assert rules >= set(OWN) - {"time_limit", "inactivity", *OVER_ALL}, "every rule is found in accounts cut short"
