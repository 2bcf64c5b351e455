"""Reviews as cases stand now: a run wrote the check *case*, and what all checks lead to, as they were when it ended."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from models.payouts.checks import Check, led_to
from models.payouts.conduct import case_check
from models.payouts.facts import Row, case_of_each
from sql import schema
from sql.case_schema import CASES

FREEZE = "freeze_case"
"""The key under which a review tells the case that recommends a freeze of who asks; None where none does."""


def as_of_now(connection: sa.Connection, reviewed: Sequence[Row]) -> list[Row]:
    """Reviews (account_id, trader_id, checks, recommendation) as cases stand: of the payee's owner, of those of the
    account's ring, and of those told of at the run. What is recommended follows where they say otherwise than then."""
    listed: list[list[dict[str, Any]]] = [json.loads(row["checks"] or "[]") for row in reviewed]
    ring = _ring_traders(connection, {row["account_id"] for row in reviewed})
    payees = {row["trader_id"] for row in reviewed if row["trader_id"] is not None}
    then = [_told_then(checks) for checks in listed]
    cases = _cases(connection, payees.union(*ring.values()), set[str]().union(*then))
    return [
        _anew(row, checks, cases, ring.get(row["account_id"], set()), told)
        for row, checks, told in zip(reviewed, listed, then, strict=True)
    ]


def _anew(row: Row, checks: list[dict[str, Any]], cases: Sequence[Row], ring: Collection[str], told: set[str]) -> Row:
    """A review with what these cases say of it now."""
    own = [one for one in cases if one["of_trader"] == row["trader_id"]]
    others = [one for one in cases if one["of_trader"] in ring or one["owner_id"] in told]
    freeze = next((one["case_id"] for one in own if one["to_freeze"]), None)
    case = _check(own, others)
    now = case.as_json()
    anew = [now if one.get("check") == "case" else one for one in checks]
    if checks and case.outcome == "failed" and now not in anew:
        anew.append(now)
    if anew == checks:
        return row | {FREEZE: freeze}
    recommendation = led_to((one["outcome"], one.get("leads_to")) for one in anew)
    return row | {"checks": json.dumps(anew, ensure_ascii=False), "recommendation": recommendation, FREEZE: freeze}


def _check(own: Iterable[Row], others: Iterable[Row]) -> Check:
    """The check of cases, the payee's own before others; none that was dismissed."""
    mine = case_of_each(own)
    each = mine | {owner: one for owner, one in sorted(case_of_each(others).items()) if owner not in mine}
    return case_check(next(iter(mine), None), [one for one in each.values() if one["state"] != "dismissed"])


def _told_then(checks: Iterable[Mapping[str, Any]]) -> set[str]:
    """The owners whose cases a run told of."""
    numbers: Mapping[str, Any] = next((one.get("numbers") or {} for one in checks if one.get("check") == "case"), {})
    return {str(one["owner"]) for one in numbers.get("cases", ())}


def _ring_traders(connection: sa.Connection, accounts: Collection[str]) -> Mapping[str, set[str]]:
    """The traders in the rings of each of some accounts."""
    mine, others, status = schema.COPY_RINGS.alias(), schema.COPY_RINGS.alias(), schema.ACCOUNT_STATUS.c
    query = sa.select(mine.c.account_id, status.trader_id).where(mine.c.account_id.in_(accounts), mine.c.kind == "ring")
    query = query.join(others, others.c.ring_id == mine.c.ring_id)
    query = query.join(schema.ACCOUNT_STATUS, status.account_id == others.c.account_id)
    found: defaultdict[str, set[str]] = defaultdict(set)
    for account, trader in connection.execute(query):
        found[account].add(trader)
    return found


def _cases(connection: sa.Connection, traders: Collection[str], owners: Collection[str]) -> list[Row]:
    """Cases about owners, or about those of traders, by trader of theirs, the first opened before others."""
    known, held = CASES.c, schema.OWNERS.c
    trader = sa.func.coalesce(held.trader_id, known.trader_id)
    columns = (known.case_id, known.owner_id, known.state, known.to_freeze, known.opened_at, trader.label("of_trader"))
    query = sa.select(*columns).outerjoin(schema.OWNERS, known.owner_id == held.owner_id)
    query = query.where(sa.or_(trader.in_(traders), known.owner_id.in_(owners)))
    return [dict(row) for row in connection.execute(query.order_by(known.opened_at)).mappings()]
