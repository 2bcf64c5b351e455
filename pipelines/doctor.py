"""What is configured, what is reachable, what is stale: one finding per question, each with what to do."""

from __future__ import annotations

import datetime as dt
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from models import audit, catalogue
from models.catalogue import Rulebook, RulebookRefused
from models.churn import ChurnRefused, horizon
from models.commissions import unrated
from models.decisions.automation import TERMS_CHANGED
from models.exports import CROOKED, superseded
from models.instrument_names import ASSET_CLASSES, meant_by, named_in
from pipelines import attempts, lost, marts, seals
from pipelines.score import register_terms
from pipelines.sources.symbols import instrument
from sql import relations, schema
from sql.schema import DATASETS
from sql.warehouse import PARTS, Warehouse

CLOCKS_APART = dt.timedelta(hours=1)
FINE, NOTE, WRONG = "fine", "note", "wrong"


@dataclass(frozen=True)
class Finding:
    """One check, its state (fine, note, wrong) and what was found."""

    check: str
    state: str
    found: str


def examine(warehouse: Warehouse, rulebook: Path) -> list[Finding]:
    """Every finding about a home, its database and a rulebook; nothing is changed."""
    findings = [_home(warehouse), _database(warehouse)]
    if findings[1].state != FINE:
        return [*findings, _rulebook(rulebook)[1]]
    book, said = _rulebook(rulebook)
    findings += [said, _churn()]
    findings += _lake(warehouse)
    damaged = list(_damaged(warehouse))
    if damaged:
        return [*findings, *damaged, *_runs(warehouse)]
    findings += _future(warehouse)
    findings += [*_lost(warehouse), *_runs(warehouse)]
    if book is not None:
        findings += [*_names(warehouse, book), *_taken_out(warehouse, book), *_accounts(warehouse, book)]
    return findings


def _home(warehouse: Warehouse) -> Finding:
    """Where lake and database are, and whether they can be written: pages can be read without, nothing else works."""
    url = warehouse.database.url
    kept = [warehouse.home, *(warehouse.home / part for part in PARTS)]
    kept += [Path(url.database)] if url.get_backend_name() == "sqlite" and url.database else []
    shut = [str(one) for one in kept if one.exists() and not os.access(one, os.W_OK, effective_ids=True)]
    if not shut:
        return Finding("home", FINE, str(warehouse.home))
    told = f"{shut[0]} cannot be written: nothing lands, is scored or decided"
    return Finding("home", WRONG, f"{told}; mount it for writing, or give who runs Highwater the right")


def _database(warehouse: Warehouse) -> Finding:
    try:
        with warehouse.database.connect() as database:
            there = set(sa.inspect(database).get_table_names())
    except sa.exc.SQLAlchemyError as error:
        return Finding("database", WRONG, f"not reachable: {str(error).splitlines()[0]}")
    lacking = sorted(schema.METADATA.tables.keys() - there)
    if lacking:
        told = f"lacks {len(lacking)} tables that every home has ({', '.join(lacking)}); restore it from a copy"
        return Finding("database", WRONG, told)
    return Finding("database", FINE, warehouse.database.url.render_as_string(hide_password=True))


def _rulebook(folder: Path) -> tuple[Rulebook | None, Finding]:
    try:
        book = catalogue.load(folder)
    except RulebookRefused as error:
        return None, Finding("rulebook", WRONG, str(error))
    versions = sum(len(product.versions) for product in book.products.values())
    return book, Finding("rulebook", FINE, f"{len(book.products)} products, {versions} versions in {folder.name}")


def _churn() -> Finding:
    """The days without a sign of life after which a trader counts as gone."""
    try:
        return Finding("churn", FINE, f"{horizon()} days without purchase or trade")
    except ChurnRefused as error:
        return Finding("churn", WRONG, str(error))


def _names(warehouse: Warehouse, book: Rulebook) -> Iterator[Finding]:
    """Words of the newest versions that name no instrument: a rule that lists only such words can never be broken."""
    newest = [product.versions[-1] for product in book.products.values()]
    said = {(v.product, *one) for v in newest for terms in v.stages.values() for one in named_in(terms)}
    if not said:
        return
    traded: set[str] = set()
    if warehouse.lake_files("deals"):
        query = "select distinct upper(symbol) from lake.deals where symbol is not null"
        with warehouse.engine() as connection:
            traded = {row[0] for row in connection.execute(query).fetchall()}
    for product, rule, word in sorted(said):
        # a future is known by its contracts
        known = instrument(word) or instrument(f"{word}H6") or meant_by(word, {}) & (ASSET_CLASSES | traded)
        if not known:
            told = f"{product}: {rule}: {word!r} is no instrument that is known or was traded, nor a class of them"
            yield Finding("rulebook", NOTE, told)


