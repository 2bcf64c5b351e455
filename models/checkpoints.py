"""Checkpoints: where the walks of accounts stood, so that they go on from there.

A checkpoint is the walk's state after an instant and the deals of positions that were open then. It only saves work: an
account without one, or whose checkpoint was made by other code, other terms or another clock, is walked from its start.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import sqlalchemy as sa

from models.clock import Clock, from_micros, to_micros, zone_rules
from models.walk import STATE, Array
from sql.schema import CHECKPOINTS

ROOT = Path(__file__).parent.parent
JUDGING = ("models", "sql")
"""Folders whose code decides what the tables say."""
FEW_ACCOUNTS = 500
"""So many are asked for by name."""


@dataclass(frozen=True)
class Checkpoints:
    """States of accounts by their place, not `begun` where there is none; the deals that were open then, as JSON; and
    what each account's walk rests on (see `fingerprints`)."""

    states: Array
    open_deals: Sequence[str]
    fingerprints: Sequence[str]

    @property
    def begun(self) -> int:
        """How many there are."""
        return int(np.count_nonzero(self.states["begun"]))

    def of(self, places: Array) -> Checkpoints:
        """Those of some places, in their order."""
        listed = places.tolist()
        deals, rests = [self.open_deals[place] for place in listed], [self.fingerprints[place] for place in listed]
        return Checkpoints(self.states[places], deals, rests)

    def rows(self, names: Sequence[str]) -> pd.DataFrame:
        """Rows of `walk_checkpoints` for those that there are; `names` are the accounts."""
        held = [
            (name, from_micros(int(state["at"])), rests, state.tobytes(), deals)
            for name, state, deals, rests in zip(names, self.states, self.open_deals, self.fingerprints, strict=True)
            if state["begun"]
        ]
        return pd.DataFrame(held, columns=[column.name for column in CHECKPOINTS.columns])


def none(fingerprints: Sequence[str]) -> Checkpoints:
    """No checkpoint for as many accounts as there are fingerprints."""
    return Checkpoints(np.zeros(len(fingerprints), STATE), [""] * len(fingerprints), fingerprints)


@cache
def code() -> str:
    """A hash of the code and SQL that judge; what other code made is not built upon."""
    told = hashlib.sha256(duckdb.__version__.encode())
    for folder in JUDGING:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in (".py", ".sql"):
                told.update(path.relative_to(ROOT).as_posix().encode() + path.read_bytes())
    return told.hexdigest()


def fingerprints(accounts: pd.DataFrame, terms: Array, clocks: Sequence[Clock]) -> list[str]:
    """Of each account a hash of everything beside its events on which its walk rests."""
    clocked = [f"{clock!r} {zone_rules(clock.zone)}" for clock in clocks]
    plain = terms.copy()
    plain["clock"] = 0
    columns = ["product", "product_version", "stage", "currency"]
    known = zip(accounts[columns].itertuples(index=False, name=None), terms["clock"].tolist(), plain, strict=True)
    return [
        hashlib.sha256(f"{code()} {told} {clocked[clock]}".encode() + row.tobytes()).hexdigest()
        for told, clock, row in known
    ]


def may_be_kept(terms: Array) -> Array:
    """Accounts that can go on from a state: which trade is the best or largest all of them tell."""
    return np.asarray(terms["cs_unit"] == 0)


def taken(before: Checkpoints, states: Array, terms: Array, deals: pa.Table, still_open: Array) -> Checkpoints:
    """The checkpoints that accounts leave which were walked on from `before` to `states`.

    A state stands at the last instant that was walked, so that an event is late only when it belongs before that.
    """
    kept = states.copy()
    kept["at"] = np.maximum(states["last_at"], states["day_start"])
    kept[~may_be_kept(terms)] = np.zeros((), STATE)
    written: dict[int, list[list[Any]]] = {}
    rows = deals.filter(pa.array(still_open))
    account = rows["account"].to_pylist()
    for place, *row in zip(account, *(_plain(rows[name]) for name in _carried(rows.schema)), strict=True):
        written.setdefault(place, []).append(row)
    open_deals = [json.dumps(written[place]) if place in written else "" for place in range(len(kept))]
    return Checkpoints(kept, open_deals, before.fingerprints)


