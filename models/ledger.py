"""The ledger: double entry in whole minor units, every row one amount from one account to another.

A row that names both its sides cannot be out of balance, so neither can the sum of all rows, in any currency. Rows
are never changed: what was wrong is posted back. `entry_id` says what a row comes from, so that posting again is a
no-op, and posting something else under the same id is refused.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import duckdb
import sqlalchemy as sa

from models.money import to_minor
from sql import relations
from sql.desk_schema import LEDGER_ENTRIES

CASH = "cash"
FEES = "fees"
REFUNDS = "refunds"
CHARGEBACKS = "chargebacks"
PROFIT = "traders' profit"
PAYABLE = "payouts payable"
FIRM_SHARE = "firm's share"
TRANSFER_FEES = "transfer fees"
COMMISSIONS = "commissions"
COMMISSIONS_PAYABLE = "commissions payable"
IN_QUESTION = "transfers in question"
ACCOUNTS = (
    CASH,
    FEES,
    REFUNDS,
    CHARGEBACKS,
    PROFIT,
    PAYABLE,
    FIRM_SHARE,
    TRANSFER_FEES,
    COMMISSIONS,
    COMMISSIONS_PAYABLE,
    IN_QUESTION,
)
POST_ROWS = 400
RESTATE_ROWS = 10_000
FEED = "feed:"


class LedgerRefused(Exception):
    """A posting that contradicts what the ledger holds."""


@dataclass(frozen=True)
class Entry:
    """One amount (minor units, positive) from the account credited to the account debited."""

    entry_id: str
    debit: str
    credit: str
    currency: str
    minor: int
    happened_at: dt.datetime
    subject_id: str
    memo: str


def post(connection: sa.Connection, entries: Iterable[Entry]) -> int:
    """Posts entries that are not there yet; returns how many were new.

    Raises LedgerRefused, and leaves the transaction to be rolled back, when an id is there with other contents.
    """
    given = {entry.entry_id: entry for entry in entries if entry.minor}
    ids = sorted(given)
    new = 0
    for start in range(0, len(ids), POST_ROWS):
        chunk = ids[start : start + POST_ROWS]
        there = _there(connection, chunk)
        for entry_id, held in there.items():
            _same(given[entry_id], held)
        rows = [vars(given[entry_id]) for entry_id in chunk if entry_id not in there]
        if rows:
            connection.execute(sa.insert(LEDGER_ENTRIES), rows)
        new += len(rows)
    return new


def _there(connection: sa.Connection, ids: Sequence[str]) -> dict[str, Any]:
    query = sa.select(LEDGER_ENTRIES).where(LEDGER_ENTRIES.c.entry_id.in_(ids))
    return {row.entry_id: row for row in connection.execute(query)}


def _same(entry: Entry, held: Any) -> None:
    names = ("debit", "credit", "currency", "minor", "subject_id")
    if any(getattr(entry, name) != getattr(held, name) for name in names):
        raise LedgerRefused(f"{entry.entry_id} is already posted as {held.minor} {held.currency}, not {entry.minor}.")


def granted(
    payout_id: str, version: int, trader: int, firm: int, currency: str, at: dt.datetime, memo: str = "payout granted"
) -> list[Entry]:
    """What a granted request makes: a debt to the trader and the firm's own share, out of traders' profit."""
    key = f"payout:{payout_id}:{version}"
    return [
        Entry(f"{key}:trader", PROFIT, PAYABLE, currency, trader, at, payout_id, memo),
        Entry(f"{key}:firm", PROFIT, FIRM_SHARE, currency, firm, at, payout_id, memo),
    ]


def withdrawn(payout_id: str, version: int, trader: int, firm: int, currency: str, at: dt.datetime) -> list[Entry]:
    """What a grant that is taken back makes: the same the other way round."""
    key = f"payout:{payout_id}:{version}:back"
    memo = "payout withdrawn"
    return [
        Entry(f"{key}:trader", PAYABLE, PROFIT, currency, trader, at, payout_id, memo),
        Entry(f"{key}:firm", FIRM_SHARE, PROFIT, currency, firm, at, payout_id, memo),
    ]


def transferred(key: str, payout_id: str, minor: int, fee: int, currency: str, at: dt.datetime) -> list[Entry]:
    """What a settled transfer makes: the debt is paid, the provider's fee on top."""
    return [
        Entry(f"{key}:paid", PAYABLE, CASH, currency, minor, at, payout_id, "payout paid"),
        Entry(f"{key}:fee", TRANSFER_FEES, CASH, currency, fee, at, payout_id, "transfer fee"),
    ]


def came_back(key: str, payout_id: str, minor: int, currency: str, at: dt.datetime) -> list[Entry]:
    """What a returned transfer makes: the money is there again, and owed again."""
    return [Entry(f"{key}:returned", CASH, PAYABLE, currency, minor, at, payout_id, "payout came back")]


def from_feeds(connection: duckdb.DuckDBPyConnection) -> list[Entry]:
    """Entries for every fee, refund, commission and payout that the feeds tell of (`facts.book_entries`).

    What the desk itself posts is not among them: requests that stand on the desk, and transfers that moved one.
    """
    relations.build(connection, "facts.book_entries")
    rows = connection.sql("select * from facts.book_entries order by entry_id").to_arrow_table().to_pylist()
    return [_forwards(Entry(**row | {"minor": to_minor(row["minor"], row["currency"])})) for row in rows]


def _forwards(entry: Entry) -> Entry:
    """An entry as it is posted: an amount below zero goes the other way."""
    return entry if entry.minor >= 0 else replace(entry, debit=entry.credit, credit=entry.debit, minor=-entry.minor)


