"""What detectors measured of accounts, kept so that the next run measures those of which something else is known.

Kept are the relations that read whole histories (`MEASURED`), what an earlier run of the month learnt about
instruments, what was usual in the firm, and the signals. An account is measured anew when its deals, its terms, state,
payouts or resets, the calendar or the quotes around its positions, or what was learnt about its instruments have
changed, and while something is open. Detectors that read what is measured weigh the accounts measured anew; once
something else is usual, and where they read anything else, they weigh everybody. What is kept only saves work: without
it all are measured and weighed.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from models import checkpoints
from models.detectors.base import Detector, Found, Usual, evidence_rows, features, found_in, read_by, without_gaps
from sql import relations
from sql.decided import as_arrow
from sql.kept_trades import POSITION_OF_TRADE, deals_of
from sql.schema import CONDUCT_KEPT, SIGNALS

WHOLE = ("account_instruments", "all_in", "manners", "paces", "traded")
"""Those of `MEASURED` from which other relations are made: they are completed with the rows that are kept."""
MEASURED = (
    "account_instruments",
    "all_in",
    "grid",
    "manners",
    "martingale",
    "news_straddling",
    "paces",
    "payout_gaming",
    "traded",
)
"""Relations of accounts whose rows hang on the account's own history and on what `anew` watches."""
RESTED_ON = ("detectors.point_values", "detectors.rests_on", "terms.instruments", "terms.instrument_currencies")
ROW_RELATIONS = (
    "detectors.positions",
    "detectors.real_sizes",
    "detectors.habits",
    "detectors.stakes",
    "detectors.layers",
    "detectors.news_entries",
    "detectors.payout_cycles",
    "detectors.payout_burnt",
    "detectors.payout_spikes",
)
"""Relations of single positions: an incremental run holds them for the accounts that it measures alone."""
KEPT_FROM_TRADES = 200_000
"""A firm with fewer is measured whole in a moment, and nothing is kept."""
WITHIN_H = 1
"""Hours around a position at which no detector looks any more for news or quotes."""


Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Kept:
    """What a run left: the instant at which it stood, the loads that it had seen, what was usual by detector, and its
    tables by name."""

    as_of: dt.datetime
    loads: frozenset[int]
    usual: Mapping[str, Usual]
    tables: Mapping[str, pa.Table]


def read(database: sa.Connection) -> Kept | None:
    """What the last run kept; None where there is nothing, or other code left it."""
    held = {row.name: row.held for row in database.execute(sa.select(CONDUCT_KEPT))}
    if "stands" not in held:
        return None
    stands = json.loads(held.pop("stands"))
    if stands["code"] != checkpoints.code():
        return None
    tables = {name: pa.ipc.open_file(pa.BufferReader(told)).read_all() for name, told in held.items()}
    return Kept(dt.datetime.fromisoformat(stands["as_of"]), frozenset(stands["loads"]), stands["usual"], tables)


def leave(
    connection: duckdb.DuckDBPyConnection,
    signals: pd.DataFrame,
    as_of: dt.datetime,
    loads: set[int],
    before: Kept | None = None,
) -> pd.DataFrame:
    """Rows of `conduct_kept` for what a run has measured and found, on from what it was given; none of a small firm."""
    if connection.sql("select count(*) from facts.trades").fetchall()[0][0] < KEPT_FROM_TRADES:
        return pd.DataFrame(columns=["name", "held"])
    stands = {"as_of": as_of.isoformat(), "loads": sorted(loads), "code": checkpoints.code()}
    usual = dict(connection.sql("select detector, told from detectors.usual").fetchall())
    told = json.dumps(stands | {"usual": {name: json.loads(held) for name, held in usual.items()}})
    tables = {f"detectors.{name}": _all_of(connection, before, name) for name in MEASURED}
    tables |= {name: connection.sql(f"from {name}").to_arrow_table() for name in RESTED_ON}
    tables["signals"] = as_arrow(SIGNALS, signals)
    held = [("stands", told.encode()), *((name, _packed(table)) for name, table in tables.items())]
    return pd.DataFrame(held, columns=["name", "held"])


