"""What people decide about partners: reassigned purchases, moves in the tree, coupons; every decision in the audit log.

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
from sql.partner_schema import PARTNER_DECISIONS

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
        raise PartnerRefused(f"{challenge_id}: no such purchase in the last run")
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
    if not reason.strip():
        raise PartnerRefused("a decision needs a reason")
    mine = (PARTNER_DECISIONS.c.kind == kind) & (PARTNER_DECISIONS.c.subject_id == subject)
    record = Record(person.name, f"partner {kind}", f"{kind}:{subject}", reason.strip(), person.role, after=body)
    append(database, record)
    last = database.execute(sa.select(sa.func.max(PARTNER_DECISIONS.c.version)).where(mine)).scalar_one()
    version = int(last or 0) + 1
    database.execute(
        sa.insert(PARTNER_DECISIONS).values(
            kind=kind,
            subject_id=subject,
            version=version,
            body=json.dumps(body),
            person=person.name,
            role=person.role,
            reason=reason.strip(),
            decided_at=dt.datetime.now(dt.UTC),
        )
    )
    return version


def held(database: sa.Connection, kind: str) -> list[dict[str, Any]]:
    """Decisions of a kind, oldest first, their bodies read."""
    table = PARTNER_DECISIONS
    query = sa.select(table).where(table.c.kind == kind).order_by(table.c.subject_id, table.c.version)
    return [dict(row) | {"body": json.loads(row["body"])} for row in database.execute(query).mappings()]


def _newest(database: sa.Connection, kind: str) -> dict[str, Any]:
    """The body in force by subject."""
    return {row["subject_id"]: row["body"] for row in held(database, kind)}


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
