"""Every comparison of every rule file matters to a case: turned one notch, at least one case says otherwise."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import duckdb
import pytest
import yaml

from models import set_rules
from pipelines.score import judged_accounts
from sql import relations
from tests.rule_world import engine, keep_everything, rulebook
from tests.test_rules_cases import FILES, FOLDER, world

NOTCHES = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "=": "<>", "<>": "="}
COMPARISON = re.compile(r"(?<![<>=!])(<=|>=|<>|<|>|=)(?![<>=])|\bbetween\b|\bor\b")
SAME: dict[str, dict[str, str]] = {
    "adding_to_losers": {"and old.place <= new.place": "a trade does not lose against itself"},
    "grid": {
        "having count(*) >= accounts.layers": "only says where to look",
        "count(*) filter (where coalesce(opened_at > earlier_until, true)) over (": "a longer chain holds all",
    },
    "hedging": {
        "and opposite.place <= overlapping.place": "a trade is never on the other side of itself",
        "trades.side <> 'sell' as against": "which of two sides is called the other says nothing",
    },
    "max_exposure": {
        "accounts.product <> resets.product": "plans of one case file share their clock; the oracles have one plan",
    },
    "max_lots": {"trades.lots >= cast(terms.lots as decimal(18, 8))": "only says where to look"},
}
"""Turned comparisons that say the same and why, by rule: the line as it stands turned."""
LOOKED_INTO = re.compile(r"[^\n]*where rule = '[^\n]*")
"""Which accounts the pass before the rules kept: no comparison of the rule."""


def mutants(rule: str) -> Iterator[tuple[str, str]]:
    """The rule's file with one comparison turned, and the line in which it was."""
    text = relations.text(f"rules.{rule}")
    code = LOOKED_INTO.sub(lambda found: "#" * len(found[0]), text)
    code = re.sub(r"--[^\n]*|'[^'\n]*'", lambda found: "#" * len(found[0]), code)
    for found in COMPARISON.finditer(code):
        turned = {"between": "not between", "or": "and"}.get(found[0]) or NOTCHES[found[0]]
        mutant = text[: found.start()] + turned + text[found.end() :]
        line = mutant[mutant.rfind("\n", 0, found.start()) + 1 :].split("\n", 1)[0].strip()
        yield line, mutant


def killed(rule: str, text: str, connection: duckdb.DuckDBPyConnection, before: list[Any]) -> bool:
    """Whether any case is told otherwise by this text, or it does not run."""
    try:
        connection.execute(f"create or replace table rules.{rule} as {text}")
        return connection.execute(f"select * from rules.{rule} order by all").fetchall() != before
    except Exception:
        return True


@pytest.mark.slow
@pytest.mark.parametrize("rule", FILES)
def test_every_turned_comparison_is_noticed(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards that the cases argue every limit of a rule, on it and beside it, whatever the pass before it clears."""
    keep_everything(monkeypatch)
    monkeypatch.setattr(set_rules, "_judge_again", lambda *_: None)
    one = world(yaml.safe_load((FOLDER / f"{rule}.yaml").read_text(encoding="utf-8")))
    connection = engine(one)
    set_rules.judge(connection, judged_accounts(connection), rulebook(one), one.as_of, [rule])
    before = connection.execute(f"select * from rules.{rule} order by all").fetchall()
    survivors = {line for line, text in mutants(rule) if not killed(rule, text, connection, before)}
    assert survivors <= set(SAME.get(rule, {})), survivors - set(SAME.get(rule, {}))
