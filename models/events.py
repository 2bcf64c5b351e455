"""Events for the walk: deals and observations read from the facts, put in reading order, positions followed.

Two things are settled here because no term changes them: the order within an instant, and whether a deal leaves the
account flat (`docs/walk.md`, sentences 1 to 3).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from models.checkpoints import Checkpoints, carried, stand_at
from models.compiled import compiled, to_read
from models.money import decimals
from models.walk import (
    BALANCE,
    CREDIT,
    DEPOSIT,
    FLAT,
    LOTS_SCALE,
    OBSERVATION,
    OPENING,
    PAUSING,
    PAYOUT,
    TRADE,
    Array,
    Events,
)
from sql import relations
from sql.schema import MONEY_DECIMALS

KINDS = {"balance": BALANCE, "credit": CREDIT, "trade": TRADE, "fee": TRADE}
NONE, IN, OUT, INOUT = 0, 1, 2, 3
GAP_MAX = np.iinfo(np.int32).max
ENTRIES = {"in": IN, "out": OUT, "inout": INOUT, "out_by": OUT}


@dataclass(frozen=True)
class Told:
    """Prepared events and the rows they were made of; `events.row` counts deals first, then observations.

    `still_open`, where it was asked for, says which deals belong to positions that are open at the end.
    """

    events: Events
    deals: pa.Table
    equity: pa.Table
    still_open: Array | None = None

    def source(self, event: int) -> dict[str, Any]:
        """Where an event came from: the deal's id or the observation's time, and its load and line."""
        row = int(self.events.row[event])
        if row < len(self.deals):
            names = ["kind", "deal_id", "_load_id", "_line"]
            return {name.lstrip("_"): self.deals[name][row].as_py() for name in names}
        row -= len(self.deals)
        names = ["_load_id", "_line"]
        return {"kind": "observation"} | {name.lstrip("_"): self.equity[name][row].as_py() for name in names}


def load(connection: duckdb.DuckDBPyConnection, accounts: pd.DataFrame, checkpoints: Checkpoints | None = None) -> Told:
    """Reads and prepares the events of accounts (columns account_id, currency, initial_balance; row order = code).

    With checkpoints those after each, and it is told which deals are open at the end.
    """
    register_walked(connection, accounts["account_id"].tolist(), checkpoints)
    for name in ("facts.judged_deals", "facts.judged_equity"):
        relations.drop(connection, name)
        for other in relations.needs(name):
            if not other.startswith("decided."):
                relations.build(connection, other)
    deals = connection.sql(relations.text("facts.judged_deals")).to_arrow_table()
    equity = connection.sql(relations.text("facts.judged_equity")).to_arrow_table()
    if checkpoints is None:
        return Told(prepare(deals, equity, accounts), deals, equity)
    deals = pa.concat_tables([carried(checkpoints, deals.schema), deals])
    still_open = np.zeros(len(deals), np.bool_)
    prepared = prepare(deals, equity, accounts, still_open, checkpoints.states["deposited"] != 0)
    return Told(prepared, deals, equity, still_open)


def register_walked(
    connection: duckdb.DuckDBPyConnection, names: list[str], checkpoints: Checkpoints | None = None
) -> None:
    """Says whose events `facts.judged_deals` and `facts.judged_equity` are to tell, and after which instant of each."""
    since = [None] * len(names) if checkpoints is None else stand_at(checkpoints)
    walked = pa.table(
        {
            "account_id": pa.array(names, pa.string()),
            "account": pa.array(np.arange(len(names), dtype=np.int32)),
            "since": pa.array(since, pa.timestamp("us", tz="UTC")),
        }
    )
    connection.register("walked_accounts", walked)
    connection.execute("create or replace table decided.walked as select * from walked_accounts")
    connection.unregister("walked_accounts")
    earliest = "(select case when count(*) = count(since) then min(since) end from decided.walked)"
    connection.execute(f"set variable walked_after = {earliest}")


def with_pauses(events: Events, account: Array, at: Array) -> Events:
    """The events with the instants at which a set-based rule pauses an account (by its place), each after all else."""
    if not len(account):
        return events
    accounts, more = len(events.starts) - 1, len(account)
    owner = np.concatenate([np.repeat(np.arange(accounts), np.diff(events.starts)), account])
    kind = np.concatenate([events.kind, np.full(more, PAUSING, events.kind.dtype)])
    instants = np.concatenate([events.at, at])
    order = np.lexsort((kind == PAUSING, instants, owner))
    nothing = {name: np.full(more, _NOTHING.get(name, 0), getattr(events, name).dtype) for name in _OF_DEALS}
    return Events(
        starts=np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=accounts))]).astype(np.int64),
        at=instants[order],
        kind=kind[order],
        row=np.concatenate([events.row, np.full(more, -1, events.row.dtype)])[order],
        **{name: np.concatenate([getattr(events, name), nothing[name]])[order] for name in _OF_DEALS},
    )


def of_accounts(events: Events, codes: Array) -> Events:
    """The events of some accounts, in the order of their codes."""
    lengths = events.starts[codes + 1] - events.starts[codes]
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    place = np.arange(starts[-1]) - np.repeat(starts[:-1] - events.starts[codes], lengths)
    return Events(starts, **{name: getattr(events, name)[place] for name in ("at", "kind", "row", *_OF_DEALS)})


_OF_DEALS = ("flags", "amount", "closed_net", "opened_at", "lots", "part", "beside", "gap")
_NOTHING = {"part": -1, "beside": -1}


def prepare(
    deals: pa.Table,
    equity: pa.Table,
    accounts: pd.DataFrame,
    still_open: Array | None = None,
    deposited: Array | None = None,
) -> Events:
    """Orders deals and observations of accounts and follows their positions.

    `still_open`, if given, has a place for each deal and is set at those of positions that are open at the end;
    `deposited`, if given, says whose opening deposit lies before these events.
    """
    divisors = np.array([10 ** (MONEY_DECIMALS - decimals(c)) for c in accounts["currency"]], dtype=np.int64)
    starting = pa.array(accounts["initial_balance"].tolist(), pa.decimal128(18, MONEY_DECIMALS))
    with ThreadPoolExecutor(1) as beside:
        observations = beside.submit(_ordered_equity, equity, len(accounts), divisors)
        traded = _ordered_deals(deals, len(accounts), divisors)
        seen = observations.result()
    flags, closed_net, opened_at, lots, part, beside, gap = _follow(
        traded.order,
        traded.starts,
        traded.at,
        traded.kind,
        traded.amount,
        _rounded(_money(starting), divisors, to_read(np.arange(len(accounts)), np.int32)),
        _codes(deals["entry"], ENTRIES),
        _codes(deals["side"], {"buy": 1, "sell": -1}),
        _numbers(deals["volume"], np.float64),
        _numbers(deals["position"], np.uint64).view(np.int64),
        _numbers(deals["market"], np.uint32).astype(np.int64),
        _booleans(deals["netted"]),
        _booleans(pc.equal(deals["kind"], "trade")),
        _booleans(deals["correction"]),
        np.zeros(0, np.bool_) if still_open is None else still_open,
        np.zeros(len(accounts), np.bool_) if deposited is None else deposited,
    )
    return Events(
        *_merge(
            traded.order, traded.starts, traded.at, traded.kind, traded.amount, flags, closed_net, opened_at, lots,
            part, beside, gap, seen.order, seen.starts, seen.at, seen.amount,
        )
    )  # fmt: skip


@dataclass(frozen=True)
class _Ordered:
    """Rows of one table by account and time: `order` their row numbers, the rest their values in that order."""

    starts: Array
    order: Array
    at: Array
    kind: Array
    amount: Array


def _ordered_deals(deals: pa.Table, accounts: int, divisors: Array) -> _Ordered:
    account, kind = _numbers(deals["account"], np.int32), _codes(deals["kind"], KINDS)
    net = np.zeros(len(deals), np.int64)
    for name in ("profit", "commission", "swap", "fee"):
        net += _rounded(_money(deals[name]), divisors, account)
    starts, order, at = _by_account(account, _micros(deals["executed_at"]), kind, accounts)
    _order_ties(order, account, at, kind, deals)
    return _Ordered(starts, order, at, kind[order], net[order])


def _ordered_equity(equity: pa.Table, accounts: int, divisors: Array) -> _Ordered:
    account, kind = _numbers(equity["account"], np.int32), np.full(len(equity), OBSERVATION, np.int8)
    value = _rounded(_money(equity["equity"]), divisors, account)
    starts, order, at = _by_account(account, _micros(equity["observed_at"]), kind, accounts)
    return _Ordered(starts, order, at, kind, value[order])


def _by_account(account: Array, at: Array, kind: Array, accounts: int) -> tuple[Array, Array, Array]:
    """Where each account's rows start, the rows by account and time, and their instants."""
    starts = np.concatenate([[0], np.cumsum(np.bincount(account, minlength=accounts))]).astype(np.int64)
    order, instants = _scatter(account, at, starts)
    _sort_within(order, instants, starts, kind)
    return starts, order, instants


