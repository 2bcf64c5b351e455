"""The lookout: who is who, who trades together, how they trade and what that adds up to, again while events flow.

One look is the surveillance of `highwater score` over the whole firm by the same code, so that it says what the next
run will say; only rows that differ are written, in short transactions. Reports that are due are written too, of the
last run's figures. Detectors of partners, churn, payouts and cases wait for the run, which the service has too.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import sqlalchemy as sa
from filelock import Timeout

from models import set_rules
from models.cases import history
from models.catalogue import Rulebook
from models.detectors import DETECTORS, detect_all
from models.detectors.base import FLAG_MIN
from models.risk_score import weigh
from pipelines import score
from pipelines.live import alerts, decisions, steps
from pipelines.live.book import ENGINE_MEMORY
from pipelines.live.settling import numbers_of
from pipelines.surveillance import survey
from sql import relations, schema
from sql.decided import register, register_tables
from sql.warehouse import Warehouse, newest_fact, read_frame, upsert_rows, write_rows

LOG = logging.getLogger("highwater.live")
BANDS = ("high", "critical")
AT_ONCE_MAX = 1_000
"""Keys that are written in one transaction: some hundredths of a second."""
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Looked:
    """What one look wrote: rows that are new or changed, rows that went, news that people were told, seconds taken."""

    changed: int
    gone: int
    news: int
    seconds: float


def look(warehouse: Warehouse, rulebook: Rulebook) -> Looked | None:
    """Looks once; None while a scoring run is under way (it looks itself) or the lake is empty."""
    began = time.monotonic()
    try:
        with warehouse.lock("score").acquire(timeout=0), warehouse.engine(memory=ENGINE_MEMORY) as connection:
            as_of = newest_fact(connection)
            if as_of is None:
                return None
            with warehouse.database.connect() as database:
                found = _found(connection, database, rulebook, as_of, warehouse.home / score.KEPT)
                register(connection, schema.RISK_SCORES, found[schema.RISK_SCORES])
                asked = steps.due(connection)
                desks = dict(connection.execute("select account_id, desk_id from facts.accounts").fetchall())
            _ask_for(warehouse, asked, desks)
            looked = _write(warehouse, found, desks, began)
            _report(warehouse, as_of)
            return looked
    except Timeout:
        return None


def _report(warehouse: Warehouse, as_of: dt.datetime) -> None:
    """Writes the scheduled reports that are due, of the figures of the last run; a report that fails stops no look."""
    from pipelines.report import write_due  # draws paper: seconds to import, and most looks have none to write

    try:
        for told in write_due(warehouse, as_of):
            LOG.info(told)
    except Exception:
        LOG.exception("scheduled reports failed")


def _ask_for(warehouse: Warehouse, asked: list[decisions.Action], desks: dict[str, str]) -> None:
    """Puts steps that are due into the outbox, each once, in short transactions."""
    for start in range(0, len(asked), AT_ONCE_MAX):
        with warehouse.database.begin() as database:
            decisions.act(database, asked[start : start + AT_ONCE_MAX], desks, dt.datetime.now(dt.UTC))


def _found(
    connection: duckdb.DuckDBPyConnection,
    database: sa.Connection,
    rulebook: Rulebook,
    as_of: dt.datetime,
    kept_in: Path,
) -> dict[sa.Table, pd.DataFrame]:
    """Every table that a look answers for, as it should stand."""
    score.register_terms(connection, rulebook)
    score.register_instruments(connection)
    relations.build(connection, "facts.accounts")
    register_tables(connection, database, *score.WALK_TABLES)
    seen = survey(connection, database, as_of, kept_in)
    found = {
        schema.LINKS: seen.links,
        schema.OWNERS: seen.owners,
        schema.COPY_PAIRS: seen.pairs,
        schema.COPY_RINGS: seen.rings,
    }
    for table, frame in found.items():
        register(connection, table, frame)
    signals, _ = detect_all(connection, as_of)
    of_partners = sa.select(schema.SIGNALS).where(schema.SIGNALS.c.detector.not_in(list(DETECTORS)))
    register(connection, schema.SIGNALS, _together(signals, read_frame(database, of_partners)))
    shared = _shared(connection, rulebook, as_of)
    kept = connection.execute("select * from decided.verdicts").df()
    kept = kept[~kept["rule"].isin(set_rules.SHARED)]
    register(connection, schema.VERDICTS, _together(kept, shared))
    scores = weigh(connection, as_of, history.answers(database)).scores
    return {**found, schema.SIGNALS: signals, schema.VERDICTS: shared, schema.RISK_SCORES: scores}


def _together(*frames: pd.DataFrame) -> pd.DataFrame:
    """Frames one after another; those without rows say nothing about the types of the columns."""
    return pd.concat([frame for frame in frames if len(frame)] or [frames[0]], ignore_index=True)


def _shared(connection: duckdb.DuckDBPyConnection, rulebook: Rulebook, as_of: dt.datetime) -> pd.DataFrame:
    """Verdicts of the rules that look across an owner's accounts."""
    status = connection.sql("select account_id, status, status_at from decided.account_status").to_arrow_table()
    set_rules.register_ends(connection, score.ends_of(status.to_pandas()))
    accounts = score.judged_accounts(connection)
    return set_rules.judge(connection, accounts, rulebook, as_of, set_rules.SHARED).verdicts


