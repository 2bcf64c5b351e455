"""What people decide about partners: reassigned purchases, moves in the tree, coupons, held commissions; every decision
in the audit log.

A decision counts from the next run on, which settles all commissions from the start.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pandas as pd
import sqlalchemy as sa

from models.access import Person, require
from models.audit import Record, append
from sql.partner_schema import PARTNER_DECISIONS, PARTNER_HOLDS

PERMISSION = "partners.decide"
SHARE_DECIMALS = 6
_PARTNERS = sa.table("mart_partners", sa.column("partner_id"), sa.column("parent_partner_id"), sa.column("plan"))
_CHALLENGES = sa.table("mart_cohort_challenges", sa.column("challenge_id"), sa.column("desk_id"))


class PartnerRefused(Exception):
    """A decision about a partner that cannot be taken, and why."""


def reassign(
    database: sa.Connection, person: Person, challenge_id: str, shares: Mapping[str, Decimal], reason: str
) -> int:
    """Credits a purchase to partners in shares that sum to one; to nobody when there are none. Returns the version."""
    desk = database.execute(
        sa.select(_CHALLENGES.c.desk_id).where(_CHALLENGES.c.challenge_id == challenge_id)
    ).scalar_one_or_none()
    require(person, PERMISSION, desk, any_desk=desk is None)
    if desk is None:
        raise PartnerRefused(f"{challenge_id or 'no challenge given'}: no such purchase in the last run")
    for partner, share in shares.items():
        _known(database, partner)
        if not 0 < share <= 1 or share != round(share, SHARE_DECIMALS):
            raise PartnerRefused(f"{partner}: a share lies above 0, up to 1, with at most {SHARE_DECIMALS} decimals")
    if shares and sum(shares.values()) != 1:
        raise PartnerRefused(f"{challenge_id}: shares sum to {sum(shares.values()):f}, not to one")
    return _decide(database, person, "purchase", challenge_id, {p: str(s) for p, s in shares.items()}, reason)


def move(
    database: sa.Connection,
    person: Person,
    partner_id: str,
    parent: str | None,
    plan: str,
    since: dt.datetime,
    reason: str,
) -> int:
    """Puts a partner under another parent or plan from an instant on; earlier purchases keep who stood above."""
    require(person, PERMISSION, any_desk=True)
    _known(database, partner_id)
    if parent is not None:
        _known(database, parent)
        if partner_id in _upwards(database, parent):
            raise PartnerRefused(f"{partner_id} would be their own ancestor: {parent} stands below or is the same")
    if since.tzinfo is None:
        raise PartnerRefused("since when? An instant has an offset")
    told = {"parent": parent, "plan": plan, "since": since.astimezone(dt.UTC).isoformat()}
    return _decide(database, person, "move", partner_id, told, reason)


def give_coupon(database: sa.Connection, person: Person, coupon: str, partner_id: str | None, reason: str) -> int:
    """Says whose a coupon is; None leaves it to its uses again."""
    require(person, PERMISSION, any_desk=True)
    if not coupon.strip():
        raise PartnerRefused("which coupon?")
    if partner_id is not None:
        _known(database, partner_id)
    return _decide(database, person, "coupon", coupon.strip(), {"partner": partner_id}, reason)


def hold(database: sa.Connection, person: Person, partner_id: str, reason: str, *, on: bool = True) -> int:
    """Has a partner's unpaid commissions wait, or lets them be paid again. Returns the version."""
    require(person, PERMISSION, any_desk=True)
    _known(database, partner_id)
    if on == (partner_id in on_hold(database)):
        raise PartnerRefused(f"{partner_id}: its commissions {'are on hold already' if on else 'are not on hold'}")
    action, told = "hold" if on else "release", {"is_held": on}
    record = Record(person.name, f"partner {action}", f"partner:{partner_id}", reason.strip(), person.role, after=told)
    return _write(database, PARTNER_HOLDS, {"partner_id": partner_id}, told, record)


def _known(database: sa.Connection, partner_id: str) -> None:
    if not database.execute(sa.select(sa.exists().where(_PARTNERS.c.partner_id == partner_id))).scalar_one():
        raise PartnerRefused(f"{partner_id}: no such partner in the last run")


