"""The desk's own tables: states, decisions, transfers, the ledger, people and the audit log, with what guards them.

What must never happen is refused by the database itself: triggers let a request move only along the moves of the
state machine, and let nobody change or delete a decision, a ledger entry or an audit record.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import GenericFunction

from sql.schema import METADATA, Instant

MOVES: dict[str, dict[str, str]] = {
    "requested": {"pass_checks": "checks_passed", "fail_checks": "checks_failed"},
    "checks_passed": {"take": "in_review"},
    "checks_failed": {"take": "in_review"},
    "in_review": {
        "ask": "info_requested",
        "approve": "approved",
        "deduct": "approved_with_deduction",
        "reject": "rejected",
        "cancel": "cancelled",
    },
    "info_requested": {"answer": "in_review", "cancel": "cancelled"},
    "approved": {"submit": "second_approval", "queue": "queued"},
    "approved_with_deduction": {"submit": "second_approval", "queue": "queued"},
    "second_approval": {"confirm": "queued", "escalate": "finance_approval", "refuse": "in_review"},
    "finance_approval": {"confirm": "queued", "refuse": "in_review"},
    "queued": {"send": "sent", "fail": "failed"},
    "sent": {"settle": "settled", "fail": "failed", "return": "returned"},
    "settled": {"return": "returned"},
    "failed": {"requeue": "queued", "cancel": "cancelled"},
    "returned": {"requeue": "queued", "cancel": "cancelled"},
    "rejected": {"appeal": "appealed"},
    "appealed": {"uphold": "upheld", "overturn": "approved"},
    "upheld": {},
    "cancelled": {},
}
"""Per state the actions that leave it and where they lead (a request begins as `requested`)."""

STATES = tuple(MOVES)
GRANTED = ("queued", "sent", "settled")


class json_field(GenericFunction[str]):  # noqa: N801 - the name is that of the SQL function
    """A text field of a JSON document kept as text, on either database."""

    name = "json_field"
    inherit_cache = True


@compiles(json_field, "sqlite")
def _sqlite_field(element: Any, compiler: Any, **options: Any) -> str:
    document, field = (compiler.process(clause, **options) for clause in element.clauses)
    return f"json_extract({document}, '$.' || {field})"


@compiles(json_field, "postgresql")
def _postgres_field(element: Any, compiler: Any, **options: Any) -> str:
    document, field = (compiler.process(clause, **options) for clause in element.clauses)
    return f"(cast({document} as json) ->> {field})"


def _field(name: str) -> json_field:
    return json_field(sa.column("body"), sa.text(f"'{name}'"))


def _col(name: str, kind: Any, comment: str, *more: Any, **options: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, *more, comment=comment, **options)


def _table(name: str, comment: str, *columns: Any) -> sa.Table:
    return sa.Table(name, METADATA, *columns, comment=comment)


def _listed(values: tuple[str, ...]) -> str:
    return ", ".join(f"'{value}'" for value in values)


PAYOUT_STATES = _table(
    "payout_states",
    "Where each request stands on the desk, once somebody has acted on it.",
    _col("payout_id", sa.Text, "request", primary_key=True),
    _col("account_id", sa.Text, "account", nullable=False, index=True),
    _col("desk_id", sa.Text, "desk", nullable=False, index=True),
    _col("currency", sa.Text, "currency", nullable=False),
    _col("state", sa.Text, "state of the machine", nullable=False, index=True),
    _col("version", sa.Integer, "rises by one with every move; who acts on an older one is refused", nullable=False),
    _col("profit_minor", sa.BigInteger, "what leaves the account, minor units", nullable=False),
    _col("trader_minor", sa.BigInteger, "what the trader receives, minor units"),
    _col("firm_minor", sa.BigInteger, "what the firm keeps, minor units"),
    _col("deducted_minor", sa.BigInteger, "what is stripped, minor units"),
    _col("approvals_needed", sa.Integer, "people who must agree", nullable=False),
    _col("policy_version", sa.Integer, "policy that said so", nullable=False),
    _col("maker", sa.Text, "who decided"),
    _col("checker", sa.Text, "who agreed"),
    _col("financier", sa.Text, "who agreed for finance"),
    _col("transfers", sa.Integer, "transfers begun for the request", nullable=False),
    _col("updated_at", Instant, "last move", nullable=False),
    sa.CheckConstraint(f"state in ({_listed(STATES)})", name="payout_state_known"),
    sa.CheckConstraint("checker is null or checker <> maker", name="maker_is_never_checker"),
    sa.CheckConstraint(
        "financier is null or (financier <> maker and financier <> coalesce(checker, ''))", name="finance_is_another"
    ),
    sa.CheckConstraint(
        f"state not in ({_listed(GRANTED)}) or (maker is not null and (approvals_needed < 2 or checker is not null)"
        " and (approvals_needed < 3 or financier is not null))",
        name="granted_by_enough_people",
    ),
    sa.CheckConstraint(
        f"state not in ({_listed(GRANTED)}) or (trader_minor > 0 and"
        " trader_minor + firm_minor + deducted_minor = profit_minor)",
        name="parts_make_the_whole",
    ),
)
DECISIONS = _table(
    "decisions",
    "Every move of every request: who, when, why, on what amounts and under which policy.",
    _col("payout_id", sa.Text, "request", primary_key=True),
    _col("version", sa.Integer, "version of the state that it made", primary_key=True),
    _col("action", sa.Text, "what was done", nullable=False),
    _col("from_state", sa.Text, "state before", nullable=False),
    _col("to_state", sa.Text, "state after", nullable=False),
    _col("person", sa.Text, "who", nullable=False, index=True),
    _col("role", sa.Text, "in which role", nullable=False),
    _col("reason", sa.Text, "why, in words", nullable=False),
    _col("reason_code", sa.Text, "why, by the list of reasons"),
    _col("recommendation", sa.Text, "what the review recommended"),
    _col("stripped", sa.Text, "JSON list of trades that were stripped", nullable=False),
    _col("trader_minor", sa.BigInteger, "what the trader receives, minor units"),
    _col("deducted_minor", sa.BigInteger, "what is stripped, minor units"),
    _col("policy_version", sa.Integer, "policy in force", nullable=False),
    _col("happened_at", Instant, "when", nullable=False),
)
PAYOUT_TRANSFERS = _table(
    "payout_transfers",
    "Transfers begun for granted requests; each has an id of its own, a failed one is never used again.",
    _col("transfer_id", sa.Text, "key given to the provider, so that it pays at most once", primary_key=True),
    _col("payout_id", sa.Text, "request", nullable=False, index=True),
    _col("attempt", sa.Integer, "1, 2, …", nullable=False),
    _col("minor", sa.BigInteger, "amount, minor units", nullable=False),
    _col("currency", sa.Text, "currency", nullable=False),
    _col("begun_at", Instant, "when", nullable=False),
    _col("account_status", sa.Text, "how the account stood when the request was granted; empty when it is sent again"),
    sa.UniqueConstraint("payout_id", "attempt"),
)
PAYOUT_RELEASES = _table(
    "payout_releases",
    "Granted requests that were held because their account had ended since, and who let the money go all the same.",
    _col("release_id", sa.Text, "release", primary_key=True),
    _col("payout_id", sa.Text, "request", nullable=False, index=True),
    _col("version", sa.Integer, "version of the request's state that was looked at", nullable=False),
    _col("account_status", sa.Text, "how the account had ended: another end is held anew", nullable=False),
    _col("person", sa.Text, "who; never the one who granted it", nullable=False),
    _col("role", sa.Text, "in which role", nullable=False),
    _col("reason", sa.Text, "why", nullable=False),
    _col("told", sa.Text, "what it was held for", nullable=False),
    _col("released_at", Instant, "when", nullable=False),
    sa.CheckConstraint("reason <> ''", name="release_says_why"),
)
PAYOUT_NOTES = _table(
    "payout_notes",
    "Notes that people left on requests.",
    _col("note_id", sa.Text, "note", primary_key=True),
    _col("payout_id", sa.Text, "request", nullable=False, index=True),
    _col("person", sa.Text, "who", nullable=False),
    _col("note", sa.Text, "what", nullable=False),
    _col("written_at", Instant, "when", nullable=False),
)
LEDGER_ENTRIES = _table(
    "ledger_entries",
    "Double entry: every row moves one amount from one account to another, so each balances by itself.",
    _col("entry_id", sa.Text, "what it comes from, so that it is posted once", primary_key=True),
    _col("debit", sa.Text, "account debited", nullable=False, index=True),
    _col("credit", sa.Text, "account credited", nullable=False, index=True),
    _col("currency", sa.Text, "currency", nullable=False),
    _col("minor", sa.BigInteger, "amount, minor units", nullable=False),
    _col("happened_at", Instant, "when", nullable=False, index=True),
    _col("subject_id", sa.Text, "request, payment or commission", nullable=False, index=True),
    _col("memo", sa.Text, "what for", nullable=False),
    sa.CheckConstraint("minor > 0", name="entry_moves_something"),
    sa.CheckConstraint("debit <> credit", name="entry_has_two_sides"),
)
SETTLEMENT_EVENTS = _table(
    "settlement_events",
    "What each version of a transfer that the provider told did on the desk, once.",
    _col("settlement_id", sa.Text, "transfer", primary_key=True),
    _col("version", sa.Integer, "version of the transfer's record", primary_key=True),
    _col("outcome", sa.Text, "moved, or held for a person", primary_key=True),
    _col("payout_id", sa.Text, "request that it pays", index=True),
    _col("attempt", sa.Integer, "attempt of the request that it belongs to"),
    _col("status", sa.Text, "sent, settled, returned or failed", nullable=False),
    _col("told", sa.Text, "what was done, or why it is held", nullable=False),
    _col("happened_at", Instant, "when it was taken in", nullable=False),
    sa.CheckConstraint("outcome in ('moved', 'held')", name="settlement_outcome_known"),
)
RECONCILIATION_MARKS = _table(
    "reconciliation_marks",
    "What people said of transfers and requests that found no partner; the newest mark of a record holds.",
    _col("mark_id", sa.Text, "mark", primary_key=True),
    _col("side", sa.Text, "transfer or request", nullable=False),
    _col("record_id", sa.Text, "transfer or request", nullable=False, index=True),
    _col("verdict", sa.Text, "matched, disputed, explained or open", nullable=False),
    _col("payout_id", sa.Text, "request that a transfer was put with", index=True),
    _col("person", sa.Text, "who", nullable=False),
    _col("reason", sa.Text, "why", nullable=False),
    _col("place", sa.BigInteger, "place of the mark in the audit log", nullable=False),
    _col("marked_at", Instant, "when", nullable=False),
    sa.CheckConstraint("verdict in ('matched', 'disputed', 'explained', 'open')", name="mark_verdict_known"),
    sa.CheckConstraint("side in ('transfer', 'request')", name="mark_side_known"),
)
PEOPLE = _table(
    "people",
    "Local accounts of people, for firms without their own sign-in.",
    _col("name", sa.Text, "name to sign in with", primary_key=True),
    _col("password_hash", sa.Text, "argon2id", nullable=False),
    _col("role", sa.Text, "role", nullable=False),
    _col("desks", sa.Text, "JSON list of desks, null for every desk", nullable=False),
    _col("demo", sa.Boolean, "made for trying things out", nullable=False),
    _col("active", sa.Boolean, "may sign in", nullable=False),
)
SESSIONS = _table(
    "sessions",
    "Browsers in which somebody is signed in.",
    _col("token_hash", sa.Text, "SHA-256 of the token that the browser keeps", primary_key=True),
    _col("person", sa.Text, "whose session it is", nullable=False),
    _col("began_at", Instant, "when they signed in", nullable=False),
    _col("ends_at", Instant, "when they have to sign in again", nullable=False),
)
AUDIT_LOG = _table(
    "audit_log",
    "Who did what, when and why, each record bound to the one before it by its hash.",
    _col("seq", sa.BigInteger, "place in the chain, from 1", primary_key=True, autoincrement=False),
    _col("body", sa.Text, "the record as canonical JSON", nullable=False),
    _col("hash", sa.Text, "SHA-256 of the previous hash and the body", nullable=False),
    *(
        _col(
            name, sa.Text, f"{name} of the body", sa.Computed(json_field(sa.column("body"), sa.text(f"'{name}'")), True)
        )
        for name in ("at", "actor", "action", "subject")
    ),
)
AUDIT_HEAD = _table(
    "audit_head",
    "The end of the chain: one row, which writers lock, so that the chain never forks and its tail cannot be cut.",
    _col("one", sa.Integer, "always 1", primary_key=True),
    _col("seq", sa.BigInteger, "records written", nullable=False),
    _col("hash", sa.Text, "hash of the last", nullable=False),
    sa.CheckConstraint("one = 1", name="one_head"),
)
_IMMUTABLE = (
    DECISIONS,
    LEDGER_ENTRIES,
    AUDIT_LOG,
    PAYOUT_TRANSFERS,
    PAYOUT_RELEASES,
    PAYOUT_NOTES,
    SETTLEMENT_EVENTS,
    RECONCILIATION_MARKS,
)


def _refuse(table: sa.Table, name: str, event: str, condition: str, message: str) -> None:
    """Has the database refuse an event on a table's rows while a condition holds."""
    sqlite = (
        f"create trigger {table.name}_{name} before {event} on {table.name} for each row"
        + (f" when {condition}" if condition else "")
        + f" begin select raise(abort, '{message}'); end"
    )
    function = (
        f"create function {table.name}_{name}() returns trigger language plpgsql as"
        f" $$ begin raise exception '{message}' using errcode = 'check_violation'; end $$"
    )
    trigger = (
        f"create trigger {table.name}_{name} before {event} on {table.name} for each row"
        + (f" when ({condition})" if condition else "")
        + f" execute function {table.name}_{name}()"
    )
    for dialect, statement in (("sqlite", sqlite), ("postgresql", function), ("postgresql", trigger)):
        ddl = sa.DDL(statement.replace("%", "%%")).execute_if(dialect=dialect)  # type: ignore[no-untyped-call]
        sa.event.listen(table, "after_create", ddl)


def _allowed_moves() -> str:
    pairs = [(old, new) for old, actions in MOVES.items() for new in actions.values()]
    return " or ".join(f"(old.state = '{old}' and new.state = '{new}')" for old, new in sorted(set(pairs)))


for _held in _IMMUTABLE:
    for _event in ("update", "delete"):
        _refuse(_held, f"no_{_event}", _event, "", f"{_held.name} is append-only: no {_event}")
_refuse(AUDIT_HEAD, "no_delete", "delete", "", "the end of the chain stays")
_refuse(AUDIT_HEAD, "rises", "update", "new.seq < old.seq", "the chain never gets shorter")
_refuse(PAYOUT_STATES, "no_delete", "delete", "", "a request keeps its state")
_refuse(
    PAYOUT_STATES, "begins", "insert", "new.state <> 'requested' or new.version <> 1", "a request begins as requested"
)
_refuse(PAYOUT_STATES, "moves", "update", f"not ({_allowed_moves()})", "no such move")
_refuse(PAYOUT_STATES, "versions", "update", "new.version <> old.version + 1", "somebody else has moved the request")