def restate(connection: sa.Connection, wanted: Iterable[Entry], at: dt.datetime) -> int:
    """Brings what the feeds' entries say in line with what is wanted; returns how many rows were posted.

    Nothing is changed: an entry that is wrong, or wanted no more, is posted back at `at`, and its right form after it.
    Ids become feed:<revision>:<id>; odd revisions stand, even ones take the one before back.
    """
    held = _standing(connection, sa.true())
    rows: list[Entry] = []
    for entry in wanted:
        revision, stands = held.pop(entry.entry_id, (0, None))
        if entry.minor and revision == 0:
            rows.append(_revised(entry, 1))
        elif not _alike(stands, entry if entry.minor else None):
            back = [] if stands is None else [_back(entry.entry_id, stands, revision + 1, at)]
            rows += back
            if entry.minor:
                rows.append(_revised(replace(entry, happened_at=at), revision + len(back) + 1))
    return _append(connection, rows + _all_back(held, at))


def taken_over(connection: sa.Connection, settlement_id: str, payout_id: str, at: dt.datetime) -> int:
    """Takes back, at the instant at which the desk books a transfer, what the feeds' entries said of it until then.

    A run would do so too, but later: until then the money would have left twice. Returns how many rows were posted.
    """
    # by subject, of which there is an index: a transfer in question is its own, one outside the desk the request's
    held = _standing(connection, LEDGER_ENTRIES.c.subject_id.in_((settlement_id, payout_id)))
    of_it = {name: one for name, one in held.items() if name.rpartition(":")[0] == f"settlement:{settlement_id}"}
    return _append(connection, _all_back(of_it, at))


def _append(connection: sa.Connection, rows: Sequence[Entry]) -> int:
    for start in range(0, len(rows), RESTATE_ROWS):
        connection.execute(sa.insert(LEDGER_ENTRIES), [vars(row) for row in rows[start : start + RESTATE_ROWS]])
    return len(rows)


def _all_back(held: Mapping[str, tuple[int, Any]], at: dt.datetime) -> list[Entry]:
    """Rows that take back what stands of feed entries."""
    return [_back(name, stands, revision + 1, at) for name, (revision, stands) in held.items() if stands is not None]


def _standing(connection: sa.Connection, wanted: sa.ColumnElement[bool]) -> dict[str, tuple[int, Any]]:
    """Per feed entry its newest revision, and that row while it stands (None once it was taken back)."""
    table = LEDGER_ENTRIES.c
    query = sa.select(table.entry_id, table.debit, table.credit, table.currency, table.minor, table.subject_id)
    newest: dict[str, tuple[int, Any]] = {}
    for row in connection.execute(query.where(wanted, table.entry_id.like(f"{FEED}%"))):
        number, _, name = row.entry_id.removeprefix(FEED).partition(":")
        if newest.get(name, (0, None))[0] < int(number):
            newest[name] = (int(number), row if int(number) % 2 else None)
    return newest


def _alike(stands: Any, entry: Entry | None) -> bool:
    if stands is None or entry is None:
        return stands is None and entry is None
    return all(getattr(stands, name) == getattr(entry, name) for name in ("debit", "credit", "currency", "minor"))


def _revised(entry: Entry, revision: int) -> Entry:
    return replace(entry, entry_id=f"{FEED}{revision}:{entry.entry_id}")


def _back(name: str, stands: Any, revision: int, at: dt.datetime) -> Entry:
    """A row that takes one back: the same the other way round."""
    key, memo = f"{FEED}{revision}:{name}", "corrected: taken back"
    return Entry(key, stands.credit, stands.debit, stands.currency, stands.minor, at, stands.subject_id, memo)


def balances(connection: sa.Connection) -> dict[tuple[str, str], int]:
    """Debits less credits by account and currency, minor units; every currency's balances sum to zero."""
    table = LEDGER_ENTRIES.c
    held: defaultdict[tuple[str, str], int] = defaultdict(int)
    for column, sign in ((table.debit, 1), (table.credit, -1)):
        query = sa.select(column, table.currency, sa.func.sum(table.minor)).group_by(column, table.currency)
        for account, currency, minor in connection.execute(query):
            held[account, currency] += sign * int(minor)
    return dict(held)


@dataclass(frozen=True)
class RollForward:
    """How a liability went from one instant to another, minor units: opening + accrued − settled = closing."""

    currency: str
    opening: int
    accrued: int
    settled: int
    closing: int


def roll_forward(
    connection: sa.Connection, since: dt.datetime, until: dt.datetime, account: str = PAYABLE, only: Any = None
) -> list[RollForward]:
    """A liability by currency: what stood at `since`, what came on and went off before `until`, and what stood then.

    `only` limits it to some subjects (a select of their ids).
    """
    table = LEDGER_ENTRIES.c
    on, within = (table.credit == account).label("credited"), (table.happened_at >= since).label("within")
    moved = sa.select(table.currency, on, within, table.minor)
    moved = moved.where(sa.or_(table.debit == account, table.credit == account), table.happened_at < until)
    told = (moved if only is None else moved.where(table.subject_id.in_(only))).subquery().c
    groups = (told.currency, told.credited, told.within)
    sums: defaultdict[str, dict[tuple[bool, bool], int]] = defaultdict(dict)
    for currency, credited, inside, minor in connection.execute(
        sa.select(*groups, sa.func.sum(told.minor)).group_by(*groups)
    ):
        sums[currency][bool(credited), bool(inside)] = int(minor)
    rolled = []
    for currency, found in sorted(sums.items()):
        opening = found.get((True, False), 0) - found.get((False, False), 0)
        accrued, settled = found.get((True, True), 0), found.get((False, True), 0)
        rolled.append(RollForward(currency, opening, accrued, settled, opening + accrued - settled))
    return rolled