def carried(checkpoints: Checkpoints, schema: pa.Schema) -> pa.Table:
    """The deals that were open at checkpoints, as rows of `facts.judged_deals`."""
    rows = [
        (place, *row)
        for place, told in enumerate(checkpoints.open_deals)
        if told and checkpoints.states["begun"][place]
        for row in json.loads(told)
    ]
    names = ["account", *_carried(schema)]
    columns: Iterable[tuple[Any, ...]] = zip(*rows, strict=True) if rows else [()] * len(names)
    arrays = {name: _typed(values, schema.field(name).type) for name, values in zip(names, columns, strict=True)}
    return pa.table([arrays[name] for name in schema.names], schema=schema)


def stand_at(checkpoints: Checkpoints) -> list[dt.datetime | None]:
    """Up to which instant each account has been walked; None for one that begins at its start."""
    begun, at = checkpoints.states["begun"].tolist(), checkpoints.states["at"].tolist()
    return [from_micros(instant) if one else None for one, instant in zip(begun, at, strict=True)]


def read(
    database: sa.Connection, accounts: Sequence[str], expected: Sequence[str], news: Mapping[str, int]
) -> Checkpoints:
    """The kept checkpoints from which accounts can go on; `expected` are their fingerprints today.

    `news` tells the earliest instant of each account (microseconds) about which something was said since.
    """
    table = CHECKPOINTS.c
    query = sa.select(table.account_id, table.fingerprint, table.state, table.open_deals)
    if len(accounts) <= FEW_ACCOUNTS:
        query = query.where(table.account_id.in_(accounts))
    held = {account: row for account, *row in database.execute(query)}
    found = none(expected)
    deals = list(found.open_deals)
    for place, (account, rests) in enumerate(zip(accounts, expected, strict=True)):
        told, state, open_deals = held.get(account, ("", b"", ""))
        if told != rests or len(state) != STATE.itemsize:
            continue
        one = np.frombuffer(state, STATE)[0]
        if account not in news or news[account] > one["at"]:
            found.states[place], deals[place] = one, open_deals
    return Checkpoints(found.states, deals, expected)


def let_go(database: sa.Connection, changed: Mapping[str, int]) -> None:
    """Forgets checkpoints of accounts that stand at or after an instant (microseconds) at which something changed."""
    newest = database.execute(sa.select(sa.func.max(CHECKPOINTS.c.stood_at))).scalar()
    stood = to_micros(newest) if newest else -1
    late = [{"account": account, "changed_at": from_micros(at)} for account, at in changed.items() if at <= stood]
    if late:
        mine = CHECKPOINTS.c.account_id == sa.bindparam("account")
        database.execute(sa.delete(CHECKPOINTS).where(mine, CHECKPOINTS.c.stood_at >= sa.bindparam("changed_at")), late)


_NEWS = """
    with new_deals as (select account_id, deal_id, executed_at, _version from lake.deals semi join new_loads
        on deals._load_id = new_loads.load_id),
    told as (
        select account_id, executed_at as told_at from new_deals
        union all
        -- what a correction takes back may have stood earlier
        select deals.account_id, deals.executed_at from lake.deals as deals
        semi join (from new_deals where _version > 1) as corrected
        on deals.account_id = corrected.account_id and deals.deal_id = corrected.deal_id
        union all
        select account_id, observed_at from lake.equity semi join new_loads on equity._load_id = new_loads.load_id
    )
    select account_id, epoch_us(min(told_at)) from told group by account_id
"""


def news_of(connection: duckdb.DuckDBPyConnection, loads: set[int]) -> dict[str, int]:
    """The earliest instant (microseconds) of each account of whose events some loads say something."""
    if not loads:
        return {}
    connection.register("new_loads", pd.DataFrame({"load_id": sorted(loads)}, dtype="int64"))
    return dict(connection.execute(_NEWS).fetchall())


def _carried(schema: pa.Schema) -> list[str]:
    return [name for name in schema.names if name != "account"]


def _plain(column: pa.ChunkedArray) -> list[Any]:
    """Values as JSON keeps them without loss."""
    if pa.types.is_decimal(column.type) or pa.types.is_timestamp(column.type):
        return [None if value is None else str(value) for value in column.to_pylist()]
    values: list[Any] = column.to_pylist()
    return values


def _typed(values: Iterable[Any], kind: pa.DataType) -> pa.Array:
    if pa.types.is_decimal(kind) or pa.types.is_timestamp(kind):
        return pa.array(list(values), pa.string()).cast(kind)
    return pa.array(list(values), kind)