def _all_of(connection: duckdb.DuckDBPyConnection, before: Kept | None, name: str, columns: str = "*") -> pa.Table:
    """The rows of one of `MEASURED`, with those that are kept of accounts not measured."""
    if before is None or not connection.execute("from detectors.of_some where name = ?", [name]).fetchall():
        return connection.sql(f"select {columns} from detectors.{name}").to_arrow_table()
    connection.register("held", before.tables[f"detectors.{name}"])
    return connection.sql(
        f"select {columns} from (from detectors.{name}"
        " union all by name from held anti join detectors.measured using (account_id))"
    ).to_arrow_table()


def _packed(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue().to_pybytes())


def measure(
    connection: duckdb.DuckDBPyConnection, before: Kept | None, as_of: dt.datetime, loads: set[int]
) -> Kept | None:
    """Builds `MEASURED`, where it can on from what is kept; gives what it went on from, None when all were measured.

    `detectors.of_some` names those of `MEASURED` that then hold accounts of `detectors.measured` alone.
    """
    connection.execute("create or replace table detectors.of_some (name varchar)")
    if before is None or not _goes_on(connection, before, as_of, loads):
        relations.build(connection, *RESTED_ON[:2], *(f"detectors.{name}" for name in MEASURED))
        return None
    _keep_values(connection, before)
    relations.build(connection, *RESTED_ON[:2])
    connection.register("anew", _anew(connection, before))
    connection.execute("create or replace table detectors.measured as from anew")
    only(connection, "detectors.measured")
    relations.build(connection, *(f"detectors.{name}" for name in MEASURED))
    connection.execute("insert into detectors.of_some select unnest(?)", [list(MEASURED)])
    for name in WHOLE:
        complete(connection, before, name)
    return before


def complete(connection: duckdb.DuckDBPyConnection, before: Kept, name: str) -> None:
    """Adds to one of `MEASURED` the rows that are kept of accounts not measured."""
    connection.register("held", before.tables[f"detectors.{name}"])
    connection.execute(
        f"insert into detectors.{name} by name from held anti join detectors.measured using (account_id)"
    )
    connection.execute("delete from detectors.of_some where name = ?", [name])


def only(connection: duckdb.DuckDBPyConnection, accounts: str) -> None:
    """Lets detectors see the trades of a table's accounts (`account_id`) alone; what was seen of others is dropped."""
    relations.drop(connection, *ROW_RELATIONS)
    relations.build(connection, "facts.trades", "staging.deals")
    # by their places, since a join would read every column of every trade
    theirs = f"select rowid from facts.trades semi join {accounts} using (account_id)"
    connection.execute(f"create or replace table detectors.trades as from facts.trades where rowid in ({theirs})")
    # deals are narrowed before they are put to positions, which would order those of the whole firm
    connection.execute(_THEIR_POSITIONS)
    connection.execute(f"create or replace temp view their_deals as {deals_of('their_positions')}")
    deals = relations.reading("facts.trade_deals", "staging.deals", "their_deals")
    connection.execute(f"create or replace temp view their_trade_deals as {deals}")
    deals = relations.reading("detectors.trade_deals", "facts.trade_deals", "their_trade_deals")
    connection.execute(f"create or replace table detectors.trade_deals as {deals}")
    connection.execute("drop view their_trade_deals; drop view their_deals; drop table their_positions")


@dataclass(frozen=True)
class Weighed:
    """What a detector reports of the accounts that were weighed, and its kept signals about all others."""

    found: Found
    staying: pd.DataFrame


