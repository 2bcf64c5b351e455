"""A firm in memory for rule tests: accounts, trades and news as short rows, judged through the real rule files."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

import duckdb
import numpy as np
import pandas as pd
import pytest

from models import catalogue, set_rules, suspects
from models.catalogue import Rulebook
from pipelines.score import judged_accounts, register_instruments, register_terms
from sql import relations
from tests.builders import lake

START = dt.datetime(2026, 3, 2, 0, 0, tzinfo=dt.UTC)
"""A Monday; rule tests open their accounts then unless they say otherwise."""


@dataclass(frozen=True)
class Trade:
    """One position: opened, added to (instant, lots; below zero a part is closed), closed once.

    `closed_at` None = still open. Money is exact, lots are text. `add_price` is what is paid for additions, None as at
    the opening.
    """

    trade_id: str
    opened_at: dt.datetime
    closed_at: dt.datetime | None = None
    symbol: str = "EURUSD"
    side: str = "buy"
    lots: str = "1"
    open_price: float = 1.1
    close_price: float = 1.1
    profit: str = "0"
    commission: str = "0"
    stop_loss: float | None = None
    late_stop: float | None = None
    adds: Sequence[tuple[dt.datetime, str, str]] = ()
    add_price: float | None = None


@dataclass(frozen=True)
class Account:
    """One account of the plan with its trades, deposits and payouts (instant, amount), when the walk ended it, and
    whether by passing."""

    account_id: str = "A"
    trades: Sequence[Trade] = ()
    stage: str = "evaluation_1"
    currency: str = "USD"
    initial: str = "100000"
    opened_at: dt.datetime = START
    ended_at: dt.datetime | None = None
    trader_id: str | None = None
    money: Sequence[tuple[dt.datetime, str]] = ()
    product: str = "plan"
    passed: bool = False


@dataclass(frozen=True)
class Login:
    """One log-in of a trader, of one account where that is told."""

    trader_id: str
    at: dt.datetime
    ip: str = "192.0.2.1"
    country: str | None = None
    account_id: str | None = None


class Copies(NamedTuple):
    """Two accounts of which one copies the other."""

    account_a: str
    account_b: str
    strength: float
    relation: str = "copy"
    same_owner: bool = True


@dataclass(frozen=True)
class World:
    """Everything a rule may read beside the accounts."""

    accounts: Sequence[Account]
    terms: str
    as_of: dt.datetime
    zone: str = "UTC"
    reset: str = "00:00"
    calendar: str = "fx"
    news: Sequence[Mapping[str, Any]] = ()
    rates: Sequence[tuple[str, dt.date, float]] = ()
    owners: Mapping[str, str] = field(default_factory=dict)
    copies: Sequence[Copies] = ()
    logins: Sequence[Login] = ()
    homes: Mapping[str, str] = field(default_factory=dict)
    """Countries of traders."""
    plans: Mapping[str, str] = field(default_factory=dict)
    """Terms of further products by id."""
    later_zone: str | None = None
    """The zone of a second version of every product, which nobody bought yet."""


def rulebook(world: World) -> Rulebook:
    """The world's terms as the product `plan`, and its further plans, the same for every stage that is served."""
    stages = sorted({account.stage for account in world.accounts})
    zones = [(2000, world.zone), *([(2100, world.later_zone)] if world.later_zone else [])]
    products = {}
    for name, terms in {"plan": world.terms, **world.plans}.items():
        held = "".join(f"[versions.stages.{stage}]\n{terms}\n" for stage in stages)
        versions = ""
        for number, (year, zone) in enumerate(zones, 1):
            clock = f'{{ zone = "{zone}", reset = "{world.reset}", calendar = "{world.calendar}" }}'
            head = f"version = {number}\neffective_from = {year}-01-01T00:00:00Z\nclock = {clock}\n"
            versions += f"[[versions]]\n{head}{held}"
        products[name] = catalogue.read_product(f'id = "{name}"\nname = "Plan"\n{versions}', f"{name}.toml")
    return Rulebook(products)


def engine(world: World) -> duckdb.DuckDBPyConnection:
    """A DuckDB that stands at the world's instant with its lake and decisions."""
    connection = duckdb.connect(config={"threads": 1})
    lake(connection, lake_rows(world))
    relations.prepare(connection, world.as_of)
    register_terms(connection, rulebook(world))
    register_instruments(connection)
    relations.build(connection, "facts.accounts")
    ends = [(a.account_id, a.ended_at, a.passed) for a in world.accounts if a.ended_at is not None]
    set_rules.register_ends(connection, pd.DataFrame(ends, columns=["account_id", "ended_at", "passed"]))
    decide(connection, world)
    return connection


def decide(connection: duckdb.DuckDBPyConnection, world: World) -> None:
    """Owners and copying pairs, where the world has any."""
    if world.owners:
        connection.execute("create table decided.owners (trader_id varchar, owner_id varchar, members integer)")
        connection.executemany("insert into decided.owners values (?, ?, 1)", list(world.owners.items()))
    if world.copies:
        connection.execute(
            "create table decided.copy_pairs (account_a varchar, account_b varchar, relation varchar, matched integer,"
            " same_owner boolean, strength double)"
        )
        connection.executemany(
            "insert into decided.copy_pairs values (?, ?, ?, 20, ?, ?)",
            [[o.account_a, o.account_b, o.relation, o.same_owner, o.strength] for o in world.copies],
        )


