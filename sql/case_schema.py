"""Cases, what people answered in them, and what the score has said and learnt over time.

What must never happen is refused by the database itself: each state of a case points to the recorded move that led to
it, each move to the one before it, only moves of the machine can be recorded, and none is ever changed or deleted.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from sql.desk_schema import _refuse as refuse
from sql.schema import METADATA, Instant

MOVES: dict[str, dict[str, str]] = {
    "new": {"take": "in_review", "evidence": "new", "follow": "new", "join": "joined"},
    "in_review": {
        "assign": "in_review",
        "release": "new",
        "wait": "waiting",
        "freeze": "in_review",
        "unfreeze": "in_review",
        "confirm": "confirmed",
        "dismiss": "dismissed",
        "evidence": "in_review",
        "follow": "in_review",
        "join": "joined",
    },
    "waiting": {
        "assign": "waiting",
        "resume": "in_review",
        "evidence": "in_review",
        "follow": "waiting",
        "join": "joined",
    },
    "confirmed": {
        "freeze": "confirmed",
        "unfreeze": "confirmed",
        "reopen": "in_review",
        "renew": "new",
        "follow": "confirmed",
    },
    "dismissed": {"reopen": "in_review", "renew": "new", "follow": "dismissed"},
    "joined": {},
}
"""Per state the actions that leave it and where they lead (a case begins as `new`, by `open`)."""

STATES = tuple(MOVES)
OPEN = ("new", "in_review", "waiting")
HELD = ("in_review", "waiting")
DECIDED = ("confirmed", "dismissed")
OUTCOMES = (*DECIDED, "withdrawn")


def _col(name: str, kind: Any, comment: str, **options: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, comment=comment, **options)


def _table(name: str, comment: str, *columns: Any) -> sa.Table:
    return sa.Table(name, METADATA, *columns, comment=comment)


def _listed(values: tuple[str, ...]) -> str:
    return ", ".join(f"'{value}'" for value in values)


def _known_moves() -> str:
    return " or ".join(
        f"(from_state = '{state}' and action = '{action}' and to_state = '{to}')"
        for state, actions in MOVES.items()
        for action, to in actions.items()
    )


CASE_MOVES = _table(
    "case_moves",
    "Every move of every case: who, when, why, and what was known then.",
    _col("case_id", sa.Text, "case", primary_key=True),
    _col("version", sa.Integer, "version of the case that it made", primary_key=True),
    _col("version_before", sa.Integer, "version before, empty for the first"),
    _col("action", sa.Text, "what was done", nullable=False),
    _col("from_state", sa.Text, "state before, empty for the first"),
    _col("to_state", sa.Text, "state after", nullable=False),
    _col("person", sa.Text, "who", nullable=False, index=True),
    _col("role", sa.Text, "in which role", nullable=False),
    _col("assignee", sa.Text, "who has the case after it"),
    _col("reason", sa.Text, "why, in words", nullable=False),
    _col("reason_code", sa.Text, "why, by the list of reasons"),
    _col("terms_version", sa.Integer, "version of the case terms in force", nullable=False),
    _col("as_of", Instant, "instant that the newest run stood at"),
    _col("happened_at", Instant, "when", nullable=False),
    sa.UniqueConstraint("case_id", "version", "to_state", name="case_move_leads_to"),
    sa.ForeignKeyConstraint(
        ["case_id", "version_before", "from_state"],
        ["case_moves.case_id", "case_moves.version", "case_moves.to_state"],
        name="case_move_follows_one",
        deferrable=True,
        initially="DEFERRED",
    ),
    sa.CheckConstraint(
        "(version = 1 and action = 'open' and to_state = 'new' and version_before is null and from_state is null)"
        " or (version > 1 and version_before is not null and version_before = version - 1 and from_state is not null"
        f" and ({_known_moves()}))",
        name="case_move_known",
    ),
)
CASES = _table(
    "cases",
    "What is looked into: one case per owner, from its opening on.",
    _col("case_id", sa.Text, "case", primary_key=True),
    _col("owner_id", sa.Text, "owner whom it is about", nullable=False, index=True),
    _col("trader_id", sa.Text, "trader with whom it began; it follows the owner of this trader", nullable=False),
    _col("state", sa.Text, "new, in_review, waiting, confirmed, dismissed or joined", nullable=False, index=True),
    _col("version", sa.Integer, "rises by one with every move; who acts on an older one is refused", nullable=False),
    _col("assignee", sa.Text, "who has it", index=True),
    _col("to_freeze", sa.Boolean, "a freeze of the owner's accounts is recommended", nullable=False),
    _col("reason_code", sa.Text, "why it was confirmed or dismissed last"),
    _col("joined_to", sa.Text, "case of the same owner that goes on with it"),
    _col("opened_at", Instant, "instant of the run that opened it", nullable=False),
    sa.ForeignKeyConstraint(
        ["case_id", "version", "state"],
        ["case_moves.case_id", "case_moves.version", "case_moves.to_state"],
        name="case_state_has_its_move",
        deferrable=True,
        initially="DEFERRED",
    ),
    sa.CheckConstraint(f"state in ({_listed(STATES)})", name="case_state_known"),
    sa.CheckConstraint(f"state not in ({_listed(HELD)}) or assignee is not null", name="case_is_held_by_somebody"),
    sa.CheckConstraint(f"state not in ({_listed(DECIDED)}) or reason_code is not null", name="case_answer_has_reason"),
    sa.CheckConstraint("(state = 'joined') = (joined_to is not null)", name="case_joined_to_another"),
    sa.CheckConstraint("state <> 'dismissed' or not to_freeze", name="case_dismissed_freezes_nothing"),
)
ONE_OPEN = sa.Index(
    "one_open_case_per_owner",
    CASES.c.owner_id,
    unique=True,
    sqlite_where=CASES.c.state.in_(OPEN),
    postgresql_where=CASES.c.state.in_(OPEN),
)
CASE_NOTES = _table(
    "case_notes",
    "Notes that people left on cases.",
    _col("note_id", sa.Text, "note", primary_key=True),
    _col("case_id", sa.Text, "case", nullable=False, index=True),
    _col("person", sa.Text, "who", nullable=False),
    _col("note", sa.Text, "what", nullable=False),
    _col("written_at", Instant, "when", nullable=False),
)
DISPOSITIONS = _table(
    "dispositions",
    "What analysts answered about each piece of evidence; the newest answer holds and teaches the score.",
    _col("case_id", sa.Text, "case, or trading judgement, in which it was answered", primary_key=True),
    _col("version", sa.Integer, "move, or version of the judgement, that answered it", primary_key=True),
    _col("subject_kind", sa.Text, "account, trader, pair or owner", primary_key=True),
    _col("subject_id", sa.Text, "subject; a pair is one account|other", primary_key=True),
    _col("detector", sa.Text, "detector, or what else counts in the score", primary_key=True),
    _col("outcome", sa.Text, "confirmed, dismissed or withdrawn", nullable=False),
    _col("reason_code", sa.Text, "why, by the list of reasons", nullable=False),
    _col("counts", sa.Boolean, "tells whether the detector was right, and so teaches", nullable=False),
    _col("strength", sa.Double, "strength when it was answered", nullable=False),
    _col("seen_until", Instant, "newest evidence then; empty where it has no time"),
    _col("seen_amount", sa.Double, "amount of it then, where it is counted"),
    _col("person", sa.Text, "who", nullable=False),
    _col("decided_at", Instant, "when", nullable=False),
    sa.CheckConstraint(f"outcome in ({_listed(OUTCOMES)})", name="disposition_known"),
)
SAID_OF_TRADING = ("ring", "allowed", "dismissed", "withdrawn")
TRADING_JUDGEMENTS = _table(
    "trading_judgements",
    "What analysts said of pairs and groups of accounts by themselves: version 1 says it, version 2 takes it back.",
    _col("judgement_id", sa.Text, "judgement", primary_key=True),
    _col("version", sa.Integer, "1, or 2 once it is withdrawn", primary_key=True),
    _col("subject_kind", sa.Text, "pair or group", nullable=False),
    _col("subject_id", sa.Text, "a pair as one account|other, a group as the run named it then", nullable=False),
    _col("relation", sa.Text, "copy or mirror of a pair, ring or shared_strategy of a group", nullable=False),
    _col(
        "accounts",
        sa.Text,
        "JSON list of the accounts it is about; it binds these, whatever a run names them",
        nullable=False,
    ),
    _col("amount", sa.Double, "entries that the pair had matched, or accounts of the group", nullable=False),
    _col("said", sa.Text, "ring, allowed, dismissed or withdrawn", nullable=False),
    _col("reason_code", sa.Text, "why, by the list of reasons", nullable=False),
    _col("reason", sa.Text, "why, in words", nullable=False),
    _col("person", sa.Text, "who", nullable=False),
    _col("decided_at", Instant, "when", nullable=False),
    sa.CheckConstraint(f"said in ({_listed(SAID_OF_TRADING)})", name="trading_judgement_known"),
    sa.CheckConstraint("(version = 2) = (said = 'withdrawn')", name="trading_judgement_withdrawn_once"),
)
SCORE_EVIDENCE = _table(
    "score_evidence",
    "What counts in the scores of an owner's accounts as of the newest run, and what was answered about it.",
    _col("owner_id", sa.Text, "owner", primary_key=True),
    _col("subject_kind", sa.Text, "account, trader, pair or owner", primary_key=True),
    _col("subject_id", sa.Text, "subject; a pair is one account|other", primary_key=True),
    _col("detector", sa.Text, "detector, or what else counts in the score", primary_key=True),
    _col("strength", sa.Double, "strength as found, before any answer", nullable=False),
    _col("weight", sa.Double, "weight in the score", nullable=False),
    _col("last_at", Instant, "newest evidence; empty where it has no time"),
    _col("amount", sa.Double, "amount of it, where it is counted"),
    _col("fresh", sa.Boolean, "no answer covers it", nullable=False),
    _col("sentence", sa.Text, "what was found", nullable=False),
)
OWNER_STANDING = _table(
    "owner_standing",
    "Score and money at stake of owners who have evidence or a case, by desk.",
    _col("owner_id", sa.Text, "owner", primary_key=True),
    _col("desk_id", sa.Text, "desk", primary_key=True),
    _col("account_id", sa.Text, "account with the highest score at that desk", nullable=False),
    _col("score", sa.Double, "its score, 0 to 100"),
    _col("stake_usd", sa.Double, "what is at stake in the owner's accounts there, US dollars; empty without a rate"),
    _col("accounts", sa.Integer, "accounts there", nullable=False),
)
RISK_SCORE_HISTORY = _table(
    "risk_score_history",
    "Every score an account has had: a row when score, reasons or model changed; without a row it was always 0.",
    _col("account_id", sa.Text, "account", primary_key=True),
    _col("run_id", sa.BigInteger, "run that first said so", primary_key=True, autoincrement=False),
    _col("score", sa.Double, "0 to 100", nullable=False),
    _col("band", sa.Text, "low, medium, high or critical", nullable=False),
    _col("reasons", sa.Text, "JSON list of contributions that add up to the score", nullable=False),
    _col("as_of", Instant, "instant the run stood at", nullable=False),
    _col("model_version", sa.Text, "version of the model", nullable=False),
)
SCORE_CALIBRATIONS = _table(
    "score_calibrations",
    "What the score has learnt from answers: per detector its precision and weight, a set whenever one changed.",
    _col("run_id", sa.BigInteger, "run that first used the set", primary_key=True, autoincrement=False),
    _col("detector", sa.Text, "detector, or what else counts in the score", primary_key=True),
    _col("weight", sa.Double, "weight in use", nullable=False),
    _col("factor", sa.Double, "by which answers moved it; 1 until there are enough", nullable=False),
    _col("labels", sa.Integer, "flags answered", nullable=False),
    _col("confirmed", sa.Integer, "of them confirmed", nullable=False),
    _col("precision", sa.Double, "confirmed as a share of the answered; empty without an answer"),
    _col("low", sa.Double, "lower end of its 95 % credible interval"),
    _col("high", sa.Double, "upper end of it"),
    _col("model_version", sa.Text, "version of the model", nullable=False),
    _col("as_of", Instant, "instant the run stood at", nullable=False),
)
CHURN_MODELS = _table(
    "churn_models",
    "Churn models as text, each with what it was learnt from; one is used only when its hash holds.",
    _col("model_version", sa.Text, "version", primary_key=True),
    _col("data_version", sa.Text, "fingerprint of the history and the terms it was learnt from", primary_key=True),
    _col("content", sa.Text, "JSON: kind, horizon, trees or rates, training window, metrics", nullable=False),
    _col("sha256", sa.Text, "hash of content", nullable=False),
    _col("run_id", sa.BigInteger, "run that learnt it", nullable=False),
    _col("as_of", Instant, "instant the run stood at", nullable=False),
)

for _held in (CASE_MOVES, CASE_NOTES, DISPOSITIONS, TRADING_JUDGEMENTS, RISK_SCORE_HISTORY, SCORE_CALIBRATIONS):
    for _event in ("update", "delete"):
        refuse(_held, f"no_{_event}", _event, "", f"{_held.name} is append-only: no {_event}")
refuse(CASES, "no_delete", "delete", "", "a case is never deleted")
refuse(CASES, "versions", "update", "new.version <> old.version + 1", "somebody else has moved the case")
