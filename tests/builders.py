"""Small firms for tests: feeds written to a folder, terms as a rulebook, and accounts walked in memory."""

from __future__ import annotations

import csv
import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from models import catalogue, events, terms, walk
from models.clock import from_micros, to_micros
from models.money import from_minor
from sql import duck
from sql.schema import DATASETS, DUCKDB_TYPES, LAKE_COLUMNS
from sql.warehouse import LAKE_TYPES
from tests.walk_oracle import Account, Deal, FirmClock, Observation, Rules, Told

Row = Mapping[str, Any]
MONEY = pa.decimal128(18, 8)
STAMP = pa.timestamp("us", tz="UTC")
EPOCH = dt.date(1970, 1, 1)
UTC_CLOCK = FirmClock()
OUTCOMES = ("breached", "passed", "warned")


# --- the rulebook --------------------------------------------------------------------------------------------------


def toml_value(value: Any) -> str:
    """A value as TOML writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {toml_value(inner)}" for key, inner in value.items()) + " }"
    return str(value)


def product_text(
    rules: Rules,
    clock: FirmClock = UTC_CLOCK,
    *,
    stage: str = "evaluation_1",
    product: str = "plan",
    since: str = "2000-01-01T00:00:00Z",
) -> str:
    """A product file of one version and one stage."""
    reset = f'zone = "{clock.zone}", reset = "{clock.reset:%H:%M}", calendar = "{clock.calendar}"'
    lines = [f"{name} = {toml_value(rule)}" for name, rule in rules.items()]
    head = [f'id = "{product}"', f'name = "{product}"', "[[versions]]", "version = 1", f"effective_from = {since}"]
    return "\n".join([*head, f"clock = {{ {reset} }}", f"[versions.stages.{stage}]", *lines]) + "\n"


# --- the lake ------------------------------------------------------------------------------------------------------


def lake(connection: duckdb.DuckDBPyConnection, rows: Mapping[str, Sequence[Row]]) -> None:
    """Puts a feed before the SQL files as if it had landed."""
    connection.execute("set timezone = 'UTC'; create schema lake")
    told = {
        dataset.name: [f'"{column.name}" {DUCKDB_TYPES[column.kind]}' for column in dataset.columns]
        + [f"{name} {LAKE_TYPES[name]}" for name, _, _ in LAKE_COLUMNS]
        for dataset in DATASETS.values()
    }
    duck.run(connection, "".join(f"create table lake.{name} ({', '.join(columns)});" for name, columns in told.items()))
    for name, listed in rows.items():
        insert(connection, name, listed)


def insert(connection: duckdb.DuckDBPyConnection, dataset: str, rows: Sequence[Row]) -> None:
    """Puts rows into the lake, in the order given and by one statement, since each costs a millisecond of planning."""
    if not rows:
        return
    told = [{name: value for name, value in row.items() if value != ""} for row in rows]
    columns: dict[str, list[Any]] = {name: [row.get(name) for row in told] for name in dict.fromkeys(chain(*told))}
    columns |= {"_load_id": [1] * len(told), "_line": list(range(1, len(told) + 1)), "_version": [1] * len(told)}
    # of a frame DuckDB would look at every value to guess its type, which takes four times as long
    given = pa.table(columns)  # noqa: F841 - read by this name
    connection.execute(f"insert into lake.{dataset} by name from given")


# --- the walk in memory --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """One account with its terms, events, instants at which another rule pauses it, and the instant it is judged at."""

    account: Account
    clock: FirmClock
    rules: Rules
    deals: list[Deal]
    observations: list[Observation]
    as_of: dt.datetime
    pauses: tuple[dt.datetime, ...] = ()


def deals_table(deals: Sequence[Deal]) -> pa.Table:
    """Deals of account 0 as the walk reads them, in the order given."""
    places: dict[tuple[bool, str], int] = {}
    keys = [(bool(deal.position_id), deal.position_id or deal.symbol or "") for deal in deals]
    markets: dict[str, int] = {}
    columns: dict[str, tuple[list[Any], pa.DataType]] = {
        "account": ([0] * len(deals), pa.int32()),
        "kind": ([deal.kind for deal in deals], pa.string()),
        "entry": ([deal.entry for deal in deals], pa.string()),
        "side": ([deal.side for deal in deals], pa.string()),
        "executed_at": ([deal.at for deal in deals], STAMP),
        "profit": ([deal.profit for deal in deals], MONEY),
        "commission": ([deal.commission for deal in deals], MONEY),
        "swap": ([deal.swap for deal in deals], MONEY),
        "fee": ([deal.fee for deal in deals], MONEY),
        "volume": ([float(deal.volume or 0) for deal in deals], pa.float64()),
        "position": ([places.setdefault(key, len(places)) for key in keys], pa.uint64()),
        "market": ([markets.setdefault(deal.symbol or "", len(markets)) for deal in deals], pa.uint32()),
        "netted": ([not by_id for by_id, _ in keys], pa.bool_()),
        "correction": (["correction" in (deal.comment or "").lower() for deal in deals], pa.bool_()),
        "deal_id": ([deal.deal_id for deal in deals], pa.string()),
        "_load_id": ([1] * len(deals), pa.int64()),
        "_line": (list(range(len(deals))), pa.int64()),
    }
    return pa.table({name: pa.chunked_array([pa.array(values, kind)]) for name, (values, kind) in columns.items()})


def equity_table(observations: Sequence[Observation]) -> pa.Table:
    """Observations of account 0 as the walk reads them, in the order given."""
    columns: dict[str, tuple[list[Any], pa.DataType]] = {
        "account": ([0] * len(observations), pa.int32()),
        "observed_at": ([one.at for one in observations], STAMP),
        "equity": ([one.equity for one in observations], MONEY),
        "_load_id": ([2] * len(observations), pa.int64()),
        "_line": (list(range(len(observations))), pa.int64()),
    }
    return pa.table({name: pa.chunked_array([pa.array(values, kind)]) for name, (values, kind) in columns.items()})


def accounts_frame(account: Account) -> pd.DataFrame:
    """The one account of a case, with its challenge bound to version 1 of `plan`."""
    return pd.DataFrame(
        {
            "account_id": ["A1"],
            "product": ["plan"],
            "product_version": [1],
            "stage": [account.stage],
            "currency": [account.currency],
            "initial_balance": [account.initial],
            "opened_at": pd.Series([account.opened_at]).astype("datetime64[us, UTC]"),
            "closed_at": pd.to_datetime(pd.Series([account.closed_at], dtype=object), utc=True),
        }
    )


@dataclass(frozen=True)
class Prepared:
    """A case made ready, so that several walks can be run over it."""

    events: walk.Events
    terms: walk.Array
    schedules: list[tuple[walk.Array, walk.Array]]
    as_of: int
    currency: str


def prepare(case: Case) -> Prepared:
    """Reads the terms and orders the events of a case through the real path."""
    product = catalogue.read_product(product_text(case.rules, case.clock, stage=case.account.stage), "plan.toml")
    accounts = accounts_frame(case.account)
    told = events.prepare(deals_table(case.deals), equity_table(case.observations), accounts)
    resting = np.array([to_micros(at) for at in case.pauses], np.int64)
    told = events.with_pauses(told, np.zeros(len(resting), np.int64), resting)
    compiled, clocks = terms.compile_terms(accounts, catalogue.Rulebook({"plan": product}))
    first, last = terms.span(compiled, told.at, case.as_of)
    schedules = terms.schedules(clocks, first, last)
    return Prepared(told, compiled, schedules, to_micros(case.as_of), case.account.currency)


Fold = Callable[..., walk.Walked]


def in_parts(cuts: list[int], fold: Fold = walk.walk) -> Fold:
    """A walk that stops at instants and goes on from where it stood, and ends where a walk without a stop does."""

    def parted(
        told: walk.Events, terms: walk.Array, schedules: list[tuple[walk.Array, walk.Array]], as_of: int, **asked: bool
    ) -> walk.Walked:
        states = np.zeros(len(terms), walk.STATE)
        parts = [
            fold(told, terms, schedules, cut, states=states, **asked)
            for cut in [*(cut for cut in sorted(cuts) if cut < as_of), as_of]
        ]
        whole = np.zeros(len(terms), walk.STATE)
        fold(told, terms, schedules, as_of, states=whole, **asked)
        # resets between which nothing moves are passed over together, and a day that is over is not looked at again
        known = [name for name in walk.STATE.names or () if name not in ("last_at", "day")]
        assert states[known].tolist() == whole[known].tolist()
        days = {int(day["firm_day"]): day for part in parts for day in part.days}
        said = np.concatenate([part.verdicts for part in parts])
        return walk.Walked(parts[-1].results, said, np.array(list(days.values()), walk.DAY), parts[-1].steps)

    return parted


def walked(ready: Prepared, fold: Fold = walk.walk) -> dict[str, Any]:
    """What a walk says about a prepared case, in money of its currency; the same whether days are asked for or not."""
    asked = (ready.events, ready.terms, ready.schedules, ready.as_of)
    found, short = fold(*asked, want_days=True), fold(*asked)
    assert short.results.tolist() == found.results.tolist()
    assert short.verdicts.tolist() == found.verdicts.tolist()
    result = found.results[0]

    def money(minor: Any) -> Decimal | None:
        return None if minor == -walk.NEVER else from_minor(int(minor), ready.currency)

    floors = [name for name in ("daily_floor", "max_floor") if result[name] != -walk.NEVER]
    target = int(result["target"])
    return {
        "status": walk.STATUS_NAMES[result["status"]],
        "status_at": from_micros(result["status_at"]),
        "balance": money(result["balance"]),
        "equity": money(result["equity"]),
        "daily_floor": money(result["daily_floor"]),
        "max_floor": money(result["max_floor"]),
        "target_progress": Decimal(int(result["profit"])) / target if target else None,
        "trading_days": int(result["trading_days"]),
        "profitable_days": int(result["profitable_days"]) if ready.terms[0]["profitable_days"] else 0,
        "observed": bool(result["observed"]),
        "verdicts": [_verdict(verdict, money) for verdict in found.verdicts],
        "days": {EPOCH + dt.timedelta(days=int(day["firm_day"])): _day(day, money, floors) for day in found.days},
    }


def _verdict(verdict: Any, money: Callable[[Any], Decimal | None]) -> tuple[Any, ...]:
    outcome = OUTCOMES[verdict["outcome"]]
    effect = "pass" if outcome == "passed" else walk.EFFECT_NAMES[verdict["effect"]]
    numbers = (money(verdict[name]) for name in ("observed", "allowed", "reference"))
    return walk.RULE_NAMES[verdict["rule"]], outcome, effect, from_micros(verdict["at"]), *numbers


def _day(day: Any, money: Callable[[Any], Decimal | None], floors: list[str]) -> tuple[Any, ...]:
    names = ("open_equity", "high_equity", "low_equity", "close_equity", "close_balance", "closed_profit")
    moving = ("money_moved", *floors)
    return (*(money(day[name]) for name in (*names, *moving)), int(day["trades"]))


def oracle_says(told: Told) -> dict[str, Any]:
    """What the oracle says about a case, in the same words as `walked`."""
    names = ("status", "status_at", "balance", "equity", "daily_floor", "max_floor", "target_progress")
    counts = ("trading_days", "profitable_days", "observed")
    said: dict[str, Any] = {name: getattr(told, name) for name in (*names, *counts)}
    said["verdicts"] = [(v.rule, v.outcome, v.effect, v.at, v.observed, v.allowed, v.reference) for v in told.verdicts]
    said["days"] = {
        day: (
            *(d.open_equity, d.high, d.low, d.close_equity, d.close_balance, d.profit, d.moved),
            *(floor for floor in (d.daily_floor, d.max_floor) if floor is not None),
            d.entries,
        )
        for day, d in told.days.items()
        if d.touched
    }
    return said


# --- feeds on disk -------------------------------------------------------------------------------------------------


def write_csv(path: Path, rows: Iterable[Row]) -> Path:
    """Writes rows (of any columns) as one CSV file; missing values are empty."""
    rows = list(rows)
    columns = list(dict.fromkeys(name for row in rows for name in row))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, columns, restval="")
        writer.writeheader()
        writer.writerows({name: written(value) for name, value in row.items()} for row in rows)
    return path


def written(value: Any) -> str:
    """A cell as a feed writes it."""
    if value is None:
        return ""
    return value.isoformat() if isinstance(value, dt.datetime) else str(value)


def firm_rows(cases: Mapping[str, Case]) -> dict[str, list[Row]]:
    """Rows of a whole feed for accounts by id, each with its own trader, challenge and product (`plan-<id>`)."""
    rows: dict[str, list[Row]] = {
        name: [] for name in ("desks", "traders", "challenges", "accounts", "deals", "equity")
    }
    rows["desks"].append({"desk_id": "D1", "name": "Desk", "currency": "USD", "time_zone": "UTC"})
    for account_id, case in cases.items():
        account, people = case.account, {"trader_id": f"T-{account_id}", "desk_id": "D1"}
        bought = account.opened_at
        rows["traders"].append(
            {
                "trader_id": people["trader_id"],
                "full_name": f"Trader {account_id}",
                "kyc_status": "none",
                "registered_at": bought,
            }
        )
        challenge = {
            "challenge_id": f"C-{account_id}",
            **people,
            "product": f"plan-{account_id}",
            "purchased_at": bought,
        }
        rows["challenges"].append(challenge | {"fee": "100", "currency": "USD"})
        rows["accounts"].append(
            {
                "account_id": account_id,
                "challenge_id": f"C-{account_id}",
                **people,
                "stage": account.stage,
                "platform": "mt5",
                "login": account_id,
                "currency": account.currency,
                "initial_balance": account.initial,
                "opened_at": account.opened_at,
                "closed_at": account.closed_at,
            }
        )
        rows["deals"] += [deal_row(account_id, deal) for deal in case.deals]
        rows["equity"] += [
            {"account_id": account_id, "observed_at": one.at, "balance": one.equity, "equity": one.equity}
            for one in case.observations
        ]
    return {name: listed for name, listed in rows.items() if listed}


def deal_row(account_id: str, deal: Deal) -> Row:
    """A deal as the feed delivers it."""
    names = ("deal_id", "position_id", "kind", "entry", "side", "symbol", "volume", "profit", "commission", "swap")
    return {
        "account_id": account_id,
        **{name: getattr(deal, name) for name in (*names, "fee", "comment")},
        "executed_at": deal.at,
    }


def write_firm(folder: Path, rows: Mapping[str, Sequence[Row]]) -> Path:
    """Writes a feed folder, one CSV per dataset."""
    for name, listed in rows.items():
        write_csv(folder / f"{name}.csv", listed)
    return folder


def write_rulebook(folder: Path, cases: Mapping[str, Case]) -> Path:
    """Writes a product folder with the product of each account."""
    folder.mkdir(parents=True, exist_ok=True)
    for account_id, case in cases.items():
        text = product_text(case.rules, case.clock, stage=case.account.stage, product=f"plan-{account_id}")
        (folder / f"{account_id}.toml").write_text(text, encoding="utf-8")
    return folder
