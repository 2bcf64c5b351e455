"""Replays one account from the lake and tells its verdicts, with the floors' whole path up to each."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass, replace
from typing import Any

import duckdb
import numpy as np
import pandas as pd

from models import events, terms, verdicts, walk
from models.catalogue import Rulebook
from models.clock import from_micros, to_micros
from models.events import Told
from models.money import decimals, from_minor
from models.rules import RULES
from models.walk import Array
from pipelines.score import TERMINAL, judge, paused, register_instruments, register_terms
from sql import relations
from sql.warehouse import Warehouse, newest_fact

NOT_KNOWN = "no such account in the lake, or its challenge has not arrived yet"


class ExplainRefused(Exception):
    """An account or rule that cannot be explained, and why."""


@dataclass(frozen=True)
class Explanation:
    """An account replayed: its terms, where it stands, its verdicts and every instant of its floors.

    `steps` has one row per instant: at, balance, equity, daily_reference, daily_floor, high_water, max_floor (in the
    account's currency, floors empty where the stage has none), firm_day, reset (the day began there), event.
    """

    account: dict[str, Any]
    status: dict[str, Any]
    verdicts: list[dict[str, Any]]
    terms: dict[str, dict[str, Any]]
    steps: pd.DataFrame

    def as_json(self) -> dict[str, Any]:
        """The replay for a machine: of the steps, those at which a floor moved."""
        path = floor_path(self.steps)
        return {
            "account": self.account,
            "status": self.status,
            "terms": self.terms,
            "verdicts": self.verdicts,
            "floors": json.loads(path.to_json(orient="records", date_format="iso")),
        }

    def as_text(self) -> str:
        """The replay as a person reads it."""
        account, status = self.account, self.status
        lines = [
            f"{account['account_id']}: {account['product']} version {account['product_version']}, {account['stage']}, "
            f"{account['initial_balance']} {account['currency']}, {status['status']} as of {status['as_of']}",
            "",
            "Terms in force at purchase:",
            *(f"  {name}: {_written(fields)}" for name, fields in self.terms.items()),
            "",
            "Floors as they moved:",
            *_floor_lines(floor_path(self.steps)),
            "",
        ]
        if not self.verdicts:
            return "\n".join([*lines, "No verdict: nothing was breached and no target reached."])
        for verdict in self.verdicts:
            evidence = verdict["evidence"]
            lines += [
                f"{verdict['rule']} {verdict['outcome']} ({verdict['effect']}) at {verdict['happened_at']}",
                f"  {evidence['sentence']}",
                f"  decided by {_written(evidence['event'])}; equity {evidence.get('equity_source', 'not used')}",
            ]
        return "\n".join(lines)


def _written(fields: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in fields.items() if value is not None)


def _floor_lines(path: pd.DataFrame) -> list[str]:
    names = ["at", "balance", "equity", "daily_floor", "max_floor"]
    return ["  " + line for line in path[names].to_string(index=False).splitlines()]


def floor_path(steps: pd.DataFrame) -> pd.DataFrame:
    """The steps at which a floor moved, and the last one."""
    if steps.empty:
        return steps
    floors = steps[["daily_floor", "max_floor"]]
    moved = (floors != floors.shift()).any(axis=1) & ~(floors.isna() & floors.shift().isna()).all(axis=1)
    moved.iloc[-1] = True
    return steps[moved]


def explain(
    warehouse: Warehouse, rulebook: Rulebook, account_id: str, rule: str | None = None, as_of: dt.datetime | None = None
) -> Explanation:
    """Replays an account from the lake; ExplainRefused for an account not known or without terms, or no such rule."""
    if rule is not None and rule not in RULES:
        raise ExplainRefused(f"{rule}: no such rule; there are {', '.join(RULES)}")
    with warehouse.engine(as_of) as connection:
        stands_at = as_of or newest_fact(connection)
        register_terms(connection, rulebook)
        register_instruments(connection)
        accounts = _account(connection, account_id)
        return _replayed(connection, accounts, rulebook, stands_at or dt.datetime.now(dt.UTC), rule)


def _account(connection: duckdb.DuckDBPyConnection, account_id: str) -> pd.DataFrame:
    relations.build(connection, "facts.accounts")
    connection.execute("create or replace temp table asked as select ? as account_id", [account_id])
    query = "select accounts.* from facts.accounts as accounts inner join asked using (account_id)"
    accounts: pd.DataFrame = connection.sql(query).to_arrow_table().to_pandas()
    if accounts.empty:
        raise ExplainRefused(f"{account_id}: {NOT_KNOWN}")
    if not accounts["has_terms"].iloc[0]:
        raise ExplainRefused(f"{account_id}: the rulebook has no terms for {accounts['product'].iloc[0]} at its stage")
    return accounts


def _replayed(
    connection: duckdb.DuckDBPyConnection,
    accounts: pd.DataFrame,
    rulebook: Rulebook,
    as_of: dt.datetime,
    rule: str | None,
) -> Explanation:
    judged = judge(connection, accounts, rulebook, as_of)
    told = events.load(connection, accounts)
    if judged.pauses is not None:
        told = replace(told, events=paused(told.events, accounts, judged.pauses))
    compiled, clocks = terms.compile_terms(accounts, rulebook)
    first, last = terms.span(compiled, told.events.at, as_of)
    scheduled = terms.schedules(clocks, first, last)
    walked = walk.walk(told.events, compiled, scheduled, to_micros(as_of), want_steps=True)
    found, status = judged.verdicts, judged.status
    ended = to_micros(status["status_at"].iloc[0]) if status["status"].iloc[0] in TERMINAL else to_micros(as_of)
    row = accounts.iloc[0]
    stage = rulebook.terms(row["product"], int(row["product_version"]), row["stage"]) or {}
    wanted = found if rule is None else found[found["rule"] == rule]
    return Explanation(
        {name: row[name] for name in ("account_id", "trader_id", "product", "product_version", "stage", "currency")}
        | {"initial_balance": str(from_minor(compiled["initial"][0], row["currency"]))},
        _record(status.iloc[0]),
        [_record(row) | {"evidence": json.loads(row["evidence"])} for _, row in wanted.iterrows()],
        {name: fields for name, fields in stage.items() if rule in (None, name)},
        _steps(walked.steps[walked.steps["at"] <= ended], compiled, told, row["currency"]),
    )


def _record(row: pd.Series[Any]) -> dict[str, Any]:
    return {str(name): value for name, value in row.items()}


def _steps(steps: Array, compiled: Array, told: Told, currency: str) -> pd.DataFrame:
    scale = 10.0 ** decimals(currency)
    amounts = ("balance", "equity", "daily_reference", "daily_floor", "high_water", "max_floor")
    frame = pd.DataFrame({name: steps[name] / scale for name in amounts})
    for name, effect in (("daily_floor", "dl_effect"), ("max_floor", "ml_effect")):
        if not compiled[effect][0]:
            frame[name] = np.nan
    frame.insert(0, "at", [from_micros(at) for at in steps["at"]])
    frame["firm_day"] = [verdicts.EPOCH_DAY + dt.timedelta(days=int(day)) for day in steps["firm_day"]]
    frame["reset"] = steps["reset"] != 0
    silent = np.where(steps["reset"] != 0, "reset", "pause")
    frame["event"] = [
        told.source(int(event))["kind"] if event >= 0 else str(word)
        for event, word in zip(steps["event"], silent, strict=True)
    ]
    return frame
