"""Replays one account from the lake and tells its verdicts, with the floors' whole path up to each.

Beside them stands their history: what a run has stored of them, what was once said and taken back, and why. Who owns
an account and which accounts copy each other is read as the last run decided it; the rules that look across an owner's
accounts are judged anew on that.
"""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass, replace
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import sqlalchemy as sa

from models import events, set_rules, terms, verdicts, walk
from models.catalogue import Rulebook
from models.clock import from_micros, to_micros
from models.events import Told
from models.money import decimals, from_minor
from models.risk_score import UNSAID
from models.rule_words import rule_sentence
from models.rules import RULES
from models.set_rules import register_ends
from models.walk import Array
from pipelines.score import TERMINAL, ends_of, judge, paused, register_instruments, register_terms
from sql import relations, schema
from sql.decided import register_tables
from sql.live_schema import WITHDRAWN_VERDICTS
from sql.warehouse import Warehouse, newest_fact, read_frame

NOT_KNOWN = "no such account in the lake, or its challenge has not arrived yet"


REPEATED, RATES = "mart_repeat_breaches", "mart_breach_rates"
SAME, ABSENT = "the last run stored the same", "the last run did not store it"


class ExplainRefused(Exception):
    """An account or rule that cannot be explained, and why."""


@dataclass(frozen=True)
class History:
    """What was said of an account before this replay: `withdrawn` verdicts with when and why, those that the last run
    `only_stored` and this replay does not find, how the last run and this replay differ (`remarks`), how often the
    owner's challenges of the product breached (`repeated`, None for once or never), and what of the account's
    risk there was not enough to say, by which detectors and why (`unsaid`)."""

    withdrawn: list[dict[str, Any]]
    only_stored: list[dict[str, Any]]
    remarks: list[str]
    repeated: dict[str, Any] | None
    unsaid: str = ""


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
    history: History

    def as_json(self) -> dict[str, Any]:
        """The replay for a machine: of the steps, those at which a floor moved."""
        told: dict[str, Any] = _plain(self._told())
        return told

    def _told(self) -> dict[str, Any]:
        return {
            "account": self.account,
            "status": self.status,
            "terms": self.terms,
            "verdicts": self.verdicts,
            "floors": floor_path(self.steps).to_dict("records"),
            "withdrawn": self.history.withdrawn,
            "only_stored": self.history.only_stored,
            "remarks": self.history.remarks,
            "repeated_breaches": self.history.repeated,
            "not_enough_to_say": self.history.unsaid or None,
        }

    def as_text(self) -> str:
        """The replay as a person reads it."""
        account, status = self.account, self.status
        lines = [
            f"{account['account_id']}: {account['product']} version {account['product_version']}, {account['stage']}, "
            f"{account['initial_balance']} {account['currency']}, {status['status']} as of {status['as_of']}",
            "",
            "Terms in force at purchase:",
            *(f"  {name}: {rule_sentence(name, held, account['currency'])}" for name, held in self.terms.items()),
            "",
            "Floors as they moved:",
            *_floor_lines(floor_path(self.steps)),
            "",
        ]
        if not self.verdicts:
            lines.append("No verdict: nothing was breached and no target reached.")
        for verdict in self.verdicts:
            lines += _verdict_lines(verdict)
        return "\n".join([*lines, *_history_lines(self.history)])


