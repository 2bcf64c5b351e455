"""Tables of connectors and exports: how each connection fares, where it resumes, and which clock a server shows."""

from __future__ import annotations

import sqlalchemy as sa

from sql.schema import METADATA, Instant


def _col(name: str, kind: sa.types.TypeEngine[object] | type, comment: str, **options: bool) -> sa.Column[object]:
    return sa.Column(name, kind, comment=comment, **options)  # type: ignore[arg-type]


CONNECTIONS = sa.Table(
    "connections",
    METADATA,
    _col("connection", sa.Text, "name of the connection", primary_key=True),
    _col("connector", sa.Text, "connector that it runs on", nullable=False),
    _col("state", sa.Text, "connecting, catching_up, streaming, waiting, done, stopped or failed", nullable=False),
    _col("state_at", Instant, "since when", nullable=False),
    _col("landed_at", Instant, "when rows last arrived from it"),
    _col("rows_landed", sa.BigInteger, "new rows it has brought in all", nullable=False),
    _col("last_error", sa.Text, "what went wrong last, without secrets"),
    comment="Live connections to trading platforms and how each of them fares.",
)
CONNECTION_CURSORS = sa.Table(
    "connection_cursors",
    METADATA,
    _col("connection", sa.Text, "name of the connection", primary_key=True),
    _col("platform_id", sa.Text, "account as the platform identifies it", primary_key=True),
    _col("account_id", sa.Text, "account it lands under", nullable=False),
    _col(
        "resume_from", sa.Text, "JSON: where the next reading resumes; everything before it has landed", nullable=False
    ),
    _col("stored_at", Instant, "when it was written", nullable=False),
    comment="The last stored event of every account of a connection.",
)
CONNECTION_FINDINGS = sa.Table(
    "connection_findings",
    METADATA,
    _col("connection", sa.Text, "name of the connection", primary_key=True),
    _col("kind", sa.Text, "gap, unknown_symbol, unknown_account, lost_account, refused or clock", primary_key=True),
    _col("subject", sa.Text, "account, symbol or file it is about", primary_key=True),
    _col("detail", sa.Text, "what was found, in words", nullable=False),
    _col("first_at", Instant, "when it was first found", nullable=False),
    _col("last_at", Instant, "when it was last found", nullable=False),
    _col("settled_at", Instant, "when it held no longer"),
    comment="What a connection found amiss and does not guess about.",
)
SERVER_ZONES = sa.Table(
    "server_zones",
    METADATA,
    _col("server", sa.Text, "server as the accounts name it, or 'account ID' where none is named", primary_key=True),
    _col("zone", sa.Text, "zone that its clock follows: an IANA name, an offset, or a zone and hours", nullable=False),
    _col("told_at", Instant, "when somebody said so", nullable=False),
    comment="The clock of every server whose exports have landed; an export without a zone is read by it.",
)
