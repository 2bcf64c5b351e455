"""What people decide about partners: whose a purchase is, where a partner stands in the tree, whose a coupon is, and
whose commissions wait."""

from __future__ import annotations

import sqlalchemy as sa

from sql.desk_schema import _refuse as refuse
from sql.schema import METADATA, Instant

KINDS = ("purchase", "move", "coupon")

PARTNER_DECISIONS = sa.Table(
    "partner_decisions",
    METADATA,
    sa.Column("kind", sa.Text, primary_key=True, comment="purchase, move or coupon"),
    sa.Column("subject_id", sa.Text, primary_key=True, comment="challenge, partner or coupon"),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False, comment="1, 2, …; the newest holds"),
    sa.Column("body", sa.Text, nullable=False, comment="JSON: shares by partner; parent, plan and since; or partner"),
    sa.Column("person", sa.Text, nullable=False, comment="who"),
    sa.Column("role", sa.Text, nullable=False, comment="in which role"),
    sa.Column("reason", sa.Text, nullable=False, comment="why"),
    sa.Column("decided_at", Instant, nullable=False, comment="when"),
    sa.CheckConstraint(f"kind in {KINDS}", name="partner_decision_known"),
    sa.CheckConstraint("version > 0", name="partner_decision_counted"),
    comment="What people decided about partners; a later version of a decision takes the place of an earlier one.",
)
PARTNER_HOLDS = sa.Table(
    "partner_holds",
    METADATA,
    sa.Column("partner_id", sa.Text, primary_key=True, comment="whose commissions"),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False, comment="1, 2, …; the newest holds"),
    sa.Column("is_held", sa.Boolean, nullable=False, comment="whether they wait, or may be paid again"),
    sa.Column("person", sa.Text, nullable=False, comment="who"),
    sa.Column("role", sa.Text, nullable=False, comment="in which role"),
    sa.Column("reason", sa.Text, nullable=False, comment="why; not told to the partner"),
    sa.Column("decided_at", Instant, nullable=False, comment="when"),
    sa.CheckConstraint("version > 0", name="partner_hold_counted"),
    comment="Partners whose commissions people had wait; a later version takes the place of an earlier one.",
)
COMMISSION_PLANS = sa.Table(
    "commission_plans",
    METADATA,
    sa.Column("plan_id", sa.Text, primary_key=True, comment="the plan"),
    sa.Column("body", sa.Text, nullable=False, comment="its TOML, as the newest run that could read it settled by it"),
    sa.Column("accepted_at", Instant, nullable=False, comment="when a run first settled by this text"),
    comment="Commission plans as runs last settled by them; one whose file breaks or goes away holds on.",
)
for _event in ("update", "delete"):
    for _table in (PARTNER_DECISIONS, PARTNER_HOLDS):
        refuse(_table, f"no_{_event}", _event, "", f"{_table.name} is append-only: no {_event}")
