"""Verdicts that a run no longer finds: kept with their evidence and the reason, so that nothing said is lost."""

from __future__ import annotations

import datetime as dt

import duckdb
import pandas as pd
import sqlalchemy as sa

from models import checkpoints
from models.catalogue import Rulebook
from sql import schema
from sql.live_schema import WITHDRAWN_VERDICTS
from sql.warehouse import read_frame, write_rows

LATE = "an event that arrived late or corrected an earlier one changed the account's history"
OTHER_RULES = "the rulebook was changed since"
OTHER_CODE = "another version of Highwater judged it anew"
_KEY = ("account_id", "rule", "outcome", "effect", "happened_at", "observed", "allowed")
_GONE = """
    with said as (
        select * replace (round(observed, 6) as observed, round(allowed, 6) as allowed) from said_before
    ),
    says as (
        select account_id, rule, outcome, effect, happened_at, round(observed, 6) as observed,
            round(allowed, 6) as allowed
        from decided.verdicts
    )
    select place from said
    where not exists (
        select 1 from says
        where says.account_id = said.account_id and says.rule = said.rule and says.outcome = said.outcome
            and says.effect = said.effect and says.happened_at = said.happened_at
            and says.observed is not distinct from said.observed and says.allowed is not distinct from said.allowed
    )
"""


def withdraw(
    connection: duckdb.DuckDBPyConnection,
    database: sa.Connection,
    rulebook: Rulebook,
    as_of: dt.datetime,
    spared: set[str],
) -> None:
    """Keeps breaches and passes of the database that are not among `decided.verdicts`, before these replace them, and
    undoes what the live service had asked of platforms for them.

    What happened after `as_of` is not taken back, the run only stands before it; nor is anything of accounts `spared`.
    """
    table = schema.VERDICTS
    told = (table.c.outcome.in_(("breached", "passed")), table.c.happened_at <= as_of)
    before = read_frame(database, sa.select(*(table.c[name] for name in _KEY)).where(*told))
    before = before[~before["account_id"].isin(spared)].reset_index(names="place")
    if before.empty:
        return
    before = before.assign(happened_at=pd.to_datetime(before["happened_at"], utc=True))
    connection.register("said_before", before.astype({"observed": "float64", "allowed": "float64"}))
    gone = {row[0] for row in connection.execute(_GONE).fetchall()}
    connection.unregister("said_before")
    if gone:
        now = dt.datetime.now(dt.UTC)
        kept = _keep(database, before[before["place"].isin(gone)], _reason(database, rulebook), now)
        _undo(connection, database, kept, now)


def _undo(connection: duckdb.DuckDBPyConnection, database: sa.Connection, kept: pd.DataFrame, now: dt.datetime) -> None:
    # what talks to platforms and people takes a second to import, and most runs withdraw nothing
    from pipelines.live import decisions

    names = [str(name) for name in kept["account_id"].unique()]
    query = f"select account_id, desk_id, {', '.join(decisions.TOLD)} from facts.accounts where account_id in ?"
    desks, told = {}, {}
    for account, desk, *values in connection.execute(query, [names]).fetchall():
        desks[account] = desk
        told[account] = {n: str(value) for n, value in zip(decisions.TOLD, values, strict=True) if value is not None}
    rows = [{str(name): value for name, value in row.items()} for row in kept.to_dict("records")]
    decisions.undo(database, rows, desks, now, lambda account: told.get(account, {}))


def _keep(database: sa.Connection, gone: pd.DataFrame, reason: str, now: dt.datetime) -> pd.DataFrame:
    table = schema.VERDICTS
    names = sorted(set(gone["account_id"]))
    wanted = [c for c in table.c if c.name in WITHDRAWN_VERDICTS.c or c.name in _KEY]
    rows = [
        read_frame(database, sa.select(*wanted).where(table.c.account_id.in_(names[start : start + 500])))
        for start in range(0, len(names), 500)
    ]
    found = pd.concat(rows).assign(happened_at=lambda frame: pd.to_datetime(frame["happened_at"], utc=True))
    kept = found.merge(gone[["account_id", "rule", "outcome", "effect", "happened_at"]].drop_duplicates())
    columns = ["account_id", "rule", "outcome", "effect", "happened_at", "evidence"]
    write_rows(database, WITHDRAWN_VERDICTS, kept[columns].assign(withdrawn_at=now, reason=reason))
    return kept


def _reason(database: sa.Connection, rulebook: Rulebook) -> str:
    """Why a run finds otherwise than the one before, as far as it can be told from both."""
    runs = schema.RUNS
    last = database.execute(sa.select(runs).order_by(runs.c.run_id.desc()).limit(1)).mappings().first()
    if last is not None and last["rulebook"] != rulebook.digest:
        return OTHER_RULES
    if last is not None and last["code"] != checkpoints.code():
        return OTHER_CODE
    return LATE