def weigh(connection: duckdb.DuckDBPyConnection, detector: Detector, terms: Any, before: Kept | None) -> Weighed:
    """Weighs a detector's accounts: those measured anew where nothing else is usual, or else everybody.

    `before` is what the run went on from. Notes in `detectors.usual` what is usual now.
    """
    name, usual = detector.relation, None
    if detector.usual:
        learnt_from = detector.usual_from or name
        relations.build(connection, f"detectors.{learnt_from}")
        columns = ", ".join(detector.usual_of) or "*"
        seen = _all_of(connection, before, learnt_from, columns).to_pandas(strings_to_categorical=True)
        usual = detector.usual(without_gaps(seen))
        connection.execute("insert into detectors.usual values (?, ?)", [detector.name, json.dumps(usual)])
    if before is None or name not in MEASURED or usual != before.usual.get(detector.name):
        if before is not None and connection.execute("from detectors.of_some where name = ?", [name]).fetchall():
            complete(connection, before, name)
        return Weighed(found_in(features(connection, name), detector, terms, usual), pd.DataFrame())
    anew = connection.sql("from detectors.measured")
    if detector.together != "account_id":
        anew = connection.sql(
            f"select account_id from facts.accounts semi join (select {detector.together} from facts.accounts"
            f" semi join detectors.measured using (account_id)) as moved using ({detector.together})"
        )
    weighed = anew.to_arrow_table()
    connection.register("weighed", weighed)
    seen = features(connection, name, "account_id in (select account_id from weighed)")
    kept = before.tables["signals"].filter(pc.equal(before.tables["signals"]["detector"], detector.name))
    staying = kept.filter(pc.invert(pc.is_in(kept["subject_id"], weighed["account_id"].combine_chunks())))
    return Weighed(found_in(seen, detector, terms, usual), staying.to_pandas())


def rows_of(
    connection: duckdb.DuckDBPyConnection, found: list[Found], before: Kept | None
) -> dict[str, dict[str, Rows]]:
    """The rows behind what each detector reports: read where its accounts were measured, else those that were kept.

    With `before` only some were measured; reported accounts of which no rows were kept are looked at last.
    """
    told: dict[str, dict[str, Rows]] = {}
    lacking: dict[str, set[str]] = {}
    anew = set[str]() if before is None else _measured(connection)
    for one in found:
        name, subjects = one.detector.name, set(one.found[one.detector.key].astype(str))
        if before is None or not set(read_by(one.detector)) & set(ROW_RELATIONS):
            told[name] = evidence_rows(connection, one)
            continue
        told[name] = evidence_rows(connection, one, subjects & anew)
        held = _held_rows(before, name, subjects - anew)
        told[name] |= held
        lacking[name] = subjects - anew - set(held)
    if late := sorted(set().union(*lacking.values())):
        connection.register("late", pa.table({"account_id": late}))
        only(connection, "late")
        for one in found:
            told[one.detector.name] |= evidence_rows(connection, one, lacking.get(one.detector.name, set()))
    return told


def _held_rows(before: Kept, detector: str, subjects: set[str]) -> dict[str, Rows]:
    """The rows behind kept signals of a detector about some subjects."""
    if not subjects:
        return {}
    kept = before.tables["signals"]
    chosen = pc.and_(
        pc.equal(kept["detector"], detector), pc.is_in(kept["subject_id"], pa.array(sorted(subjects), pa.string()))
    )
    found = kept.filter(chosen)
    told = zip(found["subject_id"].to_pylist(), found["evidence"].to_pylist(), strict=True)
    return {subject: json.loads(evidence)["rows"] for subject, evidence in told}


def _measured(connection: duckdb.DuckDBPyConnection) -> set[str]:
    return {account for (account,) in connection.execute("select account_id from detectors.measured").fetchall()}


def _goes_on(connection: duckdb.DuckDBPyConnection, kept: Kept, as_of: dt.datetime, loads: set[int]) -> bool:
    """Whether a run may go on from what is kept: later in the month, with all that it had seen, symbols read alike.

    Shows what is new since as `new_loads`, `new_deals` and the variable `stood_at`.
    """
    if not kept.loads <= loads or not kept.as_of <= as_of or as_of.strftime("%Y %m") != kept.as_of.strftime("%Y %m"):
        return False
    for name in RESTED_ON[2:]:
        connection.register("held", kept.tables[name])
        if connection.sql(f"from held except from {name}").limit(1).fetchall():
            return False
    connection.register("new_loads", pd.DataFrame({"load_id": sorted(loads - kept.loads)}, dtype="int64"))
    connection.execute("set variable stood_at = cast(? as timestamptz)", [kept.as_of])
    connection.execute(_NEW_DEALS)
    return True