def _micros(column: pa.ChunkedArray) -> Array:
    return _numbers(column.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()), np.int64)


def _numbers(column: pa.ChunkedArray, kind: Any) -> Array:
    return to_read(column.to_numpy(), kind)


def _booleans(column: pa.ChunkedArray) -> Array:
    return np.asarray(column.to_numpy(), dtype=np.bool_)


def _money(column: pa.ChunkedArray | pa.Array) -> Array:
    """Decimals as whole numbers of 10⁻⁸; their high half is only the sign."""
    whole = column.cast(pa.decimal128(18, MONEY_DECIMALS))
    chunks = whole.chunks if isinstance(whole, pa.ChunkedArray) else [whole]
    parts = [
        np.frombuffer(c.buffers()[1], np.int64)[2 * c.offset : 2 * (c.offset + len(c)) : 2] for c in chunks if len(c)
    ]
    joined: Array = np.concatenate([*parts, np.zeros(0, np.int64)])
    return joined


@compiled
def _rounded(value: Any, divisors: Any, account: Any) -> Any:
    """Rounded half up to whole minor units of each account's currency, a half away from zero."""
    whole = np.empty(len(value), np.int64)
    for row in range(len(value)):
        divisor = divisors[account[row]]
        size = (abs(value[row]) + divisor // 2) // divisor
        whole[row] = size if value[row] >= 0 else -size
    return whole


def _codes(column: pa.ChunkedArray, codes: dict[str, int]) -> Array:
    encoded = column.combine_chunks().dictionary_encode()
    table = np.array([codes.get(word, 0) for word in encoded.dictionary.to_pylist()] + [0], dtype=np.int8)
    coded: Array = table[pc.fill_null(encoded.indices, len(table) - 1).to_numpy(zero_copy_only=False)]
    return coded


@compiled
def _scatter(account: Any, at: Any, starts: Any) -> Any:
    """Row numbers grouped by account, in each in the order in which they came, and their instants."""
    place = starts[:-1].copy()
    order = np.empty(len(account), np.int64)
    instants = np.empty(len(account), np.int64)
    for row in range(len(account)):
        to = place[account[row]]
        order[to], instants[to] = row, at[row]
        place[account[row]] += 1
    return order, instants


@compiled
def _sort_within(order: Any, at: Any, starts: Any, kind: Any) -> None:
    """Sorts each account's rows by instant and reading order; what is in order already is left as it is."""
    for account in range(len(starts) - 1):
        first, last = starts[account], starts[account + 1]
        for i in range(first + 1, last):
            if at[i] < at[i - 1] or (at[i] == at[i - 1] and kind[order[i]] < kind[order[i - 1]]):
                by_kind = np.argsort(kind[order[first:last]], kind="mergesort")
                by_time = by_kind[np.argsort(at[first:last][by_kind], kind="mergesort")]
                order[first:last] = order[first:last][by_time]
                at[first:last] = at[first:last][by_time]
                break


@compiled
def _ties(order: Any, account: Any, at: Any, kind: Any) -> Any:
    """Places whose deal shares account, instant and reading order with the next."""
    found: Any = [np.int64(0) for _ in range(0)]
    for i in range(len(order) - 1):
        if at[i] == at[i + 1]:
            a, b = order[i], order[i + 1]
            if account[a] == account[b] and kind[a] == kind[b]:
                found.append(i)
    return np.array(found, np.int64)


def _order_ties(order: Array, account: Array, at: Array, kind: Array, deals: pa.Table) -> None:
    """Puts deals of one account, instant and kind in order of deal_id: numbers by value, before all other ids."""
    places = _ties(order, account, at, np.minimum(kind // TRADE, 1))
    if not len(places):
        return
    groups = np.split(places, np.flatnonzero(np.diff(places) > 1) + 1)
    rows = order[np.unique(np.concatenate([places, places + 1]))]
    keys = dict(zip(rows.tolist(), map(_deal_key, deals["deal_id"].take(pa.array(rows)).to_pylist()), strict=True))
    for group in groups:
        span = slice(group[0], group[-1] + 2)
        order[span] = sorted(order[span].tolist(), key=keys.__getitem__)


def _deal_key(deal_id: str) -> tuple[bool, int, str]:
    number = deal_id.isascii() and deal_id.isdigit()
    return (not number, int(deal_id) if number else 0, deal_id)


@compiled
def _held_after(held: Any, entry: Any, side: Any, lots: Any, netted: Any) -> Any:
    """Signed volume after a deal: of its position, which can only be closed, or of its symbol, which nets.

    Without volumes a position is open (one lot) or not; without a side a deal that opens is taken to buy.
    """
    sign = -1 if side < 0 else 1
    if lots == 0:
        return 0 if entry == OUT else held + (sign * LOTS_SCALE if entry != NONE else 0)
    if entry == OUT and (not netted or side == 0):
        return max(abs(held) - lots, 0) * (1 if held > 0 else -1)
    return held if entry == NONE and side == 0 else held + sign * lots


@compiled
def _opens(held: Any, now: Any, entry: Any, lots: Any) -> Any:
    """Whether a trade opens something; one that says neither entry nor volume is taken to."""
    if entry == NONE:
        turned = now != 0 and held != 0 and (now > 0) != (held > 0)
        return lots == 0 or abs(now) > abs(held) or turned
    return entry != OUT


@compiled
def _follow(
    order: Any,
    starts: Any,
    at: Any,
    kind: Any,
    amount: Any,
    initial: Any,
    entry: Any,
    side: Any,
    lots: Any,
    position: Any,
    market: Any,
    netted: Any,
    traded: Any,
    correction: Any,
    still_open: Any,
    deposited_before: Any,
) -> Any:
    """Flags of every deal; at the one that closed a position what it made in all, its opening and its most lots; the
    number of the position, and at its first deal which one stood before it in its line and how many seconds before."""
    flags = np.zeros(len(order), np.uint8)
    closed_net = np.zeros(len(order), np.int64)
    opened_at = np.zeros(len(order), np.int64)
    most_lots = np.zeros(len(order), np.int64)
    part = np.full(len(order), -1, np.int32)
    beside = np.full(len(order), -1, np.int32)
    gap = np.zeros(len(order), np.int32)
    for account in range(len(starts) - 1):
        # a line is a symbol and a direction: how many positions are open there, the last one, and when it was left
        lines: Any = np.empty((8, 5), np.int64)
        parts, known = 0, 0
        open_ids = np.empty(8, np.int64)
        open_lots = np.empty(8, np.int64)
        open_net = np.empty(8, np.int64)
        open_since = np.empty(8, np.int64)
        open_most = np.empty(8, np.int64)
        open_from = np.empty(8, np.int64)
        open_part = np.empty(8, np.int64)
        open_line = np.empty(8, np.int64)
        count = 0
        # what was closed at this very instant without having been open: ids may put a closing deal before its opening
        owed, owed_line = np.empty(16, np.int64), np.empty(16, np.int64)
        owing, instant, began = 0, np.int64(0), starts[account]
        deposited = deposited_before[account]
        for place in range(starts[account], starts[account + 1]):
            row = order[place]
            if kind[place] == CREDIT:
                continue
            if kind[place] == BALANCE:
                if not deposited and amount[place] == initial[account]:
                    deposited = True
                    flags[place] |= DEPOSIT
                elif amount[place] < 0 and not correction[row]:
                    flags[place] |= PAYOUT
                continue
            if not traded[row]:
                flags[place] |= FLAT if count == 0 else 0
                continue
            index = 0
            while index < count and open_ids[index] != position[row]:
                index += 1
            held = open_lots[index] if index < count else 0
            change = np.int64(np.rint(lots[row] * LOTS_SCALE))
            now = _held_after(held, entry[row], side[row], change, netted[row])
            if at[place] != instant:
                owing, instant, began = 0, at[place], place
            made, line, first = amount[place], 0, np.int64(-1)
            if index == count and entry[row] == IN:
                for debt in range(owing):
                    closing = owed[debt]
                    if closing >= 0 and position[order[closing]] == position[row]:
                        if first < 0:
                            first, line = closing, owed_line[debt]
                        now = max(abs(now) - most_lots[closing], 0) * (1 if now > 0 else -1)
                        made += closed_net[closing]
                        if lines[owed_line[debt], 3] == part[closing]:
                            lines[owed_line[debt], 3] = part[first]
                        part[closing] = part[first]
                        # from that close to here the account only seems flat
                        for between in range(closing, place):
                            flags[between] &= 0xFF ^ FLAT
                        closed_net[closing], most_lots[closing], owed[debt] = 0, 0, -1
            if first >= 0:
                part[place] = part[first]
                lines[line, 2] += 1 if now != 0 else 0
            elif index == count:
                part[place] = parts
                parts += 1
                long = now > 0 or (now == 0 and (side[row] > 0) == (entry[row] == IN))
                while line < known and (lines[line, 0] != market[row] or lines[line, 1] != np.int64(long)):
                    line += 1
                if line == len(lines):
                    lines = np.concatenate((lines, np.empty((known, 5), np.int64)))
                if line == known:
                    lines[line, 0], lines[line, 1] = market[row], np.int64(long)
                    lines[line, 2], lines[line, 3] = 0, -1
                    known += 1
                elif lines[line, 2] == 0:
                    gap[place] = min((at[place] - lines[line, 4] + 999_999) // 1_000_000, GAP_MAX)
                beside[place] = lines[line, 3]
                lines[line, 2] += 1 if now != 0 else 0
                lines[line, 3], lines[line, 4] = part[place], at[place]
            else:
                part[place], line = open_part[index], open_line[index]
            if index == count and now != 0:
                if count == len(open_ids):
                    open_ids = np.concatenate((open_ids, np.empty(count, np.int64)))
                    open_lots = np.concatenate((open_lots, np.empty(count, np.int64)))
                    open_net = np.concatenate((open_net, np.empty(count, np.int64)))
                    open_since = np.concatenate((open_since, np.empty(count, np.int64)))
                    open_most = np.concatenate((open_most, np.empty(count, np.int64)))
                    open_from = np.concatenate((open_from, np.empty(count, np.int64)))
                    open_part = np.concatenate((open_part, np.empty(count, np.int64)))
                    open_line = np.concatenate((open_line, np.empty(count, np.int64)))
                open_ids[count], open_lots[count], open_net[count] = position[row], now, made
                open_since[count], open_most[count], open_from[count] = at[place], abs(now), began
                open_part[count], open_line[count] = part[place], line
                count += 1
            elif index < count:
                open_lots[index] = now
                open_net[index] += amount[place]
                open_most[index] = max(open_most[index], abs(now))
                if now == 0:
                    closed_net[place] = open_net[index]
                    opened_at[place], most_lots[place] = open_since[index], open_most[index]
                    count -= 1
                    open_ids[index], open_lots[index] = open_ids[count], open_lots[count]
                    open_net[index] = open_net[count]
                    open_since[index], open_most[index] = open_since[count], open_most[count]
                    open_from[index], open_part[index] = open_from[count], open_part[count]
                    open_line[index] = open_line[count]
                    lines[line, 2] -= 1
                    lines[line, 4] = at[place]
            elif entry[row] == IN:
                closed_net[place], opened_at[place], most_lots[place] = made, at[place], abs(change)
            else:
                closed_net[place] = made
                # it was opened nobody knows when; a deal that says nothing of volume closes one lot
                most_lots[place] = LOTS_SCALE if change == 0 and entry[row] == OUT else change
                if owing < len(owed) and entry[row] == OUT and not netted[row]:
                    owed[owing], owed_line[owing] = place, line
                    owing += 1
            if _opens(held, now, entry[row], change):
                flags[place] |= OPENING
            if count == 0:
                flags[place] |= FLAT
        if len(still_open) > 0:
            for index in range(count):
                for place in range(open_from[index], starts[account + 1]):
                    row = order[place]
                    still_open[row] |= traded[row] and position[row] == open_ids[index]
    return flags, closed_net, opened_at, most_lots, part, beside, gap


@compiled
def _merge(
    deal_order: Any,
    deal_starts: Any,
    deal_at: Any,
    deal_kind: Any,
    deal_amount: Any,
    deal_flags: Any,
    deal_closed: Any,
    deal_opened: Any,
    deal_lots: Any,
    deal_part: Any,
    deal_beside: Any,
    deal_gap: Any,
    seen_order: Any,
    seen_starts: Any,
    seen_at: Any,
    seen_amount: Any,
) -> Any:
    """Deals and observations of each account in one order; at one instant deals come first."""
    deals, total = len(deal_order), len(deal_order) + len(seen_order)
    starts = deal_starts + seen_starts
    at, amount = np.empty(total, np.int64), np.empty(total, np.int64)
    kind, flags = np.empty(total, np.int8), np.zeros(total, np.uint8)
    closed, row = np.zeros(total, np.int64), np.empty(total, np.int64)
    opened, lots = np.zeros(total, np.int64), np.zeros(total, np.int64)
    part, beside, gap = np.full(total, -1, np.int32), np.full(total, -1, np.int32), np.zeros(total, np.int32)
    for account in range(len(starts) - 1):
        d, e = deal_starts[account], seen_starts[account]
        last_d, last_e = deal_starts[account + 1], seen_starts[account + 1]
        for place in range(starts[account], starts[account + 1]):
            if d < last_d and (e == last_e or deal_at[d] <= seen_at[e]):
                at[place], amount[place], kind[place] = deal_at[d], deal_amount[d], deal_kind[d]
                flags[place], closed[place], row[place] = deal_flags[d], deal_closed[d], deal_order[d]
                opened[place], lots[place] = deal_opened[d], deal_lots[d]
                part[place], beside[place], gap[place] = deal_part[d], deal_beside[d], deal_gap[d]
                d += 1
            else:
                at[place], amount[place], kind[place] = seen_at[e], seen_amount[e], OBSERVATION
                row[place] = deals + seen_order[e]
                e += 1
    return starts, at, kind, flags, amount, closed, row, opened, lots, part, beside, gap
