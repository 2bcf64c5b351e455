"""What the live service writes in one transaction: changed verdicts, status and days, actions, withdrawals."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd
import sqlalchemy as sa

from models.clock import to_micros
from models.walk import RULE_NAMES
from pipelines.live import alerts
from pipelines.score import TERMINAL
from sql import schema
from sql.live_schema import OUTBOX, WEBHOOKS, WITHDRAWN_VERDICTS
from sql.warehouse import read_frame, upsert_rows, write_rows

WALK_RULES = frozenset(RULE_NAMES[1:])
LATE = "an event that arrived late or corrected an earlier one changed the account's history"
ACTIONS = {("breached", "terminate"): "freeze", ("breached", "pause"): "pause", ("passed", "pass"): "provision"}
STATES = {"observe": "observed", "ask": "asked", "enforce": "waiting"}

Said = tuple[str, str, int, float, float]
"""What identifies a verdict of an account: rule, outcome, instant in microseconds, observed, allowed."""


@dataclass(frozen=True)
class Change:
    """New and vanished verdicts of accounts: rows in published columns, and (account_id, what was said)."""

    added: pd.DataFrame
    gone: list[tuple[str, Said]]


UNCHANGED = Change(pd.DataFrame(), [])
"""The change of a fold that says nothing new, as most do."""


def said(row: tuple[object, ...]) -> Said:
    """What a row (rule, outcome, happened_at, observed, allowed) says."""
    rule, outcome, at, observed, allowed = row
    instant = pd.Timestamp(at).to_pydatetime()  # type: ignore[arg-type]
    return str(rule), str(outcome), to_micros(instant), _number(observed), _number(allowed)


def _number(value: object) -> float:
    """A figure to the sixth decimal; one that is missing is the same as any other that is."""
    return round(float(value), 6) if value is not None and value == value else float("-inf")  # type: ignore[arg-type]


def standing(database: sa.Connection) -> dict[str, set[Said]]:
    """Every verdict of the database by account."""
    table = schema.VERDICTS.c
    query = sa.select(table.account_id, table.rule, table.outcome, table.happened_at, table.observed, table.allowed)
    held: dict[str, set[Said]] = {}
    for account, *row in database.execute(query):
        held.setdefault(account, set()).add(said(tuple(row)))
    return held


def ended(database: sa.Connection) -> set[str]:
    """Accounts that are at their end."""
    status = schema.ACCOUNT_STATUS.c
    return set(database.execute(sa.select(status.account_id).where(status.status.in_(TERMINAL))).scalars())


def write_days(database: sa.Connection, days: pd.DataFrame, since: dict[str, dt.date]) -> None:
    """Writes days; of accounts in `since` nothing else is left from that date on."""
    table = schema.ACCOUNT_DAYS
    statement = sa.delete(table).where(
        table.c.account_id == sa.bindparam("account"), table.c.firm_day >= sa.bindparam("day")
    )
    if since:
        database.execute(statement, [{"account": account, "day": day} for account, day in since.items()])
    upsert_rows(database, table, days)


def write_change(database: sa.Connection, change: Change, desks: dict[str, str], now: dt.datetime) -> None:
    """Writes new verdicts with the actions they cause, and withdraws the vanished ones."""
    withdraw(database, change.gone, desks, now)
    write_rows(database, schema.VERDICTS, change.added)
    rows = change.added[["account_id", "rule", "outcome", "effect", "happened_at"]].itertuples(index=False, name=None)
    actions = [
        (account, ACTIONS[outcome, effect], rule, to_micros(pd.Timestamp(at).to_pydatetime()))
        for account, rule, outcome, effect, at in rows
        if (outcome, effect) in ACTIONS
    ]
    act(database, actions, desks, now)
    told = change.added.to_dict("records")
    alerts.raise_alerts(database, [{str(name): value for name, value in row.items()} for row in told], desks, now)


def withdraw(
    database: sa.Connection, gone: Iterable[tuple[str, Said]], desks: dict[str, str], now: dt.datetime
) -> None:
    """Moves verdicts that no longer hold to the withdrawn ones; an ending that is taken back asks for a restore."""
    wanted: dict[str, set[Said]] = {}
    for account, what in gone:
        wanted.setdefault(account, set()).add(what)
    actions = []
    for account, whats in wanted.items():
        found = read_frame(database, sa.select(schema.VERDICTS).where(schema.VERDICTS.c.account_id == account))
        columns = found[["rule", "outcome", "happened_at", "observed", "allowed"]]
        keep = [said(row) in whats for row in columns.itertuples(index=False, name=None)]
        for row in found[keep].to_dict("records"):
            actions += _take_back(database, {str(name): value for name, value in row.items()}, now)
    act(database, actions, desks, now)


def _take_back(database: sa.Connection, row: dict[str, object], now: dt.datetime) -> list[tuple[str, str, str, int]]:
    table = schema.VERDICTS.c
    same = [table[name] == row[name] for name in ("account_id", "rule", "outcome", "happened_at", "evidence")]
    database.execute(sa.delete(schema.VERDICTS).where(*same))
    names = ("account_id", "rule", "outcome", "effect", "happened_at", "evidence")
    told = {name: row[name] for name in names}
    database.execute(sa.insert(WITHDRAWN_VERDICTS).values(**told, withdrawn_at=now, reason=LATE))
    if (row["outcome"], row["effect"]) != ("breached", "terminate"):
        return []
    at = to_micros(pd.Timestamp(row["happened_at"]).to_pydatetime())  # type: ignore[arg-type]
    return [(str(row["account_id"]), "restore", str(row["rule"]), at)]


def act(
    database: sa.Connection, actions: Sequence[tuple[str, str, str, int]], desks: dict[str, str], now: dt.datetime
) -> None:
    """Puts actions (account, action, rule, instant) into the outbox of desks with a platform gateway, each once."""
    if not actions:
        return
    modes = dict(database.execute(sa.select(WEBHOOKS.c.desk_id, WEBHOOKS.c.mode)).tuples().all())
    for account, action, rule, at in actions:
        desk = desks.get(account, "")
        if desk in modes:
            _put(database, desk, modes[desk], (account, action, rule, at), now)


def _put(database: sa.Connection, desk: str, mode: str, action: tuple[str, str, str, int], now: dt.datetime) -> None:
    account, name, rule, at = action
    number = hashlib.sha256(json.dumps(action).encode()).hexdigest()[:32]
    if database.execute(sa.select(OUTBOX.c.outbox_id).where(OUTBOX.c.outbox_id == number)).first():
        return
    happened_at = dt.datetime.fromtimestamp(at / 1e6, dt.UTC).isoformat()
    body = {"id": number, "account_id": account, "action": name, "rule": rule, "happened_at": happened_at}
    database.execute(
        sa.insert(OUTBOX).values(
            outbox_id=number, desk_id=desk, account_id=account, action=name, body=json.dumps(body),
            state=STATES[mode], attempts=0, next_at=now, created_at=now,
        )
    )  # fmt: skip
