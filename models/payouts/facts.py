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
from models.money import from_minor, to_minor
from models.payouts.policy import Policy
from models.payouts.shares import Past, drawn, split_of
from models.screening import Screened
from sql import relations
from sql.case_schema import CASES, DISPOSITIONS, OPEN
from sql.decided import register
from sql.desk_schema import PAYOUT_STATES, PAYOUT_TRANSFERS, RECONCILIATION_MARKS

Row = dict[str, Any]
EPOCH_DAY = dt.date(1970, 1, 1)
OF_THE_DESK = (PAYOUT_STATES, PAYOUT_TRANSFERS, RECONCILIATION_MARKS)
"""What the SQL files read of the desk; a desk on which nobody has acted is an empty one."""
OF_CASES = (CASES, DISPOSITIONS)


@dataclass(frozen=True)
class Request:
    """One request as `facts.payout_requests` holds it, its terms (None: unknown) and what belongs to its window.

    `cuts` is how often a rule had lowered the trader's share for good; `void` is profit that rules took with earlier
    payouts and that is still in the account, `void_after` what is void once an honoured request is paid (minor units).
    """

    row: Row
    terms: Terms | None
    days: list[Row] = field(default_factory=list)
    trades: list[Row] = field(default_factory=list)
    units: list[Row] = field(default_factory=list)
    verdicts: list[Row] = field(default_factory=list)
    asked_net: bool | None = False
    cuts: int = 0
    past: Past = field(default_factory=Past)
    void: int = 0
    void_after: int = 0

    def __getattr__(self, name: str) -> Any:
        """A column of the request."""
        try:
            return self.row[name]
        except KeyError:
            raise AttributeError(name) from None

    @property
    def paid(self) -> bool:
        """Whether the money went out and did not come back: by transfer, or where none are told, from the account."""
        if self.transfer_status is not None or self.transfers_told:
            return self.transfer_status in ("sent", "settled")
        return self.operated_at is not None

    @property
    def number(self) -> int:
        """Which payout of the account this would be, from 1."""
        return int(self.paid_before) + 1

    @property
    def balance(self) -> Decimal:
        """The account's balance at the request, payouts granted before it taken off."""
        return Decimal(self.initial_balance + self.moved)

    @property
    def earned(self) -> Decimal:
        """The profit that stands at the request: what trading made less what was paid; money put in is none."""
        return Decimal(self.moved - self.deposited)


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
    screened: Screened | None = None
    cases: Mapping[str, Row] = field(default_factory=dict)
    owner_of: Mapping[str, str] = field(default_factory=dict)
    answered: Mapping[tuple[str, str, str], Row] = field(default_factory=dict)
    exports: Mapping[str, Row] = field(default_factory=dict)
    unnamed: Mapping[str, list[Row]] = field(default_factory=dict)


def records(connection: duckdb.DuckDBPyConnection, query: str) -> list[Row]:
    """Rows of a select with exact decimals and aware times."""
    found: list[Row] = connection.sql(query).to_arrow_table().to_pylist()
    return found


def requests(
    connection: duckdb.DuckDBPyConnection,
    rulebook: Rulebook,
    as_of: dt.datetime,
    policy: Policy,
    *,
    all_pasts: bool = False,
) -> list[Request]:
    """Every request up to the run, in order of id, each with its terms and window.

    `all_pasts`: also results of accounts that do not grow under their terms, for terms under which they would.
    """
    _register_resets(connection, rulebook, as_of)
    for table in OF_THE_DESK:
        if _if_there(connection, table.name) is None:
            register(connection, table, pd.DataFrame(columns=[column.name for column in table.columns]))
    relations.build(
        connection, "facts.payout_requests", "facts.payout_days", "facts.payout_trades", "facts.payout_units"
    )
    rows = records(connection, "select * from facts.payout_requests order by payout_id")
    days = _by(records(connection, "select * from facts.payout_days order by payout_id, firm_day"), "payout_id")
    trades = _by(records(connection, "select * from facts.payout_trades order by payout_id, trade_id"), "payout_id")
    units = "select * from facts.payout_units order by payout_id, opened_at nulls first, trade_id"
    made = _by(records(connection, units), "payout_id")
    verdicts = _by(
        records(
            connection,
            "select * from decided.verdicts semi join staging.payouts using (account_id) order by happened_at, rule",
        ),
        "account_id",
    )
    for row in rows:
        row["ended_by"] = _ended_by(row, verdicts[row["account_id"]])
    pasts = _pasts(connection, rows, None if all_pasts else rulebook)
    cuts = {
        row["payout_id"]: sum(
            is_cut(one) and one["happened_at"] <= row["requested_at"] for one in verdicts[row["account_id"]]
        )
        for row in rows
    }
    asked_net = _readings(rows, rulebook, policy, cuts, pasts)
    _take_off(rows, rulebook, asked_net, cuts, pasts)
    return [
        Request(
            row,
            terms_of(row, rulebook),
            days[row["payout_id"]],
            trades[row["payout_id"]],
            made[row["payout_id"]],
            _in_window(row, verdicts[row["account_id"]]),
            asked_net.get(row["desk_id"], False),
            cuts[row["payout_id"]],
            pasts[row["payout_id"]],
        )
        for row in rows
    ]