def _write(warehouse: Warehouse, found: dict[sa.Table, pd.DataFrame], desks: dict[str, str], began: float) -> Looked:
    """Brings the tables to what was found, and tells people of flags, bands and shared rules that are new."""
    now, changed, gone = dt.datetime.now(dt.UTC), 0, 0
    with warehouse.database.connect() as database:
        held = {table: read_frame(database, _mine(table)) for table in found}
    news = _news(held, found, desks, now)
    with warehouse.database.begin() as database:
        # before the rows they tell of: who dies between the two tells people twice rather than never
        alerts.raise_news(database, news, now)
    for table, frame in found.items():
        renewed, vanished = _renew(warehouse, table, frame, held[table])
        changed, gone = changed + renewed, gone + vanished
    return Looked(changed, gone, len(news), time.monotonic() - began)


def _mine(table: sa.Table) -> sa.Select[Any]:
    """The rows of a table that a look answers for."""
    if table is schema.SIGNALS:
        return sa.select(table).where(table.c.detector.in_(list(DETECTORS)))
    if table is schema.VERDICTS:
        return sa.select(table).where(table.c.rule.in_(set_rules.SHARED))
    return sa.select(table)


def _renew(warehouse: Warehouse, table: sa.Table, frame: pd.DataFrame, held: pd.DataFrame) -> tuple[int, int]:
    """Writes the rows that differ and removes those that went; returns how many of either.

    Many are written in several transactions, so that no verdict waits for all of them.
    """
    keys = [column.name for column in table.primary_key] or ["account_id"]
    before, after = numbers_of(table, held, keys), numbers_of(table, frame, keys)
    differing = {key for key, number in after.items() if before.get(key) != number}
    gone = before.keys() - after.keys()
    touched, names = sorted(differing | gone), pd.MultiIndex.from_frame(frame[keys].astype(str))
    for start in range(0, len(touched), AT_ONCE_MAX):
        part = set(touched[start : start + AT_ONCE_MAX])
        stale = part & (gone if table.primary_key.columns else before.keys())
        began = time.monotonic()
        with warehouse.database.begin() as database:
            _remove(database, table, keys, stale)
            write = upsert_rows if table.primary_key.columns else write_rows
            write(database, table, frame[names.isin(sorted(part))])
        # who waits for the database tries again every few milliseconds; without a rest it would miss its turn
        time.sleep(time.monotonic() - began)
    return len(differing), len(gone)


def _remove(database: sa.Connection, table: sa.Table, keys: list[str], stale: set[tuple[str, ...]]) -> None:
    """Removes a look's rows of some keys."""
    if not stale:
        return
    clauses = [table.c[name] == sa.bindparam(f"key_{name}") for name in keys]
    if table is schema.VERDICTS:
        clauses.append(table.c.rule.in_(set_rules.SHARED))
    told = [{f"key_{name}": part for name, part in zip(keys, key, strict=True)} for key in sorted(stale)]
    database.execute(sa.delete(table).where(*clauses), told)


def _news(
    held: dict[sa.Table, pd.DataFrame], found: dict[sa.Table, pd.DataFrame], desks: dict[str, str], now: dt.datetime
) -> Rows:
    """What people are told: new flags, accounts that came into a band, verdicts of shared rules."""
    before, after = held[schema.SIGNALS], found[schema.SIGNALS]
    flagged = {tuple(row) for row in before.loc[before["strength"] >= FLAG_MIN, _SUBJECT].itertuples(False, None)}
    told: Rows = []
    for row in after[after["strength"] >= FLAG_MIN].to_dict("records"):
        if tuple(row[name] for name in _SUBJECT) not in flagged:
            sentence = json.loads(row["evidence"]).get("sentence", "")
            told.append(_one(row["subject_id"], row["detector"], "flagged", sentence, desks, now))
    bands = dict(zip(held[schema.RISK_SCORES]["account_id"], held[schema.RISK_SCORES]["band"], strict=True))
    for row in found[schema.RISK_SCORES].to_dict("records"):
        if row["band"] in BANDS and bands.get(row["account_id"]) != row["band"]:
            sentence = f"Risk score {row['score']:.0f} ({row['band']})"
            told.append(_one(row["account_id"], "risk_score", row["band"], sentence, desks, now))
    said = {(row[0], row[1]) for row in held[schema.VERDICTS][["account_id", "rule"]].itertuples(False, None)}
    for row in found[schema.VERDICTS].to_dict("records"):
        if (row["account_id"], row["rule"]) not in said:
            sentence = json.loads(row["evidence"])["sentence"]
            told.append(_one(row["account_id"], row["rule"], row["outcome"], sentence, desks, row["happened_at"]))
    return told


_SUBJECT = ["subject_kind", "subject_id", "detector"]


def _one(
    subject: str, what: str, outcome: str, sentence: str, desks: dict[str, str], at: dt.datetime
) -> dict[str, Any]:
    return {
        "subject": subject, "rule": what, "outcome": outcome, "sentence": sentence, "desk_id": desks.get(subject),
        "happened_at": at,
    }  # fmt: skip