def _keep_values(connection: duckdb.DuckDBPyConnection, kept: Kept) -> None:
    """Shows what was learnt about instruments before this month, where nothing new reaches back into it."""
    connection.register("held_point_values", kept.tables["detectors.point_values"])
    connection.register("held_rests_on", kept.tables["detectors.rests_on"])
    relations.build(connection, "facts.trades", "facts.accounts")
    connection.execute(_KNOWN_VALUES)


def _anew(connection: duckdb.DuckDBPyConnection, kept: Kept) -> pa.Table:
    """The accounts that have to be measured anew."""
    connection.register("held_traded", kept.tables["detectors.traded"])
    return connection.sql(_ANEW).to_arrow_table()


_THEIR_POSITIONS = f"""
    create or replace temp table their_positions as
    select distinct account_id, {POSITION_OF_TRADE} as position
    from detectors.trades
    where opening_deals > 1 or closing_deals > 1
"""
_NEW_DEALS = """
    create or replace temp table new_deals as
    with told as materialized (
        select account_id, deal_id, executed_at, _version
        from lake.deals
        where _load_id in (select load_id from new_loads)
        union all
        -- apart, since each part reads only the blocks in which there are such deals
        select account_id, deal_id, executed_at, _version
        from lake.deals
        where executed_at > getvariable('stood_at')
    )
    -- what still lies ahead of the run is new to a later one
    select account_id, executed_at from told where executed_at <= getvariable('as_of')
    union all
    -- what a correction takes back may have stood earlier
    select deals.account_id, deals.executed_at
    from lake.deals as deals
    semi join (from told where _version > 1) as corrected using (account_id, deal_id)
"""
_KNOWN_VALUES = """
    create or replace table detectors.known_values as
    -- accounts that were not known before, and those of which something else is said
    with late as (
        select account_id from facts.accounts anti join held_rests_on using (account_id)
        union all
        select account_id from lake.accounts where _load_id in (select load_id from new_loads)
    ),

    reached_back as (
        select executed_at as told_at from new_deals where executed_at < date_trunc('month', getvariable('as_of'))
        union all
        select closed_at
        from facts.trades semi join late using (account_id)
        where closed_at < date_trunc('month', getvariable('as_of'))
    )

    select *
    from held_point_values
    where settled >= getvariable('detectors_settled_enough') and not exists (select told_at from reached_back)
"""
_ANEW = f"""
    with watched as (
        select min(told_at) - to_hours({WITHIN_H}) as since
        from (
            select min(occurs_at) as told_at
            from lake.news
            where event_id in (select event_id from lake.news where _load_id in (select load_id from new_loads))
            union all
            select min(quoted_at)
            from lake.quotes
            where _load_id in (select load_id from new_loads) or quoted_at > getvariable('stood_at')
        )
    ),

    otherwise as (
        select instrument, currency
        from detectors.point_values as now
        full join held_point_values as held using (instrument, currency)
        where (now.point_value, now.usual_move, now.usual_result_per_lot, now.usual_hold_s)
            is distinct from (held.point_value, held.usual_move, held.usual_result_per_lot, held.usual_hold_s)
    ),

    changed as (
        select account_id from new_deals
        union all
        select account_id from held_traded where is_open
        union all
        select account_id
        from (select account_id, rests_on from detectors.rests_on except select account_id, rests_on from held_rests_on)
        union all
        select account_id from facts.trades where opened_at >= (select since from watched)
        union all
        select trades.account_id
        from facts.trades as trades
        inner join facts.accounts as accounts using (account_id)
        inner join otherwise using (instrument, currency)
    )

    select distinct account_id from changed
"""