def lake_rows(world: World) -> dict[str, list[dict[str, Any]]]:
    """The world as rows of the feed."""
    rows: dict[str, list[dict[str, Any]]] = {"challenges": [], "accounts": [], "deals": [], "news": [], "rates": []}
    for account in world.accounts:
        who = {"trader_id": account.trader_id or f"T-{account.account_id}", "desk_id": "D"}
        challenge = {
            "challenge_id": f"C-{account.account_id}",
            **who,
            "product": account.product,
            "fee": 100,
            "currency": "USD",
        }
        rows["challenges"].append(challenge | {"purchased_at": account.opened_at})
        rows["accounts"].append(
            {
                "account_id": account.account_id,
                "challenge_id": f"C-{account.account_id}",
                **who,
                "stage": account.stage,
                "platform": "mt5",
                "login": account.account_id,
                "currency": account.currency,
                "initial_balance": Decimal(account.initial),
                "opened_at": account.opened_at,
            }
        )
        rows["deals"] += [deal for trade in account.trades for deal in deal_rows(account.account_id, trade)]
        rows["deals"] += [money_row(account.account_id, *operation) for operation in account.money]
    rows["logins"] = [
        {"trader_id": o.trader_id, "occurred_at": o.at, "ip": o.ip, "account_id": o.account_id, "country": o.country}
        for o in world.logins
    ]
    rows["traders"] = [
        {"trader_id": trader, "full_name": trader, "country": country, "registered_at": START - dt.timedelta(days=9)}
        for trader, country in world.homes.items()
    ]
    rows["news"] = [dict(event) for event in world.news]
    rows["rates"] = [{"currency": c, "day": day, "rate_to_usd": rate} for c, day, rate in world.rates]
    return rows


def deal_rows(account_id: str, trade: Trade) -> list[dict[str, Any]]:
    """The deals that open and close a position."""
    common: dict[str, Any] = {"account_id": account_id, "position_id": trade.trade_id, "kind": "trade"}
    common |= {"symbol": trade.symbol, "volume": float(trade.lots)}
    opening = common | {"deal_id": f"{trade.trade_id}-in", "entry": "in", "executed_at": trade.opened_at}
    opening |= {"side": trade.side, "price": trade.open_price, "profit": Decimal(0), "commission": Decimal(0)}
    opening |= {"stop_loss": trade.stop_loss}
    other = "sell" if trade.side == "buy" else "buy"
    added = [
        opening
        | {"deal_id": f"{trade.trade_id}-in{n}", "executed_at": at, "volume": abs(float(lots)), "profit": Decimal(made)}
        | {"price": trade.add_price or trade.open_price}
        | ({"entry": "out", "side": other, "stop_loss": None} if float(lots) < 0 else {})
        for n, (at, lots, made) in enumerate(trade.adds)
    ]
    if trade.closed_at is None:
        return [opening, *added]
    common["volume"] += sum(float(lots) for _, lots, _ in trade.adds)
    closing = common | {"deal_id": f"{trade.trade_id}-out", "entry": "out", "executed_at": trade.closed_at}
    closing |= {"side": other, "price": trade.close_price}
    closing |= {"profit": Decimal(trade.profit), "commission": Decimal(trade.commission), "stop_loss": trade.late_stop}
    return [opening, *added, closing]


def money_row(account_id: str, at: dt.datetime, amount: str) -> dict[str, Any]:
    """A deposit, or what was taken out."""
    told: dict[str, Any] = dict.fromkeys(deal_rows(account_id, Trade("none", at))[0])
    named = {"account_id": account_id, "deal_id": f"money-{at:%d%H%M%S}", "kind": "balance", "executed_at": at}
    return told | named | {"profit": Decimal(amount), "commission": Decimal(0)}


def judge(world: World, rules: Sequence[str] | None = None) -> set_rules.SetVerdicts:
    """What the rule files say about a world."""
    connection = engine(world)
    accounts = judged_accounts(connection)
    names = rules or (*set_rules.OWN, *set_rules.SHARED)
    return set_rules.judge(connection, accounts, rulebook(world), world.as_of, names)


def keep_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the rule files look into every trade, as if the pass before them cleared none."""
    leave = suspects._leave

    def all_of_them(connection: Any, trades: Any, kept: Any, flagged: Any) -> None:
        leave(connection, trades, np.full_like(kept, 127), np.full_like(flagged, 255))

    monkeypatch.setattr(suspects, "_leave", all_of_them)


Found = tuple[str, str, str, dt.datetime, str | None]


def occurrences(
    world: World, rules: Sequence[str] | None = None
) -> list[tuple[str, str, str, dt.datetime, str | None]]:
    """Every occurrence as (account_id, rule, outcome, instant, trade_id), in order."""
    connection = engine(world)
    names = rules or (*set_rules.OWN, *set_rules.SHARED)
    set_rules.judge(connection, judged_accounts(connection), rulebook(world), world.as_of, names)
    query = "select account_id, rule, outcome, happened_at, trade_id from decided.occurrences order by all"
    return [(a, r, o, at.astimezone(dt.UTC), t) for a, r, o, at, t in connection.execute(query).fetchall()]


def rows(found: set_rules.SetVerdicts) -> list[dict[str, Any]]:
    """Verdicts as dictionaries with their evidence read."""
    names = list(found.verdicts.columns)
    listed = [dict(zip(names, row, strict=True)) for row in found.verdicts.itertuples(index=False)]
    return [row | {"evidence": json.loads(row["evidence"])} for row in listed]
