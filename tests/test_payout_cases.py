"""Amounts of payouts worked out by hand: every case of `cases/payouts`, all of a file in one firm."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.builders import Row
from tests.payout_world import DAY, START, feed, operation, product, request, reviewed, settlement, trade

pytestmark = pytest.mark.xdist_group("payout_cases")  # its firm is made once
FOLDER = Path(__file__).parent / "cases" / "payouts"
Case = Mapping[str, Any]
CASES: dict[str, tuple[int, Case, str]] = {}
for _file in sorted(FOLDER.glob("*.yaml")):
    _told = yaml.safe_load(_file.read_text(encoding="utf-8"))
    for _case in _told["cases"]:
        CASES[_case["it"]] = (len(CASES) + 1, _case, _case.get("terms", _told["terms"]))


def _deals(number: int, case: Case) -> list[Row]:
    """Trades and operations of a case, deal ids unlike those of any other."""
    account, rows = f"A{number}", []
    for place, (day, profit, *more) in enumerate(case.get("trades", ())):
        cost, hours = (more[0] if more else "0"), (more[1] if len(more) > 1 else 1.0)
        opened, closed = trade(number * 100 + place, day, profit, hours, account)
        rows += [opened, {**closed, "commission": cost}]
    for place, (day, amount, *comment) in enumerate(case.get("ops", ())):
        rows.append(operation(number * 100 + place, day, amount, "".join(comment), account))
    return rows


def _observed(number: int, case: Case, deals: list[Row]) -> list[Row]:
    """The balance a second after each money event, and the dips of equity that a case tells."""
    balance, rows = Decimal(case.get("initial", "10000.00")), []
    for deal in sorted(deals, key=lambda one: str(one["executed_at"])):
        balance += Decimal(deal["profit"]) + Decimal(deal.get("commission", "0"))
        rows.append((deal["executed_at"] + dt.timedelta(seconds=1), balance, balance))
    for day, held, equity in case.get("dips", ()):
        rows.append((START + day * DAY, Decimal(held), Decimal(equity)))
    return [
        {"account_id": f"A{number}", "observed_at": at, "balance": str(held), "equity": str(equity)}
        for at, held, equity in sorted(rows)
    ]


def all_reviewed(folder: Path) -> dict[str, dict[str, Any]]:
    """The reviews of all cases, each account on a product of its own terms, which are written into the folder."""
    deals: list[Row] = []
    asks: list[Row] = []
    sent: list[Row] = []
    paid: list[Row] = []
    equity: list[Row] = []
    for number, case, terms in CASES.values():
        (folder / f"plan{number}.toml").write_text(product(terms, f"plan{number}"), encoding="utf-8")
        mine, bank = _deals(number, case), f"bank_{number}"
        deals += mine
        equity += _observed(number, case, mine)
        asks += [request(f"{number}-{name}", day, amount, f"A{number}", bank) for name, day, amount in case["asks"]]
        for name, day, amount, *more in case.get("sent", ()):
            told_more = {"destination": bank, "currency": case.get("currency", "USD")} | (more[0] if more else {})
            sent.append(settlement(len(sent), f"{number}-{name}", day, amount, **told_more))
        for day, kind, amount in case.get("paid", ()):
            row = {"payment_id": f"P{len(paid)}", "trader_id": f"T{number}", "challenge_id": f"C{number}", "kind": kind}
            paid.append(row | {"amount": amount, "currency": "USD", "occurred_at": START + day * DAY})
    more = {"settlements": sent, "payments": paid, "equity": equity}
    rows = feed(deals, asks, accounts=len(CASES), **more)
    for number, case, _ in CASES.values():
        bought, account = rows["challenges"][number - 1], rows["accounts"][number - 1]
        opened_at = START + case.get("opened", 0) * DAY
        rows["challenges"][number - 1] = dict(bought) | {"product": f"plan{number}", "purchased_at": opened_at}
        money = {"currency": case.get("currency", "USD"), "initial_balance": case.get("initial", "10000.00")}
        money |= {"opened_at": opened_at}
        rows["accounts"][number - 1] = dict(account) | money
    rows["rates"].append({"currency": "JPY", "day": "2026-01-01", "rate_to_usd": "0.0066"})
    return reviewed(folder, rows, terms=None)


def said(told: Mapping[str, Mapping[str, Any]], it: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a case's last review says, and what it should, of what was worked out by hand."""
    number, case, _ = CASES[it]
    row = told[f"{number}-{case['asks'][-1][0]}"]
    checks, expect = row["checks"], case["expect"]
    split = checks["split"]["numbers"]
    found = {
        "trader": row["trader_share"],
        "firm": row["firm_share"],
        "deducted": row["deductions"],
        "is": row["recommendation"],
        "failed": [name for name, one in checks.items() if one["outcome"] == "failed"],
        "number": split["paid_before"] + 1,
        "withdrawable": Decimal(checks["profit"]["numbers"]["withdrawable"]),
        "refund": split["fee_refund"],
    }
    money = ("trader", "firm", "deducted", "withdrawable")
    wanted = {name: Decimal(value) if name in money else value for name, value in expect.items()}
    wanted |= {} if "is" not in expect else {"failed": expect.get("failed", [])}
    return {name: found[name] for name in wanted}, wanted


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The reviews of all cases."""
    return all_reviewed(tmp_path_factory.mktemp("plans"))


@pytest.mark.parametrize("it", CASES)
def test_amounts_worked_out_by_hand(told: dict[str, dict[str, Any]], it: str) -> None:
    found, wanted = said(told, it)
    assert found == wanted
    number, case, _ = CASES[it]
    row = told[f"{number}-{case['asks'][-1][0]}"]
    assert row["trader_share"] + row["firm_share"] + row["deductions"] == Decimal(case["asks"][-1][2])