def _taken_out(warehouse: Warehouse, book: Rulebook) -> Iterator[Finding]:
    """Versions that a run of this home judged by and that the rulebook lacks: other terms judge who bought them."""
    status = schema.ACCOUNT_STATUS
    bought = sa.select(status.c.product, status.c.product_version, sa.func.count()).group_by(
        "product", "product_version"
    )
    with warehouse.database.connect() as database:
        known = [name for record in audit.recent(database, action=TERMS_CHANGED) for name in record["after"]]
        judged = {(product, version): count for product, version, count in database.execute(bought)}
    held = {(product.id, version.version) for product in book.products.values() for version in product.versions}
    named = (name.rpartition(" ") for name in known)
    once = {(product, int(number)) for product, _, number in named if product in book.products and number.isdigit()}
    for product, version in sorted(once - held):
        count = judged.get((product, version), 0)
        stood = f" (the last run judged {count:,} accounts by it)" if count else ""
        told = f"{product}: version {version} was in force here and is gone{stood}"
        yield Finding(
            "rulebook",
            WRONG if count else NOTE,
            f"{told}: who bought it is judged by the versions that are left; put it back",
        )


def _lake(warehouse: Warehouse) -> Iterator[Finding]:
    landed = [name for name in DATASETS if warehouse.lake_files(name)]
    missing = [name for name in DATASETS if name not in landed]
    if not landed:
        yield Finding("lake", NOTE, "empty: land a feed with `highwater ingest`")
    elif missing:
        yield Finding("lake", NOTE, f"{len(landed)} datasets landed; nothing yet of {', '.join(missing)}")
    else:
        yield Finding("lake", FINE, f"all {len(landed)} datasets landed")


def _future(warehouse: Warehouse) -> Iterator[Finding]:
    """Datasets with records dated after the machine's clock: a run stands at the newest fact, so one moves them all."""
    now = dt.datetime.now(dt.UTC) + CLOCKS_APART
    dated = [d for d in DATASETS.values() if d.dated_by and warehouse.lake_files(d.name)]
    union = " union all ".join(
        f"select '{d.name}', max({d.dated_by}), count(*) from lake.{d.name} where {d.dated_by} > getvariable('now')"
        for d in dated
    )
    if not dated:
        return
    with warehouse.engine() as connection:
        connection.execute("set variable now = $now", {"now": now})
        found = [row for row in connection.sql(union).fetchall() if row[2]]
    for name, newest, count in found:
        told = (
            f"{count:,} {name} are dated after now, up to {newest:%Y-%m-%d %H:%M} UTC: correct them if they are wrong"
        )
        yield Finding("dates", NOTE, f"{told}; without --as-of a run stands at the newest record")


def _damaged(warehouse: Warehouse) -> Iterator[Finding]:
    """Files of the lake that are not as they were written."""
    for told in seals.changed(warehouse):
        yield Finding("lake", WRONG, f"{told}; restore it from a copy")


def _lost(warehouse: Warehouse) -> Iterator[Finding]:
    """Datasets of which landed records are gone from the lake, and those of which the database knows no load."""
    brought = lost.landed(warehouse)
    with warehouse.engine() as connection:
        there = lost.held(connection)
    gone, strange = lost.missing(warehouse, there, brought), lost.unknown(warehouse, there)
    if strange:
        yield Finding("lake", WRONG, lost.older_database(warehouse, ", ".join(strange)))
    for name, rows in gone.items():
        told = f"{name} landed once but {rows:,} records are gone; restore the folder from a copy, or land it again"
        yield Finding("lake", WRONG, told)


