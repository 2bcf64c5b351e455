"""Tables of the live service: keys, actions and alerts on their way out, verdicts that no longer hold."""

from __future__ import annotations

import sqlalchemy as sa

from sql.schema import METADATA, Instant


def _col(name: str, kind: sa.types.TypeEngine[object] | type, comment: str, **options: bool) -> sa.Column[object]:
    return sa.Column(name, kind, comment=comment, **options)  # type: ignore[arg-type]


API_KEYS = sa.Table(
    "api_keys",
    METADATA,
    _col("key_id", sa.Text, "public part of the key", primary_key=True),
    _col("name", sa.Text, "whose key it is", nullable=False),
    _col("secret_hash", sa.Text, "SHA-256 of the secret part", nullable=False),
    _col("desks", sa.Text, "JSON list of desks it is bound to; empty = every desk", nullable=False),
    _col("datasets", sa.Text, "JSON list of datasets it may push; empty = every dataset", nullable=False),
    _col("rows_per_second", sa.Integer, "rows it may send a second, ten seconds' worth at once; empty = no limit"),
    _col("created_at", Instant, "when it was made", nullable=False),
    _col("revoked_at", Instant, "when it was revoked"),
    comment="Keys of the live service; the secret itself is not kept.",
)
WITHDRAWN_VERDICTS = sa.Table(
    "withdrawn_verdicts",
    METADATA,
    _col("account_id", sa.Text, "account", nullable=False, index=True),
    _col("rule", sa.Text, "rule of the catalogue", nullable=False),
    _col("outcome", sa.Text, "what had been said", nullable=False),
    _col("effect", sa.Text, "what followed from it", nullable=False),
    _col("happened_at", Instant, "instant it spoke of", nullable=False),
    _col("evidence", sa.Text, "JSON: evidence as it was given", nullable=False),
    _col("withdrawn_at", Instant, "when it was withdrawn", nullable=False),
    _col("reason", sa.Text, "why it no longer holds", nullable=False),
    comment="Verdicts that a late or corrected event took back.",
)
PAGE_REFRESHES = sa.Table(
    "page_refreshes",
    METADATA,
    _col("number", sa.BigInteger, "how often the tables of pages were brought up to date; one row", primary_key=True),
    _col("as_of", Instant, "newest fact then", nullable=False),
    _col("refreshed_at", Instant, "when that was", nullable=False),
    comment="The last time that pages were brought up to date by the live service, between scoring runs.",
)
WEBHOOKS = sa.Table(
    "webhooks",
    METADATA,
    _col("desk_id", sa.Text, "desk whose platform it is", primary_key=True),
    _col("url", sa.Text, "where actions are sent", nullable=False),
    _col("secret", sa.Text, "what the signing secret is derived with; the secret is not here", nullable=False),
    _col("mode", sa.Text, "observe, ask or enforce", nullable=False),
    _col("modes", sa.Text, "JSON: actions that go otherwise, each with its mode or off"),
    comment="The platform gateway of each desk and how far Highwater may go there.",
)
OUTBOX = sa.Table(
    "outbox",
    METADATA,
    _col("outbox_id", sa.Text, "identifies the action: the same verdict never acts twice", primary_key=True),
    _col("desk_id", sa.Text, "desk", nullable=False, index=True),
    _col("account_id", sa.Text, "account, or the challenge that has none yet", nullable=False, index=True),
    _col("action", sa.Text, "what is asked of the platform: freeze, close_positions, …", nullable=False),
    _col("body", sa.Text, "JSON that is sent", nullable=False),
    _col("state", sa.Text, "observed, asked, waiting, sent, dead or declined", nullable=False, index=True),
    _col("attempts", sa.Integer, "deliveries tried", nullable=False),
    _col("next_at", Instant, "not to be tried before"),
    _col("created_at", Instant, "when the verdict was written", nullable=False),
    _col("settled_at", Instant, "when it was sent, declined or given up"),
    _col("said", sa.Text, "what the other side answered last, or who decided"),
    comment="Actions towards the firm's platform, written with the verdict that causes them; a person sees dead ones.",
)
ALERT_SUBSCRIPTIONS = sa.Table(
    "alert_subscriptions",
    METADATA,
    _col("subscription_id", sa.Text, "identifies the subscription", primary_key=True),
    _col("role", sa.Text, "who reads it", nullable=False),
    _col("url", sa.Text, "Apprise address, with its secrets", nullable=False),
    _col("desk_id", sa.Text, "only this desk; empty = all"),
    _col("rule", sa.Text, "only this rule; empty = all"),
    _col("outcomes", sa.Text, "JSON list of outcomes told", nullable=False),
    _col("quiet_from", sa.Text, "HH:MM from which nothing is sent"),
    _col("quiet_to", sa.Text, "HH:MM until which nothing is sent"),
    _col("zone", sa.Text, "IANA zone of the quiet hours", nullable=False),
    _col("digest_minutes", sa.Integer, "0 = at once, else one message per so many minutes", nullable=False),
    _col(
        "severity_min", sa.Integer, "least severity told: 0 good news, 1 to look at, 2 an ending, 3 a feed that stopped"
    ),
    _col("escalate_minutes", sa.Integer, "minutes after which what nobody opened is told at the other address"),
    _col("escalate_url", sa.Text, "Apprise address of the escalation, with its secrets"),
    _col("ended_at", Instant, "when it was ended; what was told stays in the log"),
    comment="Who is told what, where, and when not.",
)
DELIVERIES = sa.Table(
    "deliveries",
    METADATA,
    _col("subscription_id", sa.Text, "subscription", primary_key=True),
    _col("case_id", sa.Text, "what it is about; told once per subscription", primary_key=True),
    _col("title", sa.Text, "heading", nullable=False),
    _col("severity", sa.Integer, "how grave: 0 good news, 1 to look at, 2 an ending, 3 a feed that stopped"),
    _col("body", sa.Text, "text", nullable=False),
    _col("state", sa.Text, "waiting, sent, failed or ended", nullable=False, index=True),
    _col("attempts", sa.Integer, "deliveries tried", nullable=False),
    _col("created_at", Instant, "when it came up", nullable=False),
    _col("delivered_at", Instant, "when it was sent"),
    _col("opened_at", Instant, "when somebody opened it"),
    _col("opened_by", sa.Text, "who opened it"),
    _col("escalated_at", Instant, "when it was told at the other address because nobody had opened it"),
    comment="Alerts and what became of them.",
)
