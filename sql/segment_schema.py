"""Segments of traders as runs found them, how far what the churn model sees has moved, and how long traders stay."""

from __future__ import annotations

import sqlalchemy as sa

from sql.schema import METADATA, Instant

SEGMENT_MEMBERS = sa.Table(
    "segment_members",
    METADATA,
    sa.Column("segment", sa.Text, primary_key=True, comment="name of the segment"),
    sa.Column("trader_id", sa.Text, primary_key=True, comment="who belongs to it at present"),
    comment="Who belongs to which segment at the newest run.",
)
SEGMENT_SIZES = sa.Table(
    "segment_sizes",
    METADATA,
    sa.Column("segment", sa.Text, primary_key=True, comment="name of the segment"),
    sa.Column("desk_id", sa.Text, primary_key=True, comment="desk at which its traders buy"),
    sa.Column("day", sa.Date, primary_key=True, comment="day it stands at"),
    sa.Column("traders", sa.BigInteger, nullable=False, comment="how many belonged to it"),
    comment="How many traders each segment had, by desk and day, under the rules of the newest run.",
)
CHURN_DRIFT = sa.Table(
    "churn_drift",
    METADATA,
    sa.Column("feature", sa.Text, primary_key=True, comment="what the model sees, or probability: what it says"),
    sa.Column("stability", sa.Double, comment="population stability index against training; above 0.25 it has moved"),
    sa.Column("model_version", sa.Text, nullable=False, comment="version of the model"),
    sa.Column("as_of", Instant, nullable=False, comment="instant the run stood at"),
    comment="How far features and probability of churn lie from what the model was learnt from.",
)
CHURN_CURVES = sa.Table(
    "churn_curves",
    METADATA,
    sa.Column("desk_id", sa.Text, primary_key=True, comment="desk of the first purchase; all for the whole firm"),
    sa.Column("day", sa.BigInteger, primary_key=True, comment="days since the first purchase"),
    sa.Column("at_risk", sa.BigInteger, nullable=False, comment="traders who were watched so long and had not left"),
    sa.Column("staying", sa.Double, nullable=False, comment="share that stays longer (Kaplan-Meier)"),
    sa.Column("low", sa.Double, comment="lower end of its 95 % band; unknown before anybody left"),
    sa.Column("high", sa.Double, comment="upper end of its 95 % band"),
    comment="How long traders stay after their first purchase, at the newest run.",
)
