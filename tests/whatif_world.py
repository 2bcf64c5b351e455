"""A firm in memory for what-if: a funded plan with requests, and a two-stage plan traded at random on its limits."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import duckdb
import pandas as pd
import sqlalchemy as sa

from models import catalogue, drafts
from models.catalogue import Rulebook, Version
from pipelines import whatif
from pipelines.whatif import History
from sql import relations
from sql.decided import register
from tests.builders import Row, lake

START = dt.datetime(2026, 3, 2, 8, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
AS_OF = START + 60 * DAY
INITIAL = 10_000
STAGES = """[versions.stages.evaluation_1]
profit_target = { percent = 8 }
daily_loss = { percent = 5 }
max_loss = { percent = 10 }
min_trading_days = 2
holding_time = { seconds = 60 }
next_stage = "funded"
[versions.stages.funded]
max_loss = { percent = 10 }
split = { percent = 80 }
payout = { first_after_days = 14, cycle_days = 14, minimum = 100 }
"""


def rulebook(stages: str = STAGES) -> Rulebook:
    """The plan with one version, every day at midnight UTC."""
    head = 'id = "plan"\nname = "Plan"\n[[versions]]\nversion = 1\neffective_from = 2025-01-01T00:00:00Z\n'
    clock = 'clock = { zone = "UTC", reset = "00:00", calendar = "crypto" }\n'
    return Rulebook({"plan": catalogue.read_product(head + clock + stages, "plan.toml")})


def challenge(number: int, stages: Sequence[str] = ("evaluation_1",)) -> dict[str, list[Row]]:
    """Trader Tn who bought Cn for 100 USD, and an account (En, Fn) of each stage that it reached."""
    who = {"trader_id": f"T{number}", "desk_id": "D" if number % 2 else "E"}
    bought = {"challenge_id": f"C{number}", "product": "plan", "purchased_at": START, "fee": "100", "currency": "USD"}
    accounts: list[Row] = [
        {"account_id": f"{'F' if stage == 'funded' else 'E'}{number}", "challenge_id": f"C{number}", "stage": stage}
        | who
        | {"platform": "mt5", "login": "1", "currency": "USD", "initial_balance": str(INITIAL), "opened_at": START}
        for stage in stages
    ]
    return {"challenges": [bought | who], "accounts": accounts}


def trade(account: str, number: int, day: float, profit: float, minutes: float = 60) -> dict[str, list[Row]]:
    """One lot held so many minutes."""
    at = START + day * DAY
    common = {"account_id": account, "position_id": f"{number}", "kind": "trade", "symbol": "EURUSD", "volume": 1.0}
    opening = {"deal_id": f"{number}1", "entry": "in", "side": "buy", "price": 1.1, "executed_at": at, "profit": "0"}
    closing = {"deal_id": f"{number}2", "entry": "out", "side": "sell", "price": 1.1, "profit": str(profit)}
    return {"deals": [common | opening, common | closing | {"executed_at": at + dt.timedelta(minutes=minutes)}]}


def paid(account: str, number: int, day: float, amount: float, share: float = 0.8) -> dict[str, list[Row]]:
    """A request, the balance operation that honours it and the transfer of the trader's part a day later."""
    payout = f"{account}-Q{number}"
    asked = {"payout_id": payout, "account_id": account, "requested_at": START + day * DAY, "amount": str(amount)}
    left = {"account_id": account, "deal_id": f"9{number}", "kind": "balance", "profit": str(-amount)}
    sent = {"settlement_id": f"S{payout}", "payout_id": payout, "amount": str(amount * share), "currency": "USD"}
    return {
        "payouts": [asked],
        "deals": [left | {"executed_at": START + (day + 0.5) * DAY}],
        "settlements": [sent | {"settled_at": START + (day + 1) * DAY, "status": "settled"}],
    }


def asked(account: str, number: int, day: float, amount: float) -> dict[str, list[Row]]:
    """A request that nobody answered."""
    row = {"payout_id": f"{account}-Q{number}", "account_id": account, "requested_at": START + day * DAY}
    return {"payouts": [row | {"amount": str(amount)}]}


def traded_at_random(seed: int, challenges: int, first: int = 1) -> list[dict[str, list[Row]]]:
    """Challenges whose profits and holding times lie on the plan's limits, or beside them, more often than not."""
    draw = random.Random(seed)
    rows = []
    for number in range(first, first + challenges):
        stages = ("evaluation_1", "funded") if draw.random() < 0.3 else ("evaluation_1",)
        rows.append(challenge(number, stages))
        for account in [f"{'F' if stage == 'funded' else 'E'}{number}" for stage in stages]:
            for place in range(draw.randrange(2, 14)):
                profit = draw.choice((-500, -500.01, -499.99, -300, -120, 150, 266.67, 400, 800))
                minutes = draw.choice((0.5, 59 / 60, 1, 61 / 60, 30, 600, 2000))
                rows.append(trade(account, place, draw.uniform(0, 20), profit, minutes))
    return rows


def draft(stage: str, rules: str, book: Rulebook) -> Version:
    """The plan with rules of a stage written anew."""
    return drafts.with_rules(book.products["plan"].versions[-1], stage, rules)


def without(stage: str, rule: str, book: Rulebook) -> Version:
    """The plan with a rule of a stage left out."""
    held = book.products["plan"].versions[-1]
    kept = {name: fields for name, fields in held.stages[stage].items() if name != rule}
    return replace(held, stages={**held.stages, stage: kept})


def compared(firm: History, version: Version, resamples: int = 0) -> whatif.Comparison:
    """A firm today beside a draft."""
    return whatif.compare_history(firm, firm.rulebook, {"plan": version}, resamples)


def figure(found: whatif.Comparison, metric: str, stage: str = "all", side: str = "draft") -> float:
    """One figure of a comparison, 0 where it is not listed."""
    held = {(row["metric"], row["stage"]): row[side] for row in found.rows}
    return float(held.get((metric, stage)) or 0.0)


@contextmanager
def history(
    parts: Sequence[dict[str, list[Row]]],
    book: Rulebook,
    products: Sequence[str] | None = None,
    desks: Sequence[str] | None = None,
    decided: Mapping[sa.Table, Sequence[Row]] | None = None,
) -> Iterator[History]:
    """A what-if history over the rows of many parts; `decided` are owners and pairs that a run had found."""
    rows: dict[str, list[Any]] = {"rates": [{"currency": "USD", "day": "2026-01-01", "rate_to_usd": "1"}]}
    for part in parts:
        for name, listed in part.items():
            rows.setdefault(name, []).extend(listed)
    with duckdb.connect(config={"threads": 1}) as connection:
        lake(connection, rows)
        relations.prepare(connection, AS_OF)
        for table, found in (decided or {}).items():
            register(connection, table, pd.DataFrame(found))
        yield whatif.load(connection, book, AS_OF, products, desks)
