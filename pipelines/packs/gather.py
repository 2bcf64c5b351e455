"""The parts of an evidence pack: what was told, what was promised, what was decided, each as plain data with its hash.

A part is gathered with a fixed order and written as canonical JSON, so that the same lake, terms and decisions give the
same bytes, whoever gathers them and when.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import numpy as np
import pandas as pd
import sqlalchemy as sa

from models.access import Person, veil
from models.catalogue import Rulebook
from models.rule_words import rule_sentence
from pipelines.explain import ExplainRefused, explain
from pipelines.score import register_instruments
from sql import desk_schema, relations, schema
from sql.warehouse import Warehouse, read_frame

FORMAT = 2
SOURCES = {
    "about": "the pack",
    "account": "the lake",
    "request": "the lake",
    "transfers": "the lake",
    "deals": "the lake",
    "trades": "the lake",
    "days": "the lake",
    "path": "the lake and the terms",
    "verdicts": "the lake and the terms",
    "terms": "the terms",
    "review": "what was decided",
    "signals": "what was decided",
    "links": "what was decided",
    "decisions": "what was decided",
    "ledger": "what was decided",
    "audit": "what was decided",
}
"""The parts of a pack and where each comes from."""
READER = Person("pack", "risk_analyst")
"""Who packs are gathered for when personal data is to be whole."""
PATH_POINTS = 600


class PackRefused(Exception):
    """A pack that cannot be made or checked; the sentence says why."""


@dataclass(frozen=True)
class Pack:
    """An evidence pack as data: its parts in order, plain values only."""

    parts: dict[str, Any]

    @cached_property
    def hashes(self) -> dict[str, str]:
        """SHA-256 of each part's canonical JSON."""
        return {name: digest(self.parts[name]) for name in SOURCES if name in self.parts}

    @property
    def hash(self) -> str:
        """SHA-256 over the hashes of all parts: the hash of the pack."""
        return digest(self.hashes)

    @property
    def name(self) -> str:
        """What the pack is about: the id of the request or of the account."""
        return str(self.parts["about"]["id"])


def canonical(value: Any) -> str:
    """A value as the one JSON text that is hashed."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(value: Any) -> str:
    """SHA-256 of a value's canonical JSON, in hex."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def plain(value: Any) -> Any:
    """Any value as JSON holds it without loss: amounts as text, instants in UTC with microseconds, missing as null."""
    if isinstance(value, dict):
        return {str(name): plain(held) for name, held in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(one) for one in value]
    if value is None or value is pd.NaT or value != value:
        return None
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).isoformat(timespec="microseconds")
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    if isinstance(value, int | np.integer):
        return int(value)
    return float(f"{float(value):.10g}") if isinstance(value, float | np.floating) else str(value)


def gather(
    warehouse: Warehouse,
    rulebook: Rulebook,
    subject: str,
    *,
    person: Person = READER,
    as_of: dt.datetime | None = None,
) -> Pack:
    """Gathers the pack of a payout request or of an account, as it stands at `as_of` (default: the last run).

    Raises PackRefused for an id that is neither, or that belongs to a desk which the person does not see. Personal
    data is masked unless the person's role needs it.
    """
    with warehouse.database.connect() as database:
        stands_at = as_of or _last_run(database)
        decided = _Decided(database)
        with warehouse.engine(stands_at, memory="1GB") as connection:
            told = _Told(connection, subject)
            if not person.sees(told.account["desk_id"]):
                raise PackRefused(f"{subject} belongs to a desk that {person.name} does not see.")
            parts = {"about": _about(told, person, stands_at, rulebook)}
            parts |= told.parts()
        parts |= _replayed(warehouse, rulebook, told.account_id, told.until or stands_at)
        parts |= decided.parts(told)
    listed = {name: veil(plain(parts[name]), person) for name in SOURCES if name in parts}
    return Pack(json.loads(canonical(listed)))


def _last_run(database: sa.Connection) -> dt.datetime:
    runs = schema.RUNS
    at: dt.datetime | None = database.execute(sa.select(sa.func.max(runs.c.as_of))).scalar()
    if at is None:
        raise PackRefused("Nothing has been scored yet: highwater score comes first.")
    return at


def _about(told: _Told, person: Person, as_of: dt.datetime, rulebook: Rulebook) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "kind": "payout" if told.payout_id else "account",
        "id": told.payout_id or told.account_id,
        "account_id": told.account_id,
        "as_of": as_of,
        "masked": not person.may("personal.read"),
        "rulebook": rulebook.digest,
    }


