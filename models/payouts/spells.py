"""How accounts whose split may change are split, from each instant on at which it changed."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow as pa

from models.catalogue import Rulebook, Terms
from models.money import from_minor, to_minor
from models.payouts import spoken_for
from models.payouts.amounts import with_void
from models.payouts.facts import Request, Row, draws, is_cut, records, requests, terms_of
from models.payouts.policy import in_force
from models.payouts.shares import Past, first_growth, split_of
from sql import relations

_COLUMNS = pa.schema(
    [
        ("account_id", pa.string()),
        ("since", pa.timestamp("us", "UTC")),
        ("begins", pa.list_(pa.float64())),
        ("percents", pa.list_(pa.float64())),
    ]
)


@dataclass(frozen=True)
class Told:
    """What changed an account's split: profits drawn, times that the share was cut, and what trading made."""

    drawn: list[tuple[dt.datetime, Decimal]] = field(default_factory=list)
    cut_at: list[dt.datetime] = field(default_factory=list)
    results: list[tuple[dt.datetime, Decimal]] = field(default_factory=list)


def show(connection: duckdb.DuckDBPyConnection, rulebook: Rulebook, as_of: dt.datetime) -> list[Request]:
    """Shows `decided.split_spells` and `decided.spoken_for` to SQL, and gives the requests up to the run of which these
    are told."""
    asked = with_void(requests(connection, rulebook, as_of, in_force(as_of)), rulebook)
    show_of(connection, rulebook, asked, as_of)
    return asked


def show_of(
    connection: duckdb.DuckDBPyConnection, rulebook: Rulebook, asked: Sequence[Request], as_of: dt.datetime
) -> None:
    """The same of requests that are read already.

    An account's first spell begins with it; every payout, cut and first step of growth begins another.
    """
    spoken_for.show(connection, rulebook, asked, as_of)
    relations.build(connection, "facts.changing_splits")
    accounts = records(connection, "select * from facts.changing_splits order by account_id")
    told = _told(connection, rulebook, asked) if accounts else {}
    rows = [
        {"account_id": account["account_id"], "since": since, "begins": begins, "percents": percents}
        for account in accounts
        if (terms := terms_of(account, rulebook)) is not None
        for since, begins, percents in _spells(account, terms, told.get(account["account_id"], Told()), as_of)
    ]
    connection.register("found_spells", pa.Table.from_pylist(rows, _COLUMNS))
    connection.execute("create or replace table decided.split_spells as select * from found_spells")
    connection.unregister("found_spells")


def _spells(
    account: Row, terms: Terms, told: Told, as_of: dt.datetime
) -> Iterator[tuple[dt.datetime, list[float], list[float]]]:
    """The split at the account's opening and after everything that may change it."""
    currency, opened_at = account["currency"], account["opened_at"]
    whole = Past(tuple(told.results), tuple(at for at, _ in told.drawn), opened_at, as_of)
    grown_at = first_growth(terms, whole, to_minor(account["initial_balance"] or 0, currency), currency)
    later = {at for at in (*whole.paid_at, *told.cut_at, grown_at) if at is not None and at > opened_at}
    for since in sorted({opened_at, *later}):
        before = [amount for at, amount in told.drawn if at <= since]
        state = account | {"status": "active", "paid_before": len(before), "drawn": sum(before, Decimal(0))}
        # a payout of that very instant lies before what comes next
        past = Past(tuple(one for one in told.results if one[0] <= since), whole.paid_at, opened_at, since + MOMENT)
        split = split_of(terms, state, sum(at <= since for at in told.cut_at), past)
        if split is not None:
            begins, percents = zip(*split.bands, strict=True)
            yield since, [float(from_minor(one, currency)) for one in begins], [float(one) for one in percents]


def _told(connection: duckdb.DuckDBPyConnection, rulebook: Rulebook, asked: Iterable[Request]) -> dict[str, Told]:
    """What changed the split of each account, in order of time; a payout that nobody asked for counts as well."""
    relations.build(connection, "facts.payout_operations")
    found: defaultdict[str, Told] = defaultdict(Told)
    changing = "semi join facts.changing_splits using (account_id)"
    for one in asked:
        if one.row["honoured_at"] is not None and one.row["currency"] is not None:
            found[one.row["account_id"]].drawn.append((one.row["honoured_at"], draws(one, rulebook)))
    unasked = f"select * from facts.payout_operations {changing} where payout_id is null"
    for row in records(connection, unasked):
        found[row["account_id"]].drawn.append((row["executed_at"], row["amount"]))
    for row in records(connection, f"select * from decided.verdicts {changing} order by happened_at"):
        if is_cut(row):
            found[row["account_id"]].cut_at.append(row["happened_at"])
    for row in records(connection, _RESULTS):
        found[row["account_id"]].results.append((row["executed_at"], row["net"]))
    for held in found.values():
        held.drawn.sort()
    return found


MOMENT = dt.timedelta(microseconds=1)

_RESULTS: Any = """
    select deals.account_id, deals.executed_at, deals.net
    from facts.payout_deals as deals
    inner join facts.changing_splits as accounts using (account_id)
    inner join terms.scaling as scaling
        on
            accounts.product = scaling.product
            and accounts.product_version = scaling.product_version
            and accounts.stage = scaling.stage
    where scaling.split_percent is not null and deals.kind in ('trade', 'fee') and deals.net <> 0
    order by deals.executed_at, deals.deal_id
"""
