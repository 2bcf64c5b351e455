"""Events in memory: deals and observations in columns, each account's rows linked from last to first.

A row that is replaced or needed no more is struck out; when many are, the columns are put together anew. So an append
costs the same however much is held, and what is held stays as small as what may still be walked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from models.checkpoints import Checkpoints, carried
from models.compiled import compiled, to_read
from models.walk import Array
from sql import relations
from sql.schema import ARROW_TYPES, DEAL_KINDS, ENTRIES, SIDES

FIRST_ROOM = 1 << 14
_DEAL_COLUMNS: dict[str, Any] = {
    "kind": np.int8, "entry": np.int8, "side": np.int8, "at": np.int64, "profit": np.int64, "commission": np.int64,
    "swap": np.int64, "fee": np.int64, "volume": np.float64, "position": np.uint64, "market": np.uint32,
    "netted": np.bool_, "correction": np.bool_, "deal_id": object, "load": np.int64, "line": np.int64,
}  # fmt: skip
_EQUITY_COLUMNS: dict[str, Any] = {"at": np.int64, "equity": np.int64, "load": np.int64, "line": np.int64}


class Rows:
    """Growing columns with one chain of rows per account code."""

    def __init__(self, columns: dict[str, Any]) -> None:
        self.count = 0
        self.columns: dict[str, Array] = {name: np.zeros(FIRST_ROOM, kind) for name, kind in columns.items()}
        self.before: Array = np.zeros(FIRST_ROOM, np.int64)
        self.struck: Array = np.zeros(FIRST_ROOM, np.bool_)
        self.last: Array = np.full(FIRST_ROOM, -1, np.int64)

    def append(self, account: Array, values: dict[str, Array]) -> None:
        """Adds rows in the order given; `account` holds their codes."""
        if not len(account):
            return
        self._make_room(len(account), int(account.max()) + 1)
        span = slice(self.count, self.count + len(account))
        for name, column in self.columns.items():
            column[span] = values[name]
        _link(self.last, self.before, account, self.count)
        self.count += len(account)

    def strike(self, rows: Array) -> None:
        """Lets go of rows."""
        self.struck[rows] = True

    def of(self, accounts: Array) -> tuple[Array, Array]:
        """Rows of accounts that are not struck out, and for each the place of its account in `accounts`."""
        self._make_room(0, int(accounts.max()) + 1 if len(accounts) else 0)
        rows, owners = _chained(self.last, self.before, self.struck, to_read(accounts, np.int64))
        return np.asarray(rows), np.asarray(owners)

    def counts(self, accounts: Array) -> Array:
        """How many rows are held of each account."""
        _, owners = self.of(accounts)
        return np.bincount(owners, minlength=len(accounts))

    def newest(self, accounts: Array) -> Array:
        """The newest instant of each account, the smallest number where there is none."""
        rows, owners = self.of(accounts)
        found = np.full(len(accounts), np.iinfo(np.int64).min)
        np.maximum.at(found, owners, self.columns["at"][rows])
        return found

    def forget(self, accounts: Array) -> None:
        """Lets go of everything held of accounts."""
        rows, _ = self.of(accounts)
        self.struck[rows] = True
        self.last[accounts] = -1

    def _make_room(self, rows: int, codes: int) -> None:
        if self.count + rows > len(self.before) and 4 * np.count_nonzero(self.struck[: self.count]) > self.count:
            self._put_together()
        if self.count + rows > len(self.before):
            size = 2 * max(len(self.before), self.count + rows)
            self.columns = {name: np.resize(column, size) for name, column in self.columns.items()}
            self.before, self.struck = np.resize(self.before, size), np.resize(self.struck, size)
            self.struck[self.count :] = False
        if codes > len(self.last):
            self.last = np.concatenate([self.last, np.full(2 * codes - len(self.last), -1, np.int64)])

    def _put_together(self) -> None:
        """Gives the room of rows that are struck out back to those to come."""
        keep = ~self.struck[: self.count]
        _relink(self.last, self.before, np.cumsum(keep) - 1, keep)
        kept = int(np.count_nonzero(keep))
        for column in (*self.columns.values(), self.before):
            column[:kept] = column[: self.count][keep]
        self.struck[:] = False
        self.count = kept


@compiled
def _relink(last: Any, before: Any, number: Any, keep: Any) -> None:
    """Makes chains pass over rows that are not kept, in the numbers that the kept ones get."""
    for code in range(len(last)):
        row, newer = last[code], -1
        while row >= 0:
            older = before[row]
            if keep[row]:
                if newer < 0:
                    last[code] = number[row]
                else:
                    before[newer] = number[row]
                newer = row
            row = older
        if newer < 0:
            last[code] = -1
        else:
            before[newer] = -1


@compiled
def _link(last: Any, before: Any, account: Any, first: Any) -> None:
    for place in range(len(account)):
        before[first + place] = last[account[place]]
        last[account[place]] = first + place


@compiled
def _chained(last: Any, before: Any, struck: Any, accounts: Any) -> Any:
    total = 0
    for code in accounts:
        row = last[code]
        while row >= 0:
            total += not struck[row]
            row = before[row]
    rows, owners = np.empty(total, np.int64), np.empty(total, np.int32)
    end = 0
    for place in range(len(accounts)):
        row = last[accounts[place]]
        first = end
        while row >= 0:
            if not struck[row]:
                rows[end], owners[end] = row, place
                end += 1
            row = before[row]
        rows[first:end] = rows[first:end][::-1].copy()
    return rows, owners


@dataclass(frozen=True)
class Held:
    """Events of some accounts as `models.events.prepare` reads them, and the rows of the memory that they stand in."""

    deals: pa.Table
    equity: pa.Table
    deal_rows: Array
    equity_rows: Array


class Memory:
    """Deals and observations of the accounts that are loaded."""

    def __init__(self) -> None:
        self.deals = Rows(_DEAL_COLUMNS)
        self.equity = Rows(_EQUITY_COLUMNS)

    @property
    def count(self) -> int:
        """Events held, those struck out included."""
        return self.deals.count + self.equity.count

    def forget(self, accounts: Array) -> None:
        """Lets go of accounts, to be loaded anew."""
        self.deals.forget(accounts)
        self.equity.forget(accounts)

    def add(self, found: Found, *, replacing: bool) -> None:
        """Adds events; where `replacing`, an event of the same key that is held already is struck out first."""
        for rows, (account, values), key in (
            (self.deals, found.deals, "deal_id"),
            (self.equity, found.equity, "at"),
        ):
            if replacing and len(account):
                _strike(rows, account, values[key], key)
            rows.append(account, values)

    def held(self, accounts: Array, until: Array | None = None) -> Held:
        """Events of accounts, those after an instant of each left out where `until` tells it."""
        rows, owners = self.deals.of(accounts)
        seen, seen_by = self.equity.of(accounts)
        if until is not None:
            keep, see = (
                self.deals.columns["at"][rows] <= until[owners],
                self.equity.columns["at"][seen] <= until[seen_by],
            )
            rows, owners, seen, seen_by = rows[keep], owners[keep], seen[see], seen_by[see]
        deals = {name: column[rows] for name, column in self.deals.columns.items()}
        equity = {name: column[seen] for name, column in self.equity.columns.items()}
        return Held(_deals_table(owners, deals), _equity_table(seen_by, equity), rows, seen)

    def forget_told(self, held: Held, needed: Array) -> None:
        """Lets go of events that a walk has passed, but for deals that are `needed`."""
        self.deals.strike(held.deal_rows[~needed])
        self.equity.strike(held.equity_rows)


def _strike(rows: Rows, account: Array, keys: Array, name: str) -> None:
    held, owners = rows.of(np.unique(account))
    codes = np.unique(account)[owners]
    wanted = set(zip(account.tolist(), keys.tolist(), strict=True))
    found = zip(codes.tolist(), rows.columns[name][held].tolist(), strict=True)
    rows.struck[held] = np.fromiter((pair in wanted for pair in found), np.bool_, len(held))


Columns = tuple[Array, dict[str, Array]]
"""Account codes of rows, and their values by column."""


@dataclass
class Found:
    """Events read from SQL: deals and observations."""

    deals: Columns
    equity: Columns

    def renamed(self, codes: Array) -> Found:
        """The same with the codes that accounts have where these are their places."""
        return Found(*((codes[account].astype(np.int32), values) for account, values in (self.deals, self.equity)))

    def keep(self, accounts: list[int]) -> None:
        """Leaves out events of other accounts."""
        self.deals, self.equity = (_only(account, values, accounts) for account, values in (self.deals, self.equity))

    def touched(self) -> dict[int, int]:
        """The earliest instant (microseconds) of each account that has events here."""
        account = np.concatenate([self.deals[0], self.equity[0]])
        at = np.concatenate([self.deals[1]["at"], self.equity[1]["at"]])
        codes, place = np.unique(account, return_inverse=True)
        earliest = np.full(len(codes), np.iinfo(np.int64).max)
        np.minimum.at(earliest, place, at)
        return dict(zip(codes.tolist(), earliest.tolist(), strict=True))


def _only(account: Array, values: dict[str, Array], accounts: list[int]) -> tuple[Array, dict[str, Array]]:
    keep = np.isin(account, accounts)
    return account[keep], {name: column[keep] for name, column in values.items()}


def _listed(words: tuple[str, ...], column: str) -> str:
    names = ", ".join(f"'{word}'" for word in words)
    return f"coalesce(list_position([{names}], {column}) - 1, -1)::tinyint as {column}"


def _units(column: str) -> str:
    return f"({column}::decimal(38, 8) * 100000000)::bigint as {column}"


_ORIGIN = "coalesce(_load_id, 0)::bigint as load, coalesce(_line, 0)::bigint as line"
_DEALS = f"""
    select account, {_listed(DEAL_KINDS, "kind")}, {_listed(ENTRIES, "entry")}, {_listed(SIDES, "side")},
        epoch_us(executed_at) as at, {", ".join(map(_units, ("profit", "commission", "swap", "fee")))},
        volume::double as volume, position::ubigint as position, market, netted, correction, deal_id, {_ORIGIN}
    from told