def _upwards(database: sa.Connection, partner_id: str) -> list[str]:
    """A partner and those above."""
    above = dict(database.execute(sa.select(_PARTNERS.c.partner_id, _PARTNERS.c.parent_partner_id)).tuples().all())
    for each in held(database, "move"):
        above[each["subject_id"]] = each["body"]["parent"]
    chain: list[str] = []
    at: str | None = partner_id
    while at is not None and at not in chain:
        chain.append(at)
        at = above.get(at)
    return chain


def _decide(
    database: sa.Connection, person: Person, kind: str, subject: str, body: Mapping[str, Any], reason: str
) -> int:
    """Writes a decision as its subject's next version, with its audit record."""
    record = Record(person.name, f"partner {kind}", f"{kind}:{subject}", reason.strip(), person.role, after=body)
    key = {"kind": kind, "subject_id": subject}
    return _write(database, PARTNER_DECISIONS, key, {"body": json.dumps(body)}, record)


def _write(
    database: sa.Connection, table: sa.Table, key: Mapping[str, str], values: Mapping[str, Any], record: Record
) -> int:
    """Writes the next version of what a key names, with its audit record."""
    if not record.reason:
        raise PartnerRefused("a decision needs a reason")
    append(database, record)
    mine = [table.c[name] == value for name, value in key.items()]
    version = int(database.execute(sa.select(sa.func.max(table.c.version)).where(*mine)).scalar_one() or 0) + 1
    told = {"person": record.actor, "role": record.role, "reason": record.reason}
    now = dt.datetime.now(dt.UTC)
    database.execute(sa.insert(table).values(**key, **values, **told, version=version, decided_at=now))
    return version


def held(database: sa.Connection, kind: str) -> list[dict[str, Any]]:
    """Decisions of a kind, oldest first, their bodies read."""
    table = PARTNER_DECISIONS
    query = sa.select(table).where(table.c.kind == kind).order_by(table.c.subject_id, table.c.version)
    return [dict(row) | {"body": json.loads(row["body"])} for row in database.execute(query).mappings()]


def _newest(database: sa.Connection, kind: str) -> dict[str, Any]:
    """The body in force by subject."""
    return {row["subject_id"]: row["body"] for row in held(database, kind)}


def hold_decisions(database: sa.Connection) -> list[dict[str, Any]]:
    """Every hold and release, oldest first."""
    query = sa.select(PARTNER_HOLDS).order_by(PARTNER_HOLDS.c.partner_id, PARTNER_HOLDS.c.version)
    return [dict(row) for row in database.execute(query).mappings()]


def on_hold(database: sa.Connection) -> dict[str, dict[str, Any]]:
    """The decision in force by each partner whose commissions wait."""
    newest = {row["partner_id"]: row for row in hold_decisions(database)}
    return {partner: row for partner, row in newest.items() if row["is_held"]}


def assigned(database: sa.Connection) -> pd.DataFrame:
    """Purchases that people credited: challenge_id, partner_id (None: to nobody), share."""
    rows = [
        (challenge, partner, float(share))
        for challenge, shares in _newest(database, "purchase").items()
        for partner, share in (shares or {None: 1.0}).items()
    ]
    return pd.DataFrame(rows, columns=["challenge_id", "partner_id", "share"]).astype({"partner_id": object})


def coupons(database: sa.Connection) -> dict[str, str]:
    """Partner by coupon, as people said."""
    return {coupon: told["partner"] for coupon, told in _newest(database, "coupon").items() if told["partner"]}


def moves(database: sa.Connection) -> pd.DataFrame:
    """Moves in the tree as its records: partner_id, parent_partner_id, plan, effective_from."""
    rows = [
        (row["subject_id"], row["body"]["parent"], row["body"]["plan"], pd.Timestamp(row["body"]["since"]))
        for row in held(database, "move")
    ]
    frame = pd.DataFrame(rows, columns=["partner_id", "parent_partner_id", "plan", "effective_from"])
    return frame.astype({"effective_from": "datetime64[us, UTC]", "parent_partner_id": object})
