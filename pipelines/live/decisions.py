"""What the live service writes in one transaction: changed verdicts, status and days, actions, withdrawals."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd
import sqlalchemy as sa

from models.clock import to_micros
from models.walk import RULE_NAMES
from pipelines.live import alerts
from pipelines.score import TERMINAL
from pipelines.withdrawals import LATE
from sql import schema
from sql.live_schema import OUTBOX, WEBHOOKS, WITHDRAWN_VERDICTS
from sql.warehouse import read_frame, upsert_rows, write_rows

WALK_RULES = frozenset(RULE_NAMES[1:])
ENFORCEMENT = ("freeze", "pause", "close_positions", "disable", "restore")
LIFECYCLE = ("provision", "ask_kyc", "offer_reset", "offer_winback")
ACTIONS = {
    ("breached", "terminate"): ("freeze", "close_positions", "offer_reset", "disable"),
    ("breached", "pause"): ("pause",),
    ("passed", "pass"): ("provision", "disable"),
}
"""What follows from a verdict, in this order."""
ENDINGS = {("breached", "terminate"), ("passed", "pass")}
"""Verdicts after which an account is stopped, and whose withdrawal restores it."""
AFTER = {"disable": dt.timedelta(hours=24)}
"""What cannot be taken back waits until the verdict has stood for so long."""
TOLD = ("trader_id", "challenge_id", "platform", "login", "product", "stage")
"""What an action says of its account."""
STATES = {"observe": "observed", "ask": "asked", "enforce": "waiting"}
OFF = "off"
TAKEN_BACK = "the verdict was withdrawn"
NOT_OFFERED = ("high", "critical")
"""Bands of risk whose accounts are offered nothing."""

AT_ONCE_MAX = 500

Said = tuple[str, str, int, float, float]
"""What identifies a verdict of an account: rule, outcome, instant in microseconds, observed, allowed."""


@dataclass(frozen=True)
class Action:
    """Something asked of the platform for an account: why (`rule`) and when; `about` where no verdict caused it."""

    account_id: str
    name: str
    rule: str
    at: int
    about: str = ""
    desk_id: str | None = None
    told: tuple[tuple[str, str], ...] = ()
    turn: int = 0

    @property
    def number(self) -> str:
        """What identifies it: the same verdict, or the same purchase or request, never acts twice."""
        verdict = (self.account_id, self.name, self.rule, self.at, *([self.turn] if self.turn else []))
        return hashlib.sha256(json.dumps((self.name, self.about) if self.about else verdict).encode()).hexdigest()[:32]


About = Callable[[str], dict[str, str]]


def _nothing(_: str) -> dict[str, str]:
    return {}


@dataclass(frozen=True)
class Change:
    """New and vanished verdicts of accounts: rows in published columns, and (account_id, what was said)."""

    added: pd.DataFrame
    gone: list[tuple[str, Said]]

    @property
    def accounts(self) -> set[str]:
        """The accounts that it is about."""
        added = set(self.added["account_id"]) if len(self.added) else set()
        return added | {account for account, _ in self.gone}


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


def write_days(database: sa.Connection, days: pd.DataFrame, since: Mapping[str, dt.date]) -> None:
    """Writes days; of accounts in `since` nothing else is left from that date on."""
    table = schema.ACCOUNT_DAYS
    statement = sa.delete(table).where(
        table.c.account_id == sa.bindparam("account"), table.c.firm_day >= sa.bindparam("day")
    )
    if since:
        database.execute(statement, [{"account": account, "day": day} for account, day in since.items()])
    upsert_rows(database, table, days)


def write_change(
    database: sa.Connection, change: Change, desks: dict[str, str], now: dt.datetime, about: About = _nothing
) -> None:
    """Writes new verdicts with the actions they cause, and withdraws the vanished ones.

    `about` tells of an account what its actions say beside the verdict; without a `next_stage` none is provisioned.
    """
    withdraw(database, change.gone, desks, now, about)
    write_rows(database, schema.VERDICTS, change.added)
    rows = change.added[["account_id", "rule", "outcome", "effect", "happened_at"]].itertuples(index=False, name=None)
    actions = [
        Action(account, name, rule, to_micros(pd.Timestamp(at).to_pydatetime()))
        for account, rule, outcome, effect, at in rows
        for name in ACTIONS.get((outcome, effect), ())
    ]
    act(database, _described(actions, about), desks, now)
    told = change.added.to_dict("records")
    alerts.raise_alerts(database, [{str(name): value for name, value in row.items()} for row in told], desks, now)


def _described(actions: Iterable[Action], about: About) -> list[Action]:
    found = [replace(one, told=tuple(about(one.account_id).items())) for one in actions]
    return [one for one in found if one.name != "provision" or "next_stage" in dict(one.told)]


def withdraw(
    database: sa.Connection,
    gone: Iterable[tuple[str, Said]],
    desks: dict[str, str],
    now: dt.datetime,
    about: About = _nothing,
) -> None:
    """Moves verdicts that no longer hold to the withdrawn ones; an account that was stopped for one is restored."""
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
    act(database, _described(actions, about), desks, now)


def _take_back(database: sa.Connection, row: dict[str, object], now: dt.datetime) -> list[Action]:
    table = schema.VERDICTS.c
    same = [table[name] == row[name] for name in ("account_id", "rule", "outcome", "happened_at", "evidence")]
    database.execute(sa.delete(schema.VERDICTS).where(*same))
    names = ("account_id", "rule", "outcome", "effect", "happened_at", "evidence")
    told = {name: row[name] for name in names}
    database.execute(sa.insert(WITHDRAWN_VERDICTS).values(**told, withdrawn_at=now, reason=LATE))
    return _undone(database, row, now)


def undo(
    database: sa.Connection, rows: Iterable[dict[str, object]], desks: dict[str, str], now: dt.datetime, about: About
) -> None:
    """Calls off what verdicts caused that are already among the withdrawn ones; who was stopped for one is restored."""
    actions = [action for row in rows for action in _undone(database, row, now)]
    act(database, _described(actions, about), desks, now)


def _undone(database: sa.Connection, row: dict[str, object], now: dt.datetime) -> list[Action]:
    """Declines what has not gone of a withdrawn verdict's actions; the restoring, where something had gone."""
    outcome, effect = str(row["outcome"]), str(row["effect"])
    at = to_micros(pd.Timestamp(row["happened_at"]).to_pydatetime())  # type: ignore[arg-type]
    account, rule = str(row["account_id"]), str(row["rule"])
    turn = _withdrawn(database, account, rule, at) - 1
    caused = [Action(account, name, rule, at, turn=turn) for name in ACTIONS.get((outcome, effect), ())]
    _call_off(database, [one.number for one in caused], now)
    stopped = [one.number for one in caused if one.name in ENFORCEMENT]
    went = (OUTBOX.c.outbox_id.in_(stopped), OUTBOX.c.state != "declined")
    is_stopped = database.execute(sa.select(OUTBOX.c.outbox_id).where(*went)).first() is not None
    return [Action(account, "restore", rule, at)] if (outcome, effect) in ENDINGS and is_stopped else []


