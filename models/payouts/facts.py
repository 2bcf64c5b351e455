"""What a review stands on: each request with its account, window, trades, verdicts and signals, read once for all."""

from __future__ import annotations

import datetime as dt
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import duckdb
import pandas as pd

from models.catalogue import Rulebook, Terms
from models.clock import from_micros, resets
from models.payouts.policy import Policy
from sql import relations

Row = dict[str, Any]
EPOCH_DAY = dt.date(1970, 1, 1)


@dataclass(frozen=True)
class Request:
    """One request as `facts.payout_requests` holds it, its terms (None: unknown) and what belongs to its window.

    `cuts` is how often a rule had lowered the trader's share for good.
    """

    row: Row
    terms: Terms | None
    days: list[Row] = field(default_factory=list)
    trades: list[Row] = field(default_factory=list)
    verdicts: list[Row] = field(default_factory=list)
    asked_net: bool | None = False
    cuts: int = 0

    def __getattr__(self, name: str) -> Any:
        """A column of the request."""
        try:
            return self.row[name]
        except KeyError:
            raise AttributeError(name) from None

    @property
    def paid(self) -> bool:
        """Whether the money went out and did not come back."""
        return self.honoured_at is not None

    @property
    def number(self) -> int:
        """Which payout of the account this would be, from 1."""
        return int(self.paid_before) + 1

    @property
    def balance(self) -> Decimal:
        """The account's balance at the request, payouts granted before it taken off."""
        return Decimal(self.initial_balance + self.moved)


@dataclass(frozen=True)
class Desk:
    """What is known beside the requests: policy, the instant, who belongs to whom, signals and screening hits."""

    policy: Policy
    as_of: dt.datetime
    newest_fact: dt.datetime | None
    signals: Mapping[tuple[str, str], list[Row]] | None
    traders_of: Mapping[str, list[str]]
    accounts_of: Mapping[str, list[str]]
    pairs: Mapping[str, list[Row]]
    rings: Mapping[str, list[str]]
    ring_members: Mapping[str, list[str]]
    bands: Mapping[str, str]
    hits: Mapping[str, list[Row]] | None = None


def records(connection: duckdb.DuckDBPyConnection, query: str) -> list[Row]:
    """Rows of a select with exact decimals and aware times."""
    found: list[Row] = connection.sql(query).to_arrow_table().to_pylist()
    return found


def requests(
    connection: duckdb.DuckDBPyConnection, rulebook: Rulebook, as_of: dt.datetime, policy: Policy
) -> list[Request]:
    """Every request up to the run, in order of id, each with its terms and window."""
    _register_resets(connection, rulebook, as_of)
    relations.build(connection, "facts.payout_requests", "facts.payout_days", "facts.payout_trades")
    rows = records(connection, "select * from facts.payout_requests order by payout_id")
    days = _by(records(connection, "select * from facts.payout_days order by payout_id, firm_day"), "payout_id")
    trades = _by(records(connection, "select * from facts.payout_trades order by payout_id, trade_id"), "payout_id")
    verdicts = _by(
        records(
            connection,
            "select * from decided.verdicts semi join staging.payouts using (account_id) order by happened_at, rule",
        ),
        "account_id",
    )
    asked_net = _readings(rows, rulebook, policy)
    return [
        Request(
            row,
            terms_of(row, rulebook),
            days[row["payout_id"]],
            trades[row["payout_id"]],
            _in_window(row, verdicts[row["account_id"]]),
            asked_net.get(row["desk_id"], False),
            sum(1 for one in verdicts[row["account_id"]] if _cuts(one) and one["happened_at"] <= row["requested_at"]),
        )
        for row in rows
    ]


def terms_of(row: Row, rulebook: Rulebook) -> Terms | None:
    """The terms of the account's stage at the version bought, None when there are none."""
    if not row["has_terms"]:
        return None
    return rulebook.terms(row["product"], row["product_version"], row["stage"])


def _by(rows: Iterable[Row], key: str) -> defaultdict[str, list[Row]]:
    grouped: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        grouped[row[key]].append(row)
    return grouped


def _in_window(row: Row, verdicts: list[Row]) -> list[Row]:
    """Verdicts after the last payout up to the request; what ended the account counts whenever it was before."""
    since, until = row["last_paid_at"], row["requested_at"]
    return [
        one
        for one in verdicts
        if one["happened_at"] <= until
        and (since is None or one["happened_at"] > since or one["effect"] == "terminate")
        and one["outcome"] != "passed"
    ]


def _cuts(verdict: Row) -> bool:
    return bool(verdict["rule"] == "floating_loss" and verdict["effect"] == "split_cut")


