"""Cases of every set-based rule: on the limit and just beyond it, as a person would argue them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from models import set_rules
from pipelines.score import judged_accounts
from tests.rule_world import START, Account, Login, Trade, World, engine, rulebook

FOLDER = Path(__file__).parent / "cases" / "rules"
FILES = sorted(path.stem for path in FOLDER.glob("*.yaml"))
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
Case = Mapping[str, Any]


def instant(text: str) -> dt.datetime:
    """`Mon 09:00`, in the tests' first week, or `+1 Mon 09:00`, a week later; always UTC."""
    *week, day, clock = text.split()
    days = WEEKDAYS.index(day) + 7 * (int(week[0]) if week else 0)
    return dt.datetime.combine(START.date() + dt.timedelta(days=days), dt.time.fromisoformat(clock), dt.UTC)


def trade(row: Case) -> Trade:
    """A trade as a case writes it."""
    close, price = row.get("close"), row.get("price", 1.1)
    return Trade(
        row["id"],
        instant(row["open"]),
        instant(close) if close else None,
        row.get("symbol", "EURUSD"),
        row.get("side", "buy"),
        row.get("lots", "1"),
        price,
        price,
        row.get("profit", "0"),
        row.get("commission", "0"),
        row.get("stop"),
        row.get("late_stop"),
        [(instant(add["at"]), add["lots"], add.get("profit", "0")) for add in row.get("adds", [])],
        row.get("add_price"),
    )


def logins(name: str, case: Case) -> list[Login]:
    """The log-ins of a case: of its account's trader, or `by` somebody else, `to` an account where that is told."""
    return [
        Login(
            f"T-{row.get('by', name)}",
            instant(row["at"]),
            row.get("ip", "192.0.2.1"),
            row.get("from"),
            {"own": name, None: None}.get(row.get("to"), "another"),
        )
        for row in case.get("logins", [])
    ]


def world(told: Case) -> World:
    """All cases of a file, one account each, on a product for each set of terms."""
    cases = {f"{place:02d}": case for place, case in enumerate(told["cases"])}
    sets = dict.fromkeys(case.get("terms", told["terms"]) for case in told["cases"])
    plans = {terms: f"plan{number or ''}" for number, terms in enumerate(sets)}
    accounts = [
        Account(
            name,
            [trade(row) for row in case.get("trades", [])],
            currency=case.get("currency", "USD"),
            initial=case.get("initial", told.get("initial", "100000")),
            ended_at=instant(case["ended"]) if "ended" in case else None,
            money=[(instant(one["at"]), one["amount"]) for one in case.get("money", [])],
            product=plans[case.get("terms", told["terms"])],
            opened_at=instant(case.get("opened", "Mon 00:00")),
        )
        for name, case in cases.items()
    ]
    news = [dict(event) | {"occurs_at": instant(event["occurs_at"])} for event in told.get("news", [])]
    as_of = instant(told.get("as_of", "+3 Mon 00:00"))
    rates = [(c, day, rate) for c, day, rate in told.get("rates", [])]
    first, *others = plans
    further = {plans[terms]: terms for terms in others}
    signed_in = [one for name, case in cases.items() for one in logins(name, case)]
    homes = {f"T-{name}": case["home"] for name, case in cases.items() if "home" in case}
    owners = {f"T-{trader}": owner for trader, owner in told.get("owners", {}).items()}
    return World(
        accounts, first, as_of, news=news, rates=rates, plans=further, logins=signed_in, homes=homes, owners=owners
    )


def found(judged: World, rule: str) -> dict[str, list[dict[str, Any]]]:
    """Occurrences of a rule by account, in order."""
    connection = engine(judged)
    set_rules.judge(connection, judged_accounts(connection), rulebook(judged), judged.as_of, [rule])
    query = """
        select account_id, trade_id as trade, happened_at as at, outcome, observed, allowed
        from decided.occurrences order by account_id, happened_at, trade_id, allowed
    """
    rows: dict[str, list[dict[str, Any]]] = {account.account_id: [] for account in judged.accounts}
    for account, *values in connection.execute(query).fetchall():
        row = dict(zip(["trade", "at", "outcome", "observed", "allowed"], values, strict=True))
        rows[account].append(row | {"at": row["at"].astimezone(dt.UTC)})
    return rows


@pytest.mark.parametrize("rule", FILES)
def test_cases(rule: str) -> None:
    """Guards what each rule means, where firms and traders dispute it."""
    told = yaml.safe_load((FOLDER / f"{rule}.yaml").read_text(encoding="utf-8"))
    for rows, case in zip(found(world(told), rule).values(), told["cases"], strict=True):
        expected = [{"outcome": "breached"} | row | {"at": instant(row["at"])} for row in case["expect"]]
        assert len(rows) == len(expected), f"{case['it']}: {rows}"
        for row, wanted in zip(rows, expected, strict=True):
            numbers = {key: wanted[key] for key in ("observed", "allowed") if key in wanted}
            assert {key: row[key] for key in wanted} == wanted | {k: pytest.approx(v) for k, v in numbers.items()}, (
                case["it"]
            )


def test_every_rule_over_trades_has_cases() -> None:
    """A new rule comes with its cases; two across an owner's accounts are argued in test_rules_verdicts."""
    assert set(FILES) | {"allocation_cap", "copy_own_accounts"} == {*set_rules.OWN, *set_rules.SHARED}