def _call_off(database: sa.Connection, numbers: list[str], now: dt.datetime) -> None:
    """Declines what has not been tried of actions whose verdict no longer holds."""
    mine = (OUTBOX.c.outbox_id.in_(numbers), OUTBOX.c.state.in_(("asked", "waiting")), OUTBOX.c.attempts == 0)
    database.execute(sa.update(OUTBOX).where(*mine).values(state="declined", settled_at=now, said=TAKEN_BACK))


def _withdrawn(database: sa.Connection, account: str, rule: str, at: int) -> int:
    """How often a verdict was withdrawn; given again, it acts again."""
    table = WITHDRAWN_VERDICTS.c
    mine = (table.account_id == account, table.rule == rule, table.happened_at == _instant(at))
    return int(database.execute(sa.select(sa.func.count()).where(*mine)).scalar_one())


def _instant(at: int) -> dt.datetime:
    return dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=at)


def act(database: sa.Connection, actions: Sequence[Action], desks: dict[str, str], now: dt.datetime) -> None:
    """Puts actions into the outbox of desks with a platform gateway, each once, in their order."""
    if not actions:
        return
    gateways = {
        desk: (mode, json.loads(modes or "{}"))
        for desk, mode, modes in database.execute(sa.select(WEBHOOKS.c.desk_id, WEBHOOKS.c.mode, WEBHOOKS.c.modes))
    }
    if not gateways:
        return
    risky = _risky(database, {one.account_id for one in actions if one.name == "offer_reset"})
    there = _there(database, [one.number for one in actions if one.about])
    for place, one in enumerate(actions):
        desk = one.desk_id or desks.get(one.account_id, "")
        mode, otherwise = gateways.get(desk, (OFF, {}))
        mode = otherwise.get(one.name, mode)
        if mode != OFF and one.number not in there and not (one.name == "offer_reset" and one.account_id in risky):
            turn = 0 if one.about else _withdrawn(database, one.account_id, one.rule, one.at)
            _put(database, desk, mode, replace(one, turn=turn), now, now + dt.timedelta(microseconds=place))


def _there(database: sa.Connection, numbers: list[str]) -> set[str]:
    """Which of these are in the outbox already."""
    found: set[str] = set()
    for start in range(0, len(numbers), AT_ONCE_MAX):
        some = OUTBOX.c.outbox_id.in_(numbers[start : start + AT_ONCE_MAX])
        found |= set(database.execute(sa.select(OUTBOX.c.outbox_id).where(some)).scalars())
    return found


def _risky(database: sa.Connection, accounts: set[str]) -> set[str]:
    """Accounts in a band that is offered nothing."""
    scores, listed = schema.RISK_SCORES.c, sorted(accounts)
    found: set[str] = set()
    for start in range(0, len(listed), AT_ONCE_MAX):
        some = scores.account_id.in_(listed[start : start + AT_ONCE_MAX])
        found |= set(database.execute(sa.select(scores.account_id).where(some, scores.band.in_(NOT_OFFERED))).scalars())
    return found


def _put(
    database: sa.Connection, desk: str, mode: str, action: Action, now: dt.datetime, created_at: dt.datetime
) -> None:
    number = action.number
    if _there(database, [number]):
        return
    happened_at = _instant(action.at).isoformat()
    body = {
        "id": number, "account_id": action.account_id, "action": action.name, "rule": action.rule,
        "happened_at": happened_at, **dict(action.told),
    }  # fmt: skip
    database.execute(
        sa.insert(OUTBOX).values(
            outbox_id=number, desk_id=desk, account_id=action.account_id, action=action.name, body=json.dumps(body),
            state=STATES[mode], attempts=0, next_at=now + AFTER.get(action.name, dt.timedelta()),
            created_at=created_at,
        )
    )  # fmt: skip