"""
_EQUITY = f"select account, epoch_us(observed_at) as at, {_units('equity')}, {_ORIGIN} from told"


def read_found(connection: duckdb.DuckDBPyConnection, *datasets: str, checkpoints: Checkpoints | None = None) -> Found:
    """Events of the datasets that the connection has something of, as the memory takes them.

    Deals that were open at checkpoints are told before those that came after.
    """
    before = ""
    if checkpoints is not None:
        schema = connection.sql(relations.text("facts.judged_deals")).limit(0).to_arrow_table().schema
        connection.register("carried_deals", carried(checkpoints, schema))
        before = "select * from carried_deals union all "
    facts = {"deals": ("facts.judged_deals", before, _DEALS), "equity": ("facts.judged_equity", "", _EQUITY)}
    told = {
        name: _read(connection, f"with told as ({first}({relations.text(fact)})) {query}")
        if name in datasets
        else _NOTHING[name]
        for name, (fact, first, query) in facts.items()
    }
    return Found(told["deals"], told["equity"])


_NOTHING: dict[str, Columns] = {
    name: (np.zeros(0, np.int32), {column: np.zeros(0, kind) for column, kind in columns.items()})
    for name, columns in (("deals", _DEAL_COLUMNS), ("equity", _EQUITY_COLUMNS))
}


def _read(connection: duckdb.DuckDBPyConnection, query: str) -> Columns:
    table: pa.Table = connection.sql(query).to_arrow_table()
    values = {name: table[name].to_numpy() for name in table.column_names}
    return values.pop("account").astype(np.int32), values


def _deals_table(account: Array, values: dict[str, Array]) -> pa.Table:
    return pa.table(
        {
            "account": account,
            "kind": _words(values["kind"], DEAL_KINDS),
            "entry": _words(values["entry"], ENTRIES),
            "side": _words(values["side"], SIDES),
            "executed_at": _instants(values["at"]),
            **{name: _amounts(values[name]) for name in ("profit", "commission", "swap", "fee")},
            "volume": values["volume"],
            "position": values["position"],
            "market": values["market"],
            "netted": values["netted"],
            "correction": values["correction"],
            "deal_id": pa.array(values["deal_id"], pa.string()),
            "_load_id": _origin(values["load"]),
            "_line": _origin(values["line"]),
        }
    )


def _equity_table(account: Array, values: dict[str, Array]) -> pa.Table:
    return pa.table(
        {
            "account": account,
            "observed_at": _instants(values["at"]),
            "equity": _amounts(values["equity"]),
            "_load_id": _origin(values["load"]),
            "_line": _origin(values["line"]),
        }
    )


def _words(codes: Array, words: tuple[str, ...]) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(codes, mask=codes < 0), pa.array(words, pa.string()))


def _instants(micros: Array) -> pa.Array:
    return pa.array(micros).cast(ARROW_TYPES["instant"])


def _amounts(units: Array) -> pa.Array:
    words = np.column_stack([units, units >> 63])
    return pa.Array.from_buffers(ARROW_TYPES["money"], len(units), [None, pa.py_buffer(np.ascontiguousarray(words))])


def _origin(numbers: Array) -> pa.Array:
    """Load or line; an event that has not landed yet has none."""
    return pa.array(numbers, mask=numbers == 0)