def _pasts(connection: duckdb.DuckDBPyConnection, rows: list[Row], rulebook: Rulebook | None) -> dict[str, Past]:
    """Per request what its account had earned and drawn since it began, where its growth depends on it; without terms
    of every account."""
    growing = sorted(
        {row["account_id"] for row in rows if rulebook is None or "scaling" in (terms_of(row, rulebook) or {})}
    )
    results: defaultdict[str, list[tuple[dt.datetime, Decimal]]] = defaultdict(list)
    if growing:
        connection.register("growing", pd.DataFrame({"account_id": growing}))
        query = (
            "select account_id, executed_at, net from facts.payout_deals semi join growing using (account_id)"
            " where kind in ('trade', 'fee') and net <> 0 order by executed_at"
        )
        for one in records(connection, query):
            results[one["account_id"]].append((one["executed_at"], one["net"]))
        connection.unregister("growing")
    paid = _by([row for row in rows if row["honoured_at"] is not None], "account_id")
    return {
        row["payout_id"]: Past(
            tuple(one for one in results[row["account_id"]] if one[0] <= row["requested_at"]),
            tuple(one["honoured_at"] for one in paid[row["account_id"]]),
            row["opened_at"],
            row["requested_at"],
        )
        for row in rows
    }


def _take_off(
    rows: list[Row],
    rulebook: Rulebook,
    asked_net: Mapping[str, bool | None],
    cuts: Mapping[str, int],
    pasts: Mapping[str, Past],
) -> None:
    """Takes payouts honoured before off the balance of requests made while their money was still in the account.

    `promised` is what payouts of the account will still take off it, whenever they were asked for. An account that is
    not yet known has no currency, and nothing to take off.
    """
    known = {row["payout_id"]: row for row in rows if row["currency"] is not None}
    left: dict[str, Decimal] = {}
    promised: defaultdict[str, Decimal] = defaultdict(Decimal)
    for row in sorted(known.values(), key=lambda row: (row["requested_at"], row["payout_id"])):
        for payout_id in row["not_yet_taken"] or []:
            row["moved"] -= left[payout_id]
            row["drawn"] += left[payout_id]
        if row["honoured_at"] is not None:
            name, net = row["payout_id"], bool(asked_net.get(row["desk_id"]))
            left[name] = _drawn(row, rulebook, net, cuts[name], pasts[name])
            promised[row["account_id"]] += left[name] if row["operated_at"] is None else 0
    for row in rows:
        row["promised"] = promised[row["account_id"]]


def _drawn(row: Row, rulebook: Rulebook, net: bool, cuts: int, past: Past) -> Decimal:
    """What a payout draws from its account: as it left, as the desk granted it, or as its transfer tells."""
    if row["taken"] is not None:
        return Decimal(row["taken"])
    if row["granted_minor"] is not None:
        return from_minor(row["granted_minor"], row["currency"])
    terms = terms_of(row, rulebook)
    split = split_of(terms, row, cuts, past) if terms else None
    return drawn(row, split, net=net)


def draws(asked: Request, rulebook: Rulebook) -> Decimal:
    """What an honoured request draws from its account."""
    return _drawn(asked.row, rulebook, bool(asked.asked_net), asked.cuts, asked.past)


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
        and one["outcome"] != "passed"
        and (since is None or one["effect"] == "terminate" or last_at(one) > since)
    ]


def _ended_by(row: Row, verdicts: list[Row]) -> str | None:
    """The rule that ended the account of a request, None where none did."""
    ending = (one for one in verdicts if one["outcome"] == "breached" and one["effect"] == "terminate")
    return next((one["rule"] for one in ending if one["happened_at"] == row["status_at"]), None)