def _runs(warehouse: Warehouse) -> Iterator[Finding]:
    loads, runs = schema.LOADS, schema.RUNS
    with warehouse.database.connect() as database:
        open_loads = database.execute(sa.select(sa.func.count()).where(loads.c.finished_at.is_(None))).scalar_one()
        newest = database.execute(sa.select(sa.func.max(loads.c.finished_at))).scalar_one()
        last = database.execute(sa.select(sa.func.max(runs.c.finished_at))).scalar_one()
        refused = database.execute(sa.select(sa.func.coalesce(sa.func.sum(loads.c.rejects), 0))).scalar_one()
        kept = sa.select(loads.c.load_id, loads.c.reconciliation).where(loads.c.reconciliation.is_not(None))
        exports = [(load, json.loads(told)) for load, told in database.execute(kept)]
    if open_loads:
        yield Finding("loads", NOTE, f"{open_loads} running or left by a crash; the next ingest settles them")
    yield Finding("rejects", NOTE if refused else FINE, f"{refused:,} rows refused so far")
    yield from _exports(exports)
    yield _freshness(newest, last)
    yield from _attempt(warehouse)


def _attempt(warehouse: Warehouse) -> Iterator[Finding]:
    """The run and the ingest under way, or those that ended without success since the last that had it."""
    for attempt in [one for kind in attempts.KINDS if (one := attempts.last(warehouse, kind)) is not None]:
        since = f"began at {attempt.started_at:%Y-%m-%d %H:%M:%S} UTC, last step: {attempt.step}"
        if attempt.running:
            yield Finding(attempt.kind, NOTE, f"under way: {since}")
        else:
            told = attempt.told or "it ended without a word, as when killed"
            yield Finding(attempt.kind, WRONG, f"not done: {since}; {told}")


def _exports(exports: list[tuple[int, dict[str, Any]]]) -> Iterator[Finding]:
    """Platform exports that contradict their own totals, those apart that a later export has put right."""
    right = superseded(exports)
    wrong = [load for load, told in exports if told.get("outcome") == CROOKED and load not in right]
    if wrong:
        listed = ", ".join(str(load) for load in wrong[:5]) + (", …" if len(wrong) > 5 else "")
        told = f"{len(wrong)} platform exports do not add up (load {listed}); see Data health"
        yield Finding("reconciliation", WRONG, told)
    for load, later in sorted(right.items())[:5]:
        yield Finding("reconciliation", FINE, f"load {load} did not add up and is superseded by load {later}")


def _freshness(newest: dt.datetime | None, last: dt.datetime | None) -> Finding:
    if newest is None:
        return Finding("score", NOTE, "nothing landed, nothing to score")
    if last is None:
        return Finding("score", WRONG, "never scored: run `highwater score`")
    if newest > last:
        return Finding(
            "score", WRONG, f"stale: data landed at {newest:%Y-%m-%d %H:%M:%S} UTC, last run {last:%H:%M:%S}"
        )
    return Finding("score", FINE, f"last run finished {last:%Y-%m-%d %H:%M:%S} UTC, nothing landed since")


def _accounts(warehouse: Warehouse, book: Rulebook) -> Iterator[Finding]:
    with warehouse.engine() as connection:
        register_terms(connection, book)
        relations.build(connection, "marts.orphans", "checks.unjudged")
        orphans = connection.sql(
            "select dataset, refers_to, sum(records), count(*), min(missing_id) from marts.orphans"
            " group by dataset, refers_to order by dataset, refers_to"
        ).fetchall()
        unjudged = connection.sql(
            "select reason, count(*), min(account_id) from checks.unjudged group by 1 order by 2 desc"
        ).fetchall()
        without = unrated(connection)
    with warehouse.database.connect() as database:
        held_back = [
            str(one["told"]) for one in marts.records(marts.read(database, "held_back")) if one["told"] not in without
        ]
    told = "; ".join(
        f"{records} {dataset} to {refers_to} that have not landed ({first}{', …' if missing > 1 else ''})"
        for dataset, refers_to, records, missing, first in orphans
    )
    yield Finding("orphans", NOTE if orphans else FINE, told or "every reference resolves")
    for reason, count, first in unjudged:
        yield Finding("unjudged accounts", NOTE, f"{count} ({first}, …): {reason}")
    if not unjudged:
        yield Finding("unjudged accounts", FINE, "every account has terms")
    yield from (Finding("commissions", NOTE, one) for one in held_back)
    if not held_back:
        yield Finding("commissions", FINE, "the last run held and refused nothing")
    yield from (Finding("rates", NOTE, one) for one in without)
    if not without:
        yield Finding("rates", FINE, "every currency has a rate")
