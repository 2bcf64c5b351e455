"""Trades that one run leaves for the next, so that a day makes anew only the positions of which something landed.

A position hangs on its own executions alone. Kept is one file of all trades (`sql.kept_files`), which rests also on the
instruments of their symbols. The next run takes from it the trades of every position that no later row names, and makes
the others by the same SQL. Where anything that was read is no more, or anything else has changed, all are made from the
start. Sums of more than two executions may differ in the last digit of a double, as those of any two runs do.

What makes something of its own of all trades can go on likewise: `base` names the file that was gone on from, its rows
`trades_replaced` are no more, and the trades `trades_added` came since.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from uuid import uuid4

import duckdb

from sql import kept_files, relations
from sql.kept_files import Rests

FILE = "trades.parquet"
KEPT_FROM_DEALS = 200_000
"""The trades of fewer deals are made in a moment, and nothing is kept."""
MOST_ANEW = 0.1
"""Once more of the deals belong to positions made anew, everything is kept afresh."""

POSITION = "coalesce(position_id, 'net ' || symbol)"
"""What a deal's trades are named after."""
POSITION_OF_TRADE = "case when netted then regexp_replace(trade_id, ' [0-9]+$', '') else trade_id end"
"""The same of a trade."""
_NEW_POSITIONS = f"""
    create or replace temp table new_positions as
    with told as materialized (
        select account_id, deal_id, {POSITION} as position, _version
        from lake.deals
        where not list_contains(?, _load_id)
        union all
        -- what had landed and lay ahead of the run
        select account_id, deal_id, {POSITION}, _version
        from lake.deals
        where executed_at > cast(? as timestamptz) and list_contains(?, _load_id)
    )
    select account_id, position from told where position is not null
    union
    -- a correction may take a deal out of another position
    select deals.account_id, {POSITION}
    from lake.deals as deals
    semi join (from told where _version > 1) as corrected using (account_id, deal_id)
    where {POSITION} is not null
"""
_REPLACED = f"""
    create or replace temp table trades_replaced as
    select kept.file_row_number as row
    from read_parquet(?, file_row_number = true) as kept
    semi join new_positions
        on
            kept.account_id = new_positions.account_id
            and {POSITION_OF_TRADE} = new_positions.position
"""
_MERGED = """
    create table facts.trades as
    select kept.* exclude (file_row_number)
    from read_parquet(?, file_row_number = true) as kept
    anti join trades_replaced on kept.file_row_number = trades_replaced.row
    union all by name
    select * from trades_added
"""
_ALL_KEPT = """
    create or replace temp table trades_replaced (row bigint);
    create or replace temp table trades_added as from facts.trades limit 0
"""


def build(connection: duckdb.DuckDBPyConnection, kept_in: Path) -> None:
    """Builds `facts.trades`, where it can on from what a folder keeps, and leaves there what the next goes on from."""
    connection.execute("set variable trades_base = null")
    if connection.execute("select count(*) from lake.deals").fetchall()[0][0] < KEPT_FROM_DEALS:
        return relations.build(connection, "facts.trades")
    path = kept_in / FILE
    before, now = kept_files.read(connection, path), kept_files.rests(connection, _code(), "deals")
    if before is not None and _goes_on(connection, before, now):
        if _made_on(connection, path, before) > MOST_ANEW:
            _leave(connection, path, now)
        return None
    relations.build(connection, "facts.trades")
    if before is None or before["as_of"] <= now["as_of"]:
        _leave(connection, path, now)
    return None


def base(connection: duckdb.DuckDBPyConnection) -> str | None:
    """The name, which no other has, of the file of a folder that `facts.trades` goes on from; None if from none."""
    named: str | None = connection.execute("select getvariable('trades_base')").fetchall()[0][0]
    return named


def deals_of(positions: str) -> str:
    """The statement that reads the deals of a table of positions (account_id, position)."""
    return f"""
        select deals.*
        from staging.deals as deals
        semi join (select account_id from {positions}) as accounts using (account_id)
        semi join {positions} as chosen on deals.account_id = chosen.account_id and {POSITION} = chosen.position
    """


@cache
def _code() -> str:
    return kept_files.code(__file__, ("staging.deals", "facts.trade_deals", "facts.trades"))


def _goes_on(connection: duckdb.DuckDBPyConnection, before: Rests, now: Rests) -> bool:
    """Whether what was read is all still there and read alike."""
    known = dict(connection.execute("select symbol, instrument from terms.instruments").fetchall())
    return kept_files.goes_on(before, now) and all(
        known.get(symbol, symbol.upper()) == named for symbol, named in before["instruments"].items()
    )


def _made_on(connection: duckdb.DuckDBPyConnection, path: Path, before: Rests) -> float:
    """Builds `facts.trades` of what is kept and of positions of which something is new; the share of deals in these."""
    seen = [int(load) for load in before["loads"]["deals"]]
    connection.execute(_NEW_POSITIONS, [seen, before["as_of"], seen])
    relations.build(connection, "staging.deals")
    connection.execute(f"create or replace temp table new_position_deals as {deals_of('new_positions')}")
    deals = relations.reading("facts.trade_deals", "staging.deals", "new_position_deals")
    connection.execute(f"create or replace temp view new_trade_deals as {deals}")
    trades = relations.reading("facts.trades", "facts.trade_deals", "new_trade_deals")
    connection.execute(f"create or replace temp table trades_added as {trades}")
    connection.execute(_REPLACED, [str(path)])
    connection.execute(_MERGED, [str(path)])
    connection.execute("set variable trades_base = ?", [before["name"]])
    share = "select count(*) / (select count(*) from lake.deals) from new_position_deals"
    anew = float(connection.execute(share).fetchall()[0][0])
    connection.execute("drop view new_trade_deals; drop table new_position_deals; drop table new_positions")
    return anew


def _leave(connection: duckdb.DuckDBPyConnection, path: Path, rests: Rests) -> None:
    symbols = connection.execute("select distinct symbol, instrument from facts.trades order by symbol").fetchall()
    name = uuid4().hex
    kept_files.leave(connection, path, "facts.trades", rests | {"instruments": dict(symbols), "name": name})
    connection.execute(_ALL_KEPT)
    connection.execute("set variable trades_base = ?", [name])
