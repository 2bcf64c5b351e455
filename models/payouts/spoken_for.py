"""Profit that is still in an account and was spoken for: promised to payouts, or void; from when to when."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import zip_longest
from typing import NamedTuple

import duckdb
import pyarrow as pa

from models.catalogue import Rulebook
from models.money import from_minor, to_minor
from models.payouts.facts import Request, Row, draws, records
from sql import relations

_COLUMNS = pa.schema(
    [
        ("account_id", pa.string()),
        ("happened_at", pa.timestamp("us", "UTC")),
        ("amount", pa.float64()),
        ("booked", pa.bool_()),
    ]
)


class Change(NamedTuple):
    """So much more of the profit in an account was spoken for, or less; `booked` with a move of its balance."""

    happened_at: dt.datetime
    amount: Decimal
    booked: bool


def show(
    connection: duckdb.DuckDBPyConnection, rulebook: Rulebook, asked: Iterable[Request], as_of: dt.datetime
) -> None:
    """Shows `decided.spoken_for` to SQL, from all requests up to the run as `with_void` gives them.

    All is told as it is known now: what came back was never promised.
    """
    relations.build(connection, "facts.payout_deals")
    corrections: defaultdict[str, list[Row]] = defaultdict(list)
    for row in records(connection, "select * from facts.payout_deals where taken_off order by executed_at, deal_id"):
        corrections[row["account_id"]].append(row)
    honoured: defaultdict[str, list[Request]] = defaultdict(list)
    for one in sorted(asked, key=lambda one: (one.requested_at, one.payout_id)):
        if one.honoured_at is not None and one.currency is not None:
            honoured[one.account_id].append(one)
    rows = [
        {"account_id": account, "happened_at": min(at, as_of), "amount": float(amount), "booked": booked}
        for account, told in honoured.items()
        for at, amount, booked in (*_promised(told, rulebook), *_void(told, corrections[account]))
        if amount
    ]
    connection.register("found_spoken_for", pa.Table.from_pylist(rows, _COLUMNS))
    connection.execute("create or replace table decided.spoken_for as select * from found_spoken_for")
    connection.unregister("found_spoken_for")


def _promised(honoured: Iterable[Request], rulebook: Rulebook) -> Iterator[Change]:
    """What each payout draws is promised from its first sign on until it leaves the account."""
    for one in honoured:
        if one.operated_at is None or one.operated_at > one.honoured_at:
            amount = draws(one, rulebook)
            yield Change(one.honoured_at, amount, booked=False)
            if one.operated_at is not None:
                yield Change(one.operated_at, -amount, booked=True)


def _void(honoured: Sequence[Request], corrections: Sequence[Row]) -> Iterator[Change]:
    """What rules took is void from the payout on of whose window it is, until a later payout or a correction of just
    that amount takes it along."""
    void, since = 0, honoured[0].honoured_at
    for one, later in zip_longest(honoured, honoured[1:]):
        since = max(since, one.honoured_at)
        yield Change(since, from_minor(one.void_after - void, one.currency), booked=one.operated_at == since)
        void = one.void_after
        corrected_at = _corrected_at(one, corrections, since)
        if corrected_at is not None and (later is None or corrected_at <= later.honoured_at):
            yield Change(corrected_at, from_minor(-void, one.currency), booked=True)
            void = 0


def _corrected_at(one: Request, corrections: Iterable[Row], since: dt.datetime) -> dt.datetime | None:
    """When what was void after a payout was taken off the account, None if it was not."""
    told = (
        max(row["executed_at"], since)
        for row in corrections
        if row["executed_at"] > one.requested_at and to_minor(-row["net"], one.currency) == one.void_after
    )
    return next(told, None)
