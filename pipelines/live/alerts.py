"""Tells people of verdicts through Apprise: each case once per subscription, not in quiet hours, or as a digest."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import secrets
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from typing import Any
from zoneinfo import ZoneInfo

import apprise
import sqlalchemy as sa

from models.clock import zones
from models.detectors import DETECTORS
from models.detectors.partners import PARTNER_DETECTORS
from models.rules import RULES
from sql.live_schema import ALERT_SUBSCRIPTIONS, DELIVERIES
from sql.warehouse import Warehouse

ATTEMPTS_MAX = 5
LINES_MAX = 50
SEVERITIES = {"passed": 0, "warned": 1, "flagged": 1, "high": 1, "breached": 2, "critical": 2, "silent": 3}
"""How grave each outcome is: a feed that stopped is louder than a breach, and is told in quiet hours too."""
LOUDEST = 3
CAUSES = tuple(sorted({*RULES, *DETECTORS, *PARTNER_DETECTORS, "risk_score", "source"}))
"""What news can come from: rules, detectors, the risk score and a source that fell silent."""
USUAL = ("breached", "passed", "silent")
Notify = Callable[[str, str, str], bool]


class AlertRefused(Exception):
    """A subscription that cannot be made, with the sentence that says why."""


def subscribe(
    warehouse: Warehouse,
    role: str,
    url: str,
    *,
    desk_id: str | None = None,
    rule: str | None = None,
    outcomes: Sequence[str] = USUAL,
    quiet: tuple[str, str] | None = None,
    zone: str = "UTC",
    digest_minutes: int = 0,
    severity_min: int = 0,
    escalate: tuple[int, str] | None = None,
) -> str:
    """Subscribes a role to news at an Apprise address; returns the id. AlertRefused when it is unusable.

    `escalate` is how many minutes may pass until somebody opens an alert, and the address that is told then.
    """
    if not all(apprise.Apprise().add(address) for address in (url, *(escalate or ())[1:])):
        raise AlertRefused("the address is none that Apprise knows")
    if rule is not None and rule not in CAUSES:
        raise AlertRefused(f"there is no rule or detector {rule!r}: nothing would ever be told")
    unknown = sorted(set(outcomes) - SEVERITIES.keys())
    if unknown:
        raise AlertRefused(f"there is no outcome {unknown[0]}; the outcomes are {', '.join(SEVERITIES)}")
    if escalate and escalate[0] < 1:
        raise AlertRefused("an escalation needs at least a minute")
    if zone not in zones():
        raise AlertRefused(f"there is no time zone {zone!r}")
    for clock in quiet or ():
        _minutes(clock)
    number = secrets.token_hex(6)
    with warehouse.database.begin() as database:
        database.execute(
            sa.insert(ALERT_SUBSCRIPTIONS).values(
                subscription_id=number, role=role, url=url, desk_id=desk_id, rule=rule,
                outcomes=json.dumps(list(outcomes)), quiet_from=quiet[0] if quiet else None,
                quiet_to=quiet[1] if quiet else None, zone=zone, digest_minutes=digest_minutes,
                severity_min=severity_min, escalate_minutes=escalate[0] if escalate else None,
                escalate_url=escalate[1] if escalate else None,
            )
        )  # fmt: skip
    return number


def in_force(database: sa.Connection) -> list[dict[str, Any]]:
    """Subscriptions that were not ended, by role."""
    table = ALERT_SUBSCRIPTIONS
    query = sa.select(table).where(table.c.ended_at.is_(None)).order_by(table.c.role, table.c.subscription_id)
    return [dict(row) for row in database.execute(query).mappings()]


def end(warehouse: Warehouse, subscription_id: str) -> None:
    """Ends a subscription; what waits for it is not sent. AlertRefused when there is none in force."""
    table = ALERT_SUBSCRIPTIONS
    mine = (table.c.subscription_id == subscription_id, table.c.ended_at.is_(None))
    with warehouse.database.begin() as database:
        if not database.execute(sa.update(table).where(*mine).values(ended_at=dt.datetime.now(dt.UTC))).rowcount:
            raise AlertRefused(f"there is no subscription {subscription_id} in force")
        waits = (DELIVERIES.c.subscription_id == subscription_id, DELIVERIES.c.state == "waiting")
        database.execute(sa.update(DELIVERIES).where(*waits).values(state="ended"))


def shown_address(url: str) -> str:
    """An Apprise address without what must not be read: its service and the end of it."""
    service, _, rest = url.partition("://")
    return f"{service}://…{rest[-4:]}" if len(rest) > 12 else f"{service}://…"


def _minutes(clock: str) -> int:
    try:
        at = dt.time.fromisoformat(clock)
    except ValueError as error:
        raise AlertRefused(f"{clock!r} is no time of day; write HH:MM") from error
    return 60 * at.hour + at.minute


def raise_alerts(
    database: sa.Connection, verdicts: Sequence[dict[str, Any]], desks: dict[str, str], now: dt.datetime
) -> None:
    """Puts new verdicts (published columns) in line for whoever subscribed to them, each case once."""
    told = [
        {
            "subject": verdict["account_id"], "desk_id": desks.get(verdict["account_id"]),
            "sentence": json.loads(verdict["evidence"])["sentence"],
            **{name: verdict[name] for name in ("rule", "outcome", "happened_at")},
        }
        for verdict in verdicts
    ]  # fmt: skip
    raise_news(database, told, now)


def raise_news(database: sa.Connection, news: Sequence[dict[str, Any]], now: dt.datetime) -> None:
    """Puts news (subject, desk_id, rule or detector, outcome, happened_at, sentence) in line for whoever subscribed."""
    if not news:
        return
    subscriptions = in_force(database)
    for one in news:
        for subscription in subscriptions:
            if _concerns(subscription, one):
                _put(database, subscription["subscription_id"], one, now)


def _concerns(subscription: dict[str, Any], news: dict[str, Any]) -> bool:
    return (
        subscription["desk_id"] in (None, news["desk_id"])
        and subscription["rule"] in (None, news["rule"])
        and news["outcome"] in json.loads(subscription["outcomes"])
        and SEVERITIES[news["outcome"]] >= (subscription["severity_min"] or 0)
    )


def _put(database: sa.Connection, subscription_id: str, news: dict[str, Any], now: dt.datetime) -> None:
    told = [news[name] for name in ("subject", "rule", "outcome")]
    case = hashlib.sha256(json.dumps([*told, str(news["happened_at"])]).encode()).hexdigest()[:32]
    mine = (DELIVERIES.c.subscription_id == subscription_id, DELIVERIES.c.case_id == case)
    if database.execute(sa.select(DELIVERIES.c.case_id).where(*mine)).first():
        return
    database.execute(
        sa.insert(DELIVERIES).values(
            subscription_id=subscription_id, case_id=case, title=_title(news), state="waiting", attempts=0,
            body=news["sentence"], severity=SEVERITIES[news["outcome"]], created_at=now,
        )
    )  # fmt: skip


def _title(news: dict[str, Any]) -> str:
    """What an alert is about, as people say it: the subject, the rule or detector, what became of it."""
    return f"{news['subject']} {news['rule'].replace('_', ' ')} {news['outcome']}"


def notify(url: str, title: str, body: str) -> bool:
    """Sends one message by Apprise."""
    sender = apprise.Apprise()
    sender.add(url)
    return bool(sender.notify(body=body, title=title))


def tell(warehouse: Warehouse, now: dt.datetime, send: Notify = notify) -> int:
    """Sends what waits and may be sent now; returns the messages that were delivered."""
    with warehouse.database.connect() as database:
        subscriptions = in_force(database)
        query = sa.select(DELIVERIES).where(DELIVERIES.c.state == "waiting").order_by(DELIVERIES.c.created_at)
        waiting: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        for row in database.execute(query).mappings():
            waiting[row["subscription_id"]].append(dict(row))
    sent = 0
    for subscription in subscriptions:
        cases = waiting[subscription["subscription_id"]]
        if _quiet(subscription, now):
            cases = [case for case in cases if case["severity"] == LOUDEST]
        if cases:
            sent += sum(_send(warehouse, subscription, group, now, send) for group in _groups(subscription, cases, now))
    return sent + sum(_escalate(warehouse, subscription, now, send) for subscription in subscriptions)


def _escalate(warehouse: Warehouse, subscription: dict[str, Any], now: dt.datetime, send: Notify) -> int:
    """Tells the other address of what was sent and nobody opened in time; each once."""
    if not subscription["escalate_minutes"]:
        return 0
    late = (
        DELIVERIES.c.subscription_id == subscription["subscription_id"],
        DELIVERIES.c.state == "sent",
        DELIVERIES.c.opened_at.is_(None),
        DELIVERIES.c.escalated_at.is_(None),
        DELIVERIES.c.delivered_at <= now - dt.timedelta(minutes=subscription["escalate_minutes"]),
    )
    with warehouse.database.connect() as database:
        cases = database.execute(sa.select(DELIVERIES).where(*late).order_by(DELIVERIES.c.created_at)).mappings().all()
    told = 0
    for case in cases:
        if not send(subscription["escalate_url"], f"Nobody has opened: {case['title']}", case["body"]):
            continue
        mine = (DELIVERIES.c.subscription_id == case["subscription_id"], DELIVERIES.c.case_id == case["case_id"])
        with warehouse.database.begin() as database:
            database.execute(sa.update(DELIVERIES).where(*mine).values(escalated_at=now))
        told += 1
    return told


def log(warehouse: Warehouse) -> list[dict[str, Any]]:
    """Every alert with who was to be told and what became of it, newest first; addresses are left out."""
    query = (
        sa.select(DELIVERIES, ALERT_SUBSCRIPTIONS.c.role, ALERT_SUBSCRIPTIONS.c.desk_id)
        .join(ALERT_SUBSCRIPTIONS, ALERT_SUBSCRIPTIONS.c.subscription_id == DELIVERIES.c.subscription_id)
        .order_by(DELIVERIES.c.created_at.desc(), DELIVERIES.c.case_id)
    )
    with warehouse.database.connect() as database:
        return [dict(row) for row in database.execute(query).mappings()]


def opened(warehouse: Warehouse, case_ids: Collection[str], who: str) -> None:
    """Notes that somebody opened alerts, for everybody who was told; AlertRefused when there is none to open."""
    mine = (DELIVERIES.c.case_id.in_(case_ids), DELIVERIES.c.opened_at.is_(None))
    with warehouse.database.begin() as database:
        values = {"opened_at": dt.datetime.now(dt.UTC), "opened_by": who}
        if not database.execute(sa.update(DELIVERIES).where(*mine).values(**values)).rowcount:
            raise AlertRefused(f"there is no unopened alert {', '.join(case_ids)}")


def _quiet(subscription: dict[str, Any], now: dt.datetime) -> bool:
    """Whether it is between the quiet hours' first minute and their last, over midnight too."""
    if subscription["quiet_from"] is None or subscription["quiet_to"] is None:
        return False
    first, last = _minutes(subscription["quiet_from"]), _minutes(subscription["quiet_to"])
    local = now.astimezone(ZoneInfo(subscription["zone"]))
    minute = 60 * local.hour + local.minute
    return first <= minute < last if first <= last else minute >= first or minute < last


