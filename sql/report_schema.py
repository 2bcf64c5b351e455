"""Which reports are written by themselves, and when each was last."""

from __future__ import annotations

import sqlalchemy as sa

from sql.schema import METADATA, Instant

EVERY = ("day", "week", "month")
FORMS = ("html", "pdf")

REPORT_SCHEDULES = sa.Table(
    "report_schedules",
    METADATA,
    sa.Column("name", sa.Text, primary_key=True, comment="the schedule, and the first part of its files' names"),
    sa.Column("every", sa.Text, nullable=False, comment="day, week or month"),
    sa.Column("form", sa.Text, nullable=False, comment="html or pdf"),
    sa.Column("desk_id", sa.Text, comment="desk that it is about, empty for all of the firm"),
    sa.Column("folder", sa.Text, nullable=False, comment="folder to write"),
    sa.Column("person", sa.Text, nullable=False, comment="who set it up"),
    sa.Column("last_at", Instant, comment="the instant that its newest report stands at"),
    sa.CheckConstraint(f"every in {EVERY}", name="report_rhythm_known"),
    sa.CheckConstraint(f"form in {FORMS}", name="report_form_known"),
    comment="Management reports that a scoring run or the live service writes when they are due.",
)