def _plain(held: Any) -> Any:
    """The same for JSON: numbers as numbers, exact terms as text, instants as ISO 8601 with microseconds in UTC."""
    if isinstance(held, dict):
        return {str(name): _plain(value) for name, value in held.items()}
    if isinstance(held, list | tuple):
        return [_plain(value) for value in held]
    if isinstance(held, np.generic):
        held = held.item()
    if held is None or pd.isna(held):
        return None
    if isinstance(held, dt.datetime):
        return held.astimezone(dt.UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return held if isinstance(held, str | bool | int | float) else str(held)


def _verdict_lines(verdict: dict[str, Any]) -> list[str]:
    evidence = verdict["evidence"]
    source = f"; equity {evidence['equity_source']}" if "equity_source" in evidence else ""
    lines = [
        f"{verdict['rule']} {verdict['outcome']} ({verdict['effect']}) at {verdict['happened_at']}",
        f"  {evidence['sentence']}",
        f"  decided by {_written(evidence['event'])}{source}",
    ]
    if evidence.get("occurrences_in_all", 1) > 1:
        lines.append(f"  {evidence['occurrences_in_all']} occurrences that day, first:")
        lines += [f"    {_written(one)}" for one in evidence["occurrences"][:10]]
    return [*lines, f"  {verdict['stored']}"]


def _history_lines(history: History) -> list[str]:
    lines = ["", *history.remarks] if history.remarks else []
    for title, rows in (
        ("Stored by the last run and not found by this replay:", history.only_stored),
        ("Said once and withdrawn:", history.withdrawn),
    ):
        lines += ["", title] if rows else []
        for row in rows:
            lines.append(f"  {row['rule']} {row['outcome']} ({row['effect']}) at {row['happened_at']}")
            lines.append(f"    {row['evidence']['sentence']}")
            if "reason" in row:
                lines.append(f"    withdrawn at {row['withdrawn_at']}: {row['reason']}")
    if history.repeated:
        told = history.repeated
        usual = f"{100 * told['usual_share']:.0f} %"
        lines += [
            "",
            f"The owner lost {told['breached']} of {told['challenges']} challenges of {told['product']}, from"
            f" {told['first_at']} to {told['last_at']} (of all who bought it, {usual} breach).",
        ]
    if history.unsaid:
        lines += ["", f"Of its risk there is not enough to say of {history.unsaid}"]
    return lines


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
    with warehouse.engine(as_of) as connection, warehouse.database.connect() as database:
        stands_at = as_of or newest_fact(connection) or dt.datetime.now(dt.UTC)
        register_terms(connection, rulebook)
        register_instruments(connection)
        accounts = _account(connection, account_id)
        told = _replayed(connection, database, accounts, rulebook, stands_at, rule)
        return _with_history(told, database, rulebook, stands_at, rule)


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
    database: sa.Connection,
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
    status = judged.status
    shared = _shared_verdicts(connection, database, accounts, rulebook, as_of)
    found = pd.concat([frame for frame in (judged.verdicts, shared) if len(frame)] or [shared])
    found = found.sort_values("happened_at", kind="stable")
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
        History([], [], [], None),
    )


def _shared_verdicts(
    connection: duckdb.DuckDBPyConnection,
    database: sa.Connection,
    accounts: pd.DataFrame,
    rulebook: Rulebook,
    as_of: dt.datetime,
) -> pd.DataFrame:
    """What the rules that look across an owner's accounts say of one, judged with all of its owner's accounts."""
    row = accounts.iloc[0]
    held = rulebook.terms(row["product"], int(row["product_version"]), row["stage"]) or {}
    rules = [rule for rule in set_rules.SHARED if rule in held]
    if rules:
        register_tables(connection, database, schema.OWNERS, schema.COPY_PAIRS)
        connection.execute("create or replace temp table asked as select ? as trader_id", [row["trader_id"]])
        mine: pd.DataFrame = connection.sql(_ACCOUNTS_OF_OWNER).to_arrow_table().to_pandas()
        register_ends(connection, ends_of(judge(connection, mine, rulebook, as_of).status))
    return set_rules.judge(connection, accounts, rulebook, as_of, rules).verdicts


_ACCOUNTS_OF_OWNER = """
    with owner as (
        select owners.owner_id from decided.owners as owners inner join asked using (trader_id)
    )
    select accounts.*
    from facts.accounts as accounts
    left join decided.owners as owners using (trader_id)
    where
        accounts.has_terms
        and (accounts.trader_id = (select trader_id from asked) or owners.owner_id in (select owner_id from owner))
    order by accounts.account_id
"""