def _groups(subscription: dict[str, Any], cases: list[dict[str, Any]], now: dt.datetime) -> list[list[dict[str, Any]]]:
    """What makes one message: each case, or all of them once the oldest is as old as the digest's interval."""
    if not subscription["digest_minutes"]:
        return [[case] for case in cases]
    due = now - cases[0]["created_at"] >= dt.timedelta(minutes=subscription["digest_minutes"])
    return [cases] if due else []


def _send(
    warehouse: Warehouse, subscription: dict[str, Any], cases: list[dict[str, Any]], now: dt.datetime, send: Notify
) -> bool:
    title = cases[0]["title"] if len(cases) == 1 else f"{len(cases)} verdicts"
    lines = [case["body"] if len(cases) == 1 else f"{case['title']}: {case['body']}" for case in cases[:LINES_MAX]]
    done = send(subscription["url"], title, "\n".join(lines))
    with warehouse.database.begin() as database:
        for case in cases:
            attempts = case["attempts"] + 1
            state = "sent" if done else "failed" if attempts >= ATTEMPTS_MAX else "waiting"
            mine = (
                DELIVERIES.c.subscription_id == case["subscription_id"],
                DELIVERIES.c.case_id == case["case_id"],
            )
            values = {"state": state, "attempts": attempts, "delivered_at": now if done else None}
            database.execute(sa.update(DELIVERIES).where(*mine).values(**values))
    return done
