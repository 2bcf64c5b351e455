"""Marts that were brought on day by day say what a single run says of the same deliveries, whatever the days bring.

The days are random and bring what moves money and who is credited: purchases with another partner or coupon than told
before, refunds and chargebacks that are taken back, amounts corrected down to nothing, transfers that return, payout
requests and rates that come late, deals that are corrected.
"""

from __future__ import annotations

import datetime as dt
import random
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from models import catalogue
from pipelines.score import score
from sql.warehouse import Warehouse
from tests.builders import Case, Row, firm_rows, write_rulebook
from tests.test_score_same import MONDAY, Feed, land, marts_of, one_account

DAYS = 3
PEOPLE = 6
SAID_A_DAY = 12
"""So many things are told on a day, about whichever accounts chance names."""


def opening() -> dict[str, list[Row]]:
    """What is told first: accounts, every second one funded, each bought by a partner's link or with a coupon."""
    rows = {name: list(listed) for name, listed in firm_rows(accounts()).items()}
    rows["challenges"] = [
        {**challenge, **({"partner_id": f"P{number % 3}"} if number % 4 else {"coupon": f"SAVE{number % 8}"})}
        for number, challenge in enumerate(rows["challenges"])
    ]
    rows["partners"] = [
        {"partner_id": f"P{number}", "name": f"Partner {number}", "plan": "revshare", "joined_at": MONDAY}
        for number in range(3)
    ]
    rows["payments"] = [payment(number) for number in range(PEOPLE)]
    return rows


def accounts() -> dict[str, Case]:
    """Accounts whose products have terms for the stage in which they are."""
    found = {f"A{number}": one_account(profit=4000 - 1500 * number) for number in range(PEOPLE)}
    for number in range(1, PEOPLE, 2):
        case = found[f"A{number}"]
        found[f"A{number}"] = replace(case, account=replace(case.account, stage="funded"))
    return found


def payment(number: int, kind: str = "purchase", day: int = 0, **changed: object) -> Row:
    """A buyer's money for the challenge, or back; of each kind there is one, which is told anew."""
    return {
        "payment_id": f"{kind}-{number}",
        "trader_id": f"T-A{number}",
        "challenge_id": f"C-A{number}",
        "kind": kind,
        "amount": "100",
        "currency": "USD",
        "occurred_at": MONDAY + dt.timedelta(days=day),
        **changed,
    }


def a_day(chance: random.Random, day: int) -> Feed:
    """What a later day tells, each of it about an account that chance names."""
    at = MONDAY + dt.timedelta(days=day, hours=9)
    rows: dict[str, list[Row]] = {}
    first = opening()
    for _ in range(SAID_A_DAY):
        number = chance.randrange(PEOPLE)
        account_id, funded = f"A{number}", 2 * (number // 2) + 1
        told: dict[str, Row] = {
            "challenges": {
                **first["challenges"][number],
                "partner_id": chance.choice([None, "P0", "P2"]),
                "coupon": chance.choice([None, "SAVE0", "NEW"]),
            },
            "payments": payment(
                number,
                chance.choice(["purchase", "refund", "chargeback"]),
                day,
                amount=chance.choice(["0", "60", "100"]),
            ),
            "payouts": {"payout_id": f"R{funded}", "account_id": f"A{funded}", "requested_at": at, "amount": "500"},
            "settlements": {
                "settlement_id": f"S{funded}", "payout_id": f"R{funded}", "amount": "400", "currency": "USD",
                "settled_at": at, "status": chance.choice(["sent", "settled", "returned"]),
            },
            "rates": {"currency": "EUR", "day": at.date(), "rate_to_usd": chance.choice(["1.05", "1.1"])},
            "deals": {**first["deals"][number], "profit": Decimal(chance.choice([-6000, 0, 3000]))},
            "equity": {"account_id": account_id, "observed_at": at, "balance": "101000", "equity": "100500"},
        }  # fmt: skip
        dataset = chance.choice(list(told))
        rows.setdefault(dataset, []).append(told[dataset])
    rows.setdefault("equity", []).append(
        {"account_id": "A0", "observed_at": at + dt.timedelta(hours=1), "balance": "101000", "equity": "101000"}
    )
    return rows


@pytest.mark.slow
def test_any_days_leave_the_marts_of_a_single_run(tmp_path: Path) -> None:
    rulebook = catalogue.load(write_rulebook(tmp_path / "rules", accounts()))
    chance = random.Random(1)
    days = [opening(), *(a_day(chance, day) for day in range(1, DAYS))]
    daily, once = Warehouse.open(tmp_path / "daily"), Warehouse.open(tmp_path / "once")
    told = []
    for day, rows in enumerate(days):
        for home in (daily, once):
            land(home, rows, str(day))
        score(daily, rulebook)
        told.append(marts_of(daily))
    score(once, rulebook)
    assert told[-1] == marts_of(once)
    moved = ("mart_accounts", "mart_challenge_money", "mart_cohort_challenges", "mart_credits", "mart_payout_queue")
    assert all(told[0][name] != told[-1][name] for name in moved)
    score(daily, rulebook, full=True)
    assert told[-1] == marts_of(daily)