def _with_history(
    told: Explanation, database: sa.Connection, rulebook: Rulebook, as_of: dt.datetime, rule: str | None
) -> Explanation:
    """The replay beside what runs have said: each verdict with whether the last run stored the same."""
    account_id = told.account["account_id"]
    stored, taken = (_said_of(database, table, account_id, rule) for table in (schema.VERDICTS, WITHDRAWN_VERDICTS))
    keys, found = {_key(one) for one in stored}, {_key(one) for one in told.verdicts}
    marked = [one | {"stored": SAME if _key(one) in keys else ABSENT} for one in told.verdicts]
    only_stored = [one for one in stored if _key(one) not in found]
    repeated, unsaid = _repeated(database, told.account), _unsaid(database, account_id)
    history = History(taken, only_stored, _remarks(database, rulebook, as_of), repeated, unsaid)
    return replace(told, verdicts=marked, history=history)


def _unsaid(database: sa.Connection, account_id: str) -> str:
    """Which detectors the last run had too little for to say anything about the account, and what it lacked."""
    scores = schema.RISK_SCORES
    held = database.execute(sa.select(scores.c.reasons).where(scores.c.account_id == account_id)).scalar()
    for one in json.loads(held or "[]"):
        if one.get("reason") == UNSAID:
            return f"{', '.join(one['detectors']).replace('_', ' ')}. {one['sentence']}"
    return ""


def _said_of(database: sa.Connection, table: sa.Table, account_id: str, rule: str | None) -> list[dict[str, Any]]:
    condition = (table.c.account_id == account_id) & (sa.true() if rule is None else table.c.rule == rule)
    frame = read_frame(database, sa.select(table).where(condition).order_by(table.c.happened_at, table.c.rule))
    return [_record(row) | {"evidence": json.loads(row["evidence"])} for _, row in frame.iterrows()]


def _key(verdict: dict[str, Any]) -> tuple[Any, ...]:
    """What a verdict says, to compare it with another."""
    numbers = [
        round(float(verdict[name]), 6) if verdict[name] is not None else None for name in ("observed", "allowed")
    ]
    at = pd.Timestamp(verdict["happened_at"]).tz_convert("UTC")
    said = (verdict["rule"], verdict["outcome"], verdict["effect"], at, *numbers)
    return (*said, int(verdict["product_version"]), verdict["evidence"]["sentence"])


def _remarks(database: sa.Connection, rulebook: Rulebook, as_of: dt.datetime) -> list[str]:
    """In which ways the last run stood otherwise than this replay does."""
    runs = schema.RUNS
    last = database.execute(sa.select(runs).order_by(runs.c.run_id.desc()).limit(1)).mappings().first()
    if last is None:
        return ["No run has scored this home yet: owners are the traders themselves, and nothing is stored."]
    said = []
    if last["as_of"] != as_of:
        said.append(f"The last run stood at {last['as_of'].isoformat()}, this replay stands at {as_of.isoformat()}.")
    if last["rulebook"] != rulebook.digest:
        said.append("The last run judged by another state of the rulebook.")
    return said


def _repeated(database: sa.Connection, account: dict[str, Any]) -> dict[str, Any] | None:
    """The owner's breaches of the account's product as the last run counted them, and everybody's share."""
    if not all(sa.inspect(database).has_table(name) for name in (REPEATED, RATES)):
        return None
    table, rates = (sa.Table(name, sa.MetaData(), autoload_with=database) for name in (REPEATED, RATES))
    owners = schema.OWNERS
    owner = sa.select(owners.c.owner_id).where(owners.c.trader_id == account["trader_id"])
    mine = table.c.owner_id.in_(owner) | (table.c.owner_id == account["trader_id"])
    usual = sa.select(rates.c.breached_share).where(rates.c.product == table.c.product).scalar_subquery()
    query = sa.select(table, usual.label("usual_share")).where(mine, table.c.product == account["product"])
    frame = read_frame(database, query.limit(1))
    times = [name for name in frame.columns if name.endswith("_at")]
    frame = frame.assign(**{name: pd.to_datetime(frame[name], utc=True) for name in times})
    told = [name for name in frame.columns if not name.startswith("_")]
    return None if frame.empty else _record(frame[told].iloc[0])


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
