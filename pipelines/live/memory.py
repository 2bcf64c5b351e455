"""Events in memory: deals and observations in columns that only grow, each account's rows linked from last to first.

A row that a correction replaces is struck out, never moved; so an append costs the same however much is held.
"""

from __future__ import annotations

from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
from numba import njit

from models.walk import Array
from sql import relations
from sql.schema import ARROW_TYPES, DEAL_KINDS, ENTRIES, SIDES

FIRST_ROOM = 1 << 14
_DEAL_COLUMNS: dict[str, Any] = {
    "kind": np.int8, "entry": np.int8, "side": np.int8, "at": np.int64, "profit": np.int64, "commission": np.int64,
    "swap": np.int64, "fee": np.int64, "volume": np.float64, "position": np.uint64, "netted": np.bool_,
    "correction": np.bool_, "deal_id": object, "load": np.int64, "line": np.int64,
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

    def of(self, accounts: Array) -> tuple[Array, Array]:
        """Rows of accounts that are not struck out, and for each the place of its account in `accounts`."""
        self._make_room(0, int(accounts.max()) + 1 if len(accounts) else 0)
        rows, owners = _chained(self.last, self.before, self.struck, accounts)
        return np.asarray(rows), np.asarray(owners)

    def forget(self, accounts: Array) -> None:
        """Lets go of everything held of accounts."""
        rows, _ = self.of(accounts)
        self.struck[rows] = True
        self.last[accounts] = -1

    def _make_room(self, rows: int, codes: int) -> None:
        if self.count + rows > len(self.before):
            size = 2 * max(len(self.before), self.count + rows)
            self.columns = {name: np.resize(column, size) for name, column in self.columns.items()}
            self.before, self.struck = np.resize(self.before, size), np.resize(self.struck, size)
            self.struck[self.count :] = False
        if codes > len(self.last):
            self.last = np.concatenate([self.last, np.full(2 * codes - len(self.last), -1, np.int64)])


@njit(cache=True)
def _link(last: Any, before: Any, account: Any, first: Any) -> None:
    for place in range(len(account)):
        before[first + place] = last[account[place]]
        last[account[place]] = first + place


@njit(cache=True)
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

    def tables(self, accounts: Array) -> tuple[pa.Table, pa.Table]:
        """Events of accounts as `models.events.prepare` reads them, `account` the place in `accounts`."""
        rows, owners = self.deals.of(accounts)
        deals = {name: column[rows] for name, column in self.deals.columns.items()}
        rows, seen_by = self.equity.of(accounts)
        equity = {name: column[rows] for name, column in self.equity.columns.items()}
        return _deals_table(owners, deals), _equity_table(seen_by, equity)


def _strike(rows: Rows, account: Array, keys: Array, name: str) -> None:
    held, owners = rows.of(np.unique(account))
    codes = np.unique(account)[owners]
    wanted = set(zip(account.tolist(), keys.tolist(), strict=True))
    found = zip(codes.tolist(), rows.columns[name][held].tolist(), strict=True)
    rows.struck[held] = np.fromiter((pair in wanted for pair in found), np.bool_, len(held))


class Found:
    """Events read from SQL: account codes and column values of deals and of observations."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.deals = _read(connection, f"with told as ({relations.text('facts.judged_deals')}) {_DEALS}")
        self.equity = _read(connection, f"with told as ({relations.text('facts.judged_equity')}) {_EQUITY}")

    def keep(self, accounts: list[int]) -> None:
        """Leaves out events of other accounts."""
        self.deals, self.equity = (_only(account, values, accounts) for account, values in (self.deals, self.equity))

    def touched(self) -> dict[int, int]:
        """The earliest instant (microseconds) of each account that has events here."""
        told = pd.concat(
            [pd.DataFrame({"account": account, "at": values["at"]}) for account, values in (self.deals, self.equity)]
        )
        earliest = told.groupby("account")["at"].min()
        return dict(zip(earliest.index.tolist(), earliest.tolist(), strict=True))


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
        volume::double as volume, position::ubigint as position, netted, correction, deal_id, {_ORIGIN}
    from told
"""
_EQUITY = f"select account, epoch_us(observed_at) as at, {_units('equity')}, {_ORIGIN} from told"


def _read(connection: duckdb.DuckDBPyConnection, query: str) -> tuple[Array, dict[str, Array]]:
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
