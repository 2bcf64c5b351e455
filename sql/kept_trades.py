"""Trades that one run leaves for the next, so that a day makes anew only the positions of which something landed.

A position hangs on its own executions alone. Kept is one file of all trades with what they rest on: the loads that were
read and their rows, the instant at which they stood, the instruments of their symbols, and the code. The next run takes
from it the trades of every position that no later row names, and makes the others by the same SQL. Where anything that
was read is no more, or anything else has changed, all are made from the start. The file only saves work; it is put in
its place in one piece, and may be deleted. Sums of more than two executions may differ in the last digit of a double,
as those of any two runs do.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import duckdb

from sql import relations

FILE = "trades.parquet"
KEPT_FROM_DEALS = 200_000
"""The trades of fewer deals are made in a moment, and nothing is kept."""
MOST_ANEW = 0.1
"""Once more of the deals belong to positions made anew, everything is kept afresh."""

Rests = dict[str, Any]

_POSITION = "coalesce(position_id, 'net ' || symbol)"
_NEW_POSITIONS = f"""
    create or replace temp table new_positions as
    with told as materialized (
        select account_id, deal_id, {_POSITION} as position, _version
        from lake.deals
        where not list_contains(?, _load_id)
        union all
        -- what had landed and lay ahead of the run
        select account_id, deal_id, {_POSITION}, _version
        from lake.deals
        where executed_at > cast(? as timestamptz) and list_contains(?, _load_id)
    )
    select account_id, position from told where position is not null
    union
    -- a correction may take a deal out of another position
    select deals.account_id, {_POSITION}
    from lake.deals as deals
    semi join (from told where _version > 1) as corrected using (account_id, deal_id)
    where {_POSITION} is not null
"""
_THEIR_DEALS = f"""
    create or replace temp table new_position_deals as
    select deals.*
    from staging.deals as deals
    semi join (select account_id from new_positions) as accounts using (account_id)
    semi join new_positions
        on deals.account_id = new_positions.account_id and {_POSITION} = new_positions.position
"""
_MERGED = """
    create table facts.trades as
    select kept.*
    from read_parquet(?) as kept
    anti join new_positions
        on
            kept.account_id = new_positions.account_id
            and case when kept.netted then regexp_replace(kept.trade_id, ' [0-9]+$', '') else kept.trade_id end
            = new_positions.position
    union all by name
    select * from new_trades
"""


def build(connection: duckdb.DuckDBPyConnection, kept_in: Path) -> None:
    """Builds `facts.trades`, where it can on from what a folder keeps, and leaves there what the next goes on from."""
    if connection.execute("select count(*) from lake.deals").fetchall()[0][0] < KEPT_FROM_DEALS:
        return relations.build(connection, "facts.trades")
    path = kept_in / FILE
    before, now = read(connection, path), _rests(connection)
    if before is not None and _goes_on(connection, before, now):
        if _made_on(connection, path, before) > MOST_ANEW:
            _leave(connection, path, now)
        return None
    relations.build(connection, "facts.trades")
    if before is None or before["as_of"] <= now["as_of"]:
        _leave(connection, path, now)
    return None


def read(connection: duckdb.DuckDBPyConnection, path: Path) -> Rests | None:
    """What the kept trades rest on; None where there are none that can be read."""
    if not path.is_file():
        return None
    query = "select decode(value) from parquet_kv_metadata(?) where decode(key) = 'rests'"
    try:
        told = connection.execute(query, [str(path)]).fetchall()
        return dict(json.loads(told[0][0])) if told else None
    except (duckdb.Error, ValueError):
        return None


def _rests(connection: duckdb.DuckDBPyConnection) -> Rests:
    """What trades made now rest on."""
    loads = connection.execute("select _load_id, count(*) from lake.deals group by _load_id order by _load_id")
    by_load = {str(load): rows for load, rows in loads.fetchall()}
    as_of: dt.datetime = connection.execute("select getvariable('as_of')").fetchall()[0][0]
    stands = as_of.astimezone(dt.UTC).isoformat(timespec="microseconds")
    return {"code": _code(), "as_of": stands, "loads": by_load}


@cache
def _code() -> str:
    """A hash of all that makes trades of deals."""
    told = hashlib.sha256(duckdb.__version__.encode() + Path(__file__).read_bytes())
    for name in ("staging.deals", "facts.trade_deals", "facts.trades"):
        told.update(relations.text(name).encode())
    return told.hexdigest()


def _goes_on(connection: duckdb.DuckDBPyConnection, before: Rests, now: Rests) -> bool:
    """Whether what was read is all still there and read alike, and time has not gone back."""
    known = dict(connection.execute("select symbol, instrument from terms.instruments").fetchall())
    return (
        before["code"] == now["code"]
        and before["as_of"] <= now["as_of"]
        and before["loads"].items() <= now["loads"].items()
        and all(known.get(symbol, symbol.upper()) == named for symbol, named in before["instruments"].items())
    )


def _made_on(connection: duckdb.DuckDBPyConnection, path: Path, before: Rests) -> float:
    """Builds `facts.trades` of what is kept and of positions of which something is new; the share of deals in these."""
    seen = [int(load) for load in before["loads"]]
    connection.execute(_NEW_POSITIONS, [seen, before["as_of"], seen])
    relations.build(connection, "staging.deals")
    connection.execute(_THEIR_DEALS)
    deals = relations.reading("facts.trade_deals", "staging.deals", "new_position_deals")
    connection.execute(f"create or replace temp view new_trade_deals as {deals}")
    trades = relations.reading("facts.trades", "facts.trade_deals", "new_trade_deals")
    connection.execute(f"create or replace temp table new_trades as {trades}")
    connection.execute(_MERGED, [str(path)])
    share = "select count(*) / (select count(*) from lake.deals) from new_position_deals"
    anew = float(connection.execute(share).fetchall()[0][0])
    connection.execute("drop view new_trade_deals; drop table new_trades; drop table new_position_deals")
    connection.execute("drop table new_positions")
    return anew


def _leave(connection: duckdb.DuckDBPyConnection, path: Path, rests: Rests) -> None:
    """Writes the trades with what they rest on, in one piece or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f"{path.name}.*.part"):
        left.unlink(missing_ok=True)
    symbols = connection.execute("select distinct symbol, instrument from facts.trades order by symbol").fetchall()
    rests = rests | {"instruments": dict(symbols)}
    part = path.with_name(f"{path.name}.{uuid4().hex}.part")
    where, told = (one.replace("'", "''") for one in (str(part), json.dumps(rests)))
    connection.execute(f"copy facts.trades to '{where}' (format parquet, kv_metadata {{rests: '{told}'}})")
    part.replace(path)