def is_cut(verdict: Row) -> bool:
    """Whether a verdict lowers the trader's share for good."""
    return bool(verdict["rule"] == "floating_loss" and verdict["effect"] == "split_cut")


def last_at(verdict: Row) -> dt.datetime:
    """The newest instant that a verdict tells of; one verdict stands for a whole firm day."""
    told = [one["at"] for one in evidence(verdict).get("occurrences") or []]
    first: dt.datetime = verdict["happened_at"]
    return max([first, *map(dt.datetime.fromisoformat, told)])


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


def _readings(
    rows: list[Row], rulebook: Rulebook, policy: Policy, cuts: Mapping[str, int], pasts: Mapping[str, Past]
) -> dict[str, bool | None]:
    """Per desk whether amounts are asked after the split: its settled transfers then carry the amount asked for.

    Only transfers where the two readings differ count; too few, and the amount is read as profit before the split.
    None where the desk's own history speaks for neither.
    """
    seen: defaultdict[str, list[str]] = defaultdict(list)
    for row in rows:
        terms = terms_of(row, rulebook)
        if row["transfer_status"] != "settled" or not terms or "split" not in terms or (row["amount"] or 0) <= 0:
            continue
        split = split_of(terms, row, cuts[row["payout_id"]], pasts[row["payout_id"]])
        assert split is not None
        share = split.percent(to_minor(row["amount"], row["currency"])) / 100
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
    connection: duckdb.DuckDBPyConnection, as_of: dt.datetime, policy: Policy, screened: Screened | None
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
        screened,
        _cases(connection),
        {row["trader_id"]: row["owner_id"] for row in owners},
        _answered(connection),
        _exports(connection),
        unnamed=_unnamed(connection),
    )


def _cases(connection: duckdb.DuckDBPyConnection) -> dict[str, Row]:
    """The case about each owner: the open one or the one that this run will open, else the newest."""
    known = case_of_each(_if_there(connection, "cases") or [])
    for row in _if_there(connection, "foreseen_cases") or []:
        opened = known.get(row["owner_id"], {"owner_id": row["owner_id"], "to_freeze": False})
        known[row["owner_id"]] = opened | {"state": "new"}
    return known


def case_of_each(cases: Iterable[Row]) -> dict[str, Row]:
    """The case about each owner: the open one, else the newest; none that was joined to another."""
    told = sorted(cases, key=lambda row: (row["state"] in OPEN, row["opened_at"]))
    return {row["owner_id"]: row for row in told if row["state"] != "joined"}


def _answered(connection: duckdb.DuckDBPyConnection) -> dict[tuple[str, str, str], Row]:
    """What analysts last answered about each flag, by subject and detector."""
    found = _if_there(connection, "dispositions") or []
    found.sort(key=lambda row: (row["decided_at"], row["version"]))
    return {(row["subject_kind"], row["subject_id"], row["detector"]): row for row in found}


def _exports(connection: duckdb.DuckDBPyConnection) -> dict[str, Row]:
    """The newest platform export of each account that has one: its file and how it agrees with its own totals."""
    found = [row for row in _if_there(connection, "loads") or [] if row["reconciliation"]]
    found.sort(key=lambda row: row["load_id"])
    told = [(row["file"], json.loads(row["reconciliation"])) for row in found]
    return {one["account_id"]: {"file": file} | one for file, one in told if one.get("account_id")}


def _lists(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    grouped: defaultdict[str, list[str]] = defaultdict(list)
    for key, value in pairs:
        grouped[key].append(value)
    return dict(grouped)


def _if_there(connection: duckdb.DuckDBPyConnection, name: str) -> list[Row] | None:
    there = relations.are_there(connection, f"decided.{name}")
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


def _unnamed(connection: duckdb.DuckDBPyConnection) -> dict[str, list[Row]]:
    """Transfers that went out and name no request, by destination; what a person has explained is none of them."""
    relations.build(connection, "facts.told_transfers")
    query = (
        "select settlement_id, destination, amount, coalesce(fee, 0) as fee, currency, settled_at"
        " from facts.told_transfers as transfers"
        " anti join (select record_id from decided.reconciliation_marks where side = 'transfer' group by record_id"
        " having arg_max(verdict, place) = 'explained') as marks on transfers.settlement_id = marks.record_id"
        " where payout_id is null and status in ('sent', 'settled') and destination is not null"
        " order by settled_at, settlement_id"
    )
    return _by(records(connection, query), "destination")


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