def _rows(connection: duckdb.DuckDBPyConnection, query: str, *given: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = connection.sql(query, params=list(given)).to_arrow_table().to_pylist()
    return found


class _Told:
    """What the feeds told about a subject."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, subject: str) -> None:
        self.connection = connection
        relations.build(connection, "staging.payouts", "staging.accounts", "staging.traders")
        relations.build(connection, "staging.challenges", "staging.desks")
        request = _rows(connection, "select * from staging.payouts where payout_id = ?", subject)
        self.request = request[0] if request else None
        self.payout_id = subject if request else None
        self.account_id = str(self.request["account_id"]) if self.request else subject
        self.until: dt.datetime | None = self.request["requested_at"] if self.request else None
        self.account = self._account(subject)

    def _account(self, subject: str) -> dict[str, Any]:
        query = (
            "select accounts.*, traders.full_name, traders.country, traders.kyc_status, traders.kyc_checked_at,"
            " challenges.product, challenges.purchased_at, challenges.fee, challenges.currency as fee_currency,"
            " desks.time_zone"
            " from staging.accounts as accounts left join staging.traders as traders using (trader_id)"
            " left join staging.challenges as challenges using (challenge_id)"
            " left join staging.desks as desks on desks.desk_id = accounts.desk_id where accounts.account_id = ?"
        )
        found = _rows(self.connection, query, self.account_id)
        if not found:
            what = f"its account {self.account_id} has not arrived" if self.request else "no such request or account"
            raise PackRefused(f"{subject}: {what}.")
        return {name: value for name, value in found[0].items() if name not in ("login", "server")}

    def parts(self) -> dict[str, Any]:
        """What was told: account, request, transfers, deals and round trips up to the request (or the run)."""
        deals = relations.text("staging.deals")
        listed = self.account_id.replace("'", "''")
        until = f" and executed_at <= '{self.until.isoformat()}'" if self.until else ""
        one = f"select * from ({deals}) where account_id = '{listed}'{until}"
        self.connection.execute(f"create view staging.deals as {one}")
        register_instruments(self.connection)
        relations.build(self.connection, "facts.trades", "staging.settlements")
        trades = _rows(
            self.connection,
            "select trade_id, instrument, side, lots, opened_at, closed_at, open_price, close_price, net_profit"
            " from facts.trades order by opened_at, trade_id",
        )
        parts: dict[str, Any] = {"account": self.account, "deals": self._deals(), "trades": trades}
        parts["days"] = _days(trades, ZoneInfo(zone_of(self.account)))
        if self.payout_id:
            parts["request"] = self.request
            parts["transfers"] = _rows(
                self.connection,
                "select * from staging.settlements where payout_id = ? order by settled_at, settlement_id",
                self.payout_id,
            )
        return parts

    def _deals(self) -> dict[str, Any]:
        """Every deal in one hash, and what they come to by kind."""
        rows = _rows(self.connection, "select * from staging.deals order by executed_at, deal_id")
        kinds: dict[str, Decimal] = {}
        for row in rows:
            kinds[row["kind"]] = kinds.get(row["kind"], Decimal(0)) + row["profit"]
        ends = [rows[place]["executed_at"] for place in (0, -1)] if rows else [None, None]
        hashed = digest([plain(row) for row in rows])
        return {"deals": len(rows), "first_at": ends[0], "last_at": ends[1], "profit_by_kind": kinds, "sha256": hashed}


def zone_of(account: Mapping[str, Any]) -> str:
    """The zone of the account's desk, in which a pack tells days and times."""
    return str(account["time_zone"] or "UTC")


def _days(trades: list[dict[str, Any]], zone: dt.tzinfo) -> list[dict[str, Any]]:
    """Net profit of the round trips closed on each day of a zone."""
    days: dict[dt.date, Decimal] = {}
    for trade in trades:
        if trade["closed_at"] is not None and trade["net_profit"] is not None:
            day = trade["closed_at"].astimezone(zone).date()
            days[day] = days.get(day, Decimal(0)) + Decimal(str(trade["net_profit"]))
    return [{"day": day, "net_profit": days[day]} for day in sorted(days)]


def _replayed(warehouse: Warehouse, rulebook: Rulebook, account_id: str, until: dt.datetime) -> dict[str, Any]:
    """Terms in force, verdicts and the path of equity and floors, judged anew from the lake."""
    try:
        told = explain(warehouse, rulebook, account_id, as_of=until)
    except ExplainRefused as refused:
        return {"terms": {"refused": str(refused)}, "verdicts": [], "path": {"steps": 0, "points": []}}
    version = rulebook.version(told.account["product"], int(told.account["product_version"]))
    currency = told.account["currency"]
    rules = [{"rule": n, "text": rule_sentence(n, f, currency), "fields": f} for n, f in told.terms.items()]
    names = ["at", "balance", "equity", "daily_floor", "max_floor"]
    steps = [dict(zip(names, row, strict=True)) for row in told.steps[names].itertuples(index=False)]
    return {
        "terms": {
            "product": version.product,
            "version": version.version,
            "effective_from": version.effective_from,
            "sha256": version.digest,
            "stage": told.account["stage"],
            "rules": rules,
        },
        "verdicts": told.verdicts,
        "path": {
            "steps": len(steps),
            "sha256": digest(plain(steps)),
            "until": until,
            "initial_balance": told.account["initial_balance"],
            "points": _thinned(steps),
        },
    }


def _thinned(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """At most PATH_POINTS steps that keep the shape: per stretch its first, its lowest and its highest equity."""
    if len(steps) <= PATH_POINTS:
        return steps
    size = -(-len(steps) * 3 // PATH_POINTS)
    kept: set[int] = {len(steps) - 1}
    for start in range(0, len(steps), size):
        stretch = range(start, min(start + size, len(steps)))
        kept |= {start, min(stretch, key=lambda n: steps[n]["equity"]), max(stretch, key=lambda n: steps[n]["equity"])}
    return [steps[place] for place in sorted(kept)]


class _Decided:
    """What was decided about a subject, as the database holds it."""

    def __init__(self, database: sa.Connection) -> None:
        self.database = database

    def rows(self, table: sa.Table, condition: Any, *order: Any) -> list[dict[str, Any]]:
        """Rows under a condition, in order."""
        found = read_frame(self.database, sa.select(table).where(condition).order_by(*order))
        return [_parsed({str(k): v for k, v in row.items()}) for row in found.to_dict(orient="records")]

    def parts(self, told: _Told) -> dict[str, Any]:
        """Review, signals, links; for a request also decisions, ledger and audit records."""
        account, trader = told.account_id, told.account["trader_id"]
        signals, links, pairs = schema.SIGNALS, schema.LINKS, schema.COPY_PAIRS
        linked = (links.c.trader_a == trader) | (links.c.trader_b == trader)
        paired = (pairs.c.account_a == account) | (pairs.c.account_b == account)
        about = ((signals.c.subject_kind == "account") & (signals.c.subject_id == account)) | (
            (signals.c.subject_kind == "trader") & (signals.c.subject_id == trader)
        )
        parts: dict[str, Any] = {
            "signals": self.rows(signals, about, signals.c.subject_kind, signals.c.detector),
            "links": {
                "one_person": self.rows(links, linked, links.c.trader_a, links.c.trader_b),
                "trading_as_one": self.rows(pairs, paired, pairs.c.account_a, pairs.c.account_b),
            },
        }
        return parts | (self._of_request(told.payout_id) if told.payout_id else {})

    def _of_request(self, payout_id: str) -> dict[str, Any]:
        reviews, moves, books = schema.PAYOUT_REVIEWS, desk_schema.DECISIONS, desk_schema.LEDGER_ENTRIES
        log, notes = desk_schema.AUDIT_LOG, desk_schema.PAYOUT_NOTES
        review = self.rows(reviews, reviews.c.payout_id == payout_id)
        chain = sa.select(log.c.seq, log.c.hash).where(log.c.subject == f"payout:{payout_id}").order_by(log.c.seq)
        return {
            "review": review[0] if review else None,
            "decisions": {
                "moves": self.rows(moves, moves.c.payout_id == payout_id, moves.c.version),
                "notes": self.rows(notes, notes.c.payout_id == payout_id, notes.c.written_at, notes.c.note_id),
            },
            "ledger": self.rows(books, books.c.subject_id == payout_id, books.c.happened_at, books.c.entry_id),
            "audit": read_frame(self.database, chain).to_dict(orient="records"),
        }


def _parsed(row: dict[str, Any]) -> dict[str, Any]:
    """A row with its JSON columns as values."""
    for name in ("checks", "evidence", "reasons", "stripped"):
        if isinstance(row.get(name), str):
            row[name] = json.loads(row[name])
    return row