def _register_resets(connection: duckdb.DuckDBPyConnection, rulebook: Rulebook, as_of: dt.datetime) -> None:
    """Puts `terms.payout_resets` before the SQL files: when each firm day began under each version's clock."""
    relations.build(connection, "facts.accounts", "staging.payouts")
    query = """
        select product, product_version, min(opened_at) as first_at
        from facts.accounts semi join staging.payouts using (account_id)
        where has_terms
        group by all
    """
    rows = []
    for held in records(connection, query):
        clock = rulebook.version(held["product"], held["product_version"]).clock
        first = held["first_at"].date() - dt.timedelta(days=8)
        made = resets(clock, first, as_of.date() + dt.timedelta(days=2))
        rows += [
            (held["product"], held["product_version"], from_micros(at), EPOCH_DAY + dt.timedelta(days=int(day)))
            for at, day in zip(made.instants.tolist(), made.firm_days.tolist(), strict=True)
        ]
    columns = ["product", "product_version", "opened_at", "firm_day"]
    frame = pd.DataFrame(rows, columns=columns).astype({"product": "string"})
    connection.register("given_resets", frame)
    connection.execute(
        "create or replace table terms.payout_resets as select cast(product as varchar) as product,"
        " cast(product_version as integer) as product_version, cast(opened_at as timestamptz) as opened_at,"
        " cast(firm_day as date) as firm_day from given_resets"
    )
    connection.unregister("given_resets")


def _readings(rows: list[Row], rulebook: Rulebook, policy: Policy) -> dict[str, bool | None]:
    """Per desk whether amounts are asked after the split: its settled transfers then carry the amount asked for.

    Only transfers where the two readings differ count; too few, and the amount is read as profit before the split.
    None where the desk's own history speaks for neither.
    """
    seen: defaultdict[str, list[str]] = defaultdict(list)
    for row in rows:
        terms = terms_of(row, rulebook)
        if row["transfer_status"] != "settled" or not terms or "split" not in terms or not row["amount"]:
            continue
        share = terms["split"]["percent"] / 100
        if share < 1:
            seen[row["desk_id"]].append(_said_by(row["transfer_amount"] / row["amount"], share))
    wanted = Decimal(policy.review["reading_share"])
    readings: dict[str, bool | None] = {}
    for desk, said in seen.items():
        if len(said) >= policy.review["reading_transfers"]:
            net, gross = (Decimal(said.count(word)) / len(said) for word in ("net", "gross"))
            readings[desk] = True if net >= wanted else None if gross < 1 - wanted else False
    return readings


def _said_by(ratio: Decimal, share: Decimal) -> str:
    """Which reading a transfer speaks for: it carries the trader's share, or all that was asked for."""
    near = Decimal("0.01")
    if abs(ratio - share) <= near:
        return "gross"
    return "net" if abs(ratio - 1) <= near else "neither"


def surroundings(
    connection: duckdb.DuckDBPyConnection, as_of: dt.datetime, policy: Policy, hits: Mapping[str, list[Row]] | None
) -> Desk:
    """Who belongs to whom, what is flagged, and how far the other facts reach."""
    owners = records(connection, "select trader_id, owner_id from decided.owners order by trader_id")
    accounts = records(connection, "select account_id, trader_id from staging.accounts order by account_id")
    rings = records(connection, "select ring_id, account_id from decided.copy_rings where kind = 'ring'")
    return Desk(
        policy,
        as_of,
        _newest_fact(connection),
        _signals(connection),
        _lists((row["owner_id"], row["trader_id"]) for row in owners),
        _lists((row["trader_id"], row["account_id"]) for row in accounts),
        _pairs(connection),
        _lists((row["account_id"], row["ring_id"]) for row in rings),
        _lists((row["ring_id"], row["account_id"]) for row in rings),
        {row["account_id"]: row["band"] for row in _if_there(connection, "risk_scores") or []},
        hits,
    )


def _lists(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    grouped: defaultdict[str, list[str]] = defaultdict(list)
    for key, value in pairs:
        grouped[key].append(value)
    return dict(grouped)


def _if_there(connection: duckdb.DuckDBPyConnection, name: str) -> list[Row] | None:
    query = "select 1 from information_schema.tables where table_schema = 'decided' and table_name = ?"
    there = connection.execute(query, [name]).fetchall()
    return records(connection, f"select * from decided.{name}") if there else None


def _signals(connection: duckdb.DuckDBPyConnection) -> dict[tuple[str, str], list[Row]] | None:
    """Signals by subject; None when no detector has run."""
    found = _if_there(connection, "signals")
    if found is None:
        return None
    grouped: defaultdict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in found:
        grouped[row["subject_kind"], row["subject_id"]].append(row)
    return dict(grouped)


def _pairs(connection: duckdb.DuckDBPyConnection) -> dict[str, list[Row]]:
    """Pairs of accounts of different owners that trade as one, by either account."""
    grouped: defaultdict[str, list[Row]] = defaultdict(list)
    for row in records(connection, "select * from decided.copy_pairs order by strength desc"):
        grouped[row["account_a"]].append(row)
        grouped[row["account_b"]].append(row)
    return dict(grouped)


def _newest_fact(connection: duckdb.DuckDBPyConnection) -> dt.datetime | None:
    """The newest instant of anything that accounts or traders did, requests and transfers apart."""
    dated = {"deals": "executed_at", "equity": "observed_at", "logins": "occurred_at", "accounts": "opened_at"}
    for name in dated:
        relations.build(connection, f"staging.{name}")
    union = " union all ".join(f"select max({column}) as newest from staging.{name}" for name, column in dated.items())
    newest: dt.datetime | None = records(connection, f"select max(newest) as newest from ({union})")[0]["newest"]
    return newest


def evidence(verdict: Row) -> dict[str, Any]:
    """A verdict's evidence."""
    told: dict[str, Any] = json.loads(verdict["evidence"])
    return told
