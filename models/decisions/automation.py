"""What follows a scoring run by itself: transfers move requests, the feeds' money is booked, the log says all of it."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections import Counter

import duckdb
import sqlalchemy as sa

from models import audit, ledger
from models.audit import Record
from models.catalogue import Rulebook
from models.decisions import settling
from models.decisions.desk import SYSTEM
from models.payouts.policy import FILE as POLICY
from sql import schema
from sql.decided import register_tables

TERMS_CHANGED = "terms changed"


def after_run(
    connection: duckdb.DuckDBPyConnection, database: sa.Engine, rulebook: Rulebook, as_of: dt.datetime
) -> list[str]:
    """Takes in transfers, books what the feeds tell, and logs the run and changed terms; returns remarks.

    Each step is whole or not done, and done by the next run when this one is stopped.
    """
    with database.connect() as held:
        told = settling.to_take_in(connection, held)
    taken = settling.take_in(database, told)
    with database.begin() as held:
        audit.lock(held)
        register_tables(connection, held, *settling.TABLES, schema.PAYOUT_REVIEWS)
        posted = ledger.restate(held, ledger.from_feeds(connection), as_of)
        _log(held, rulebook, as_of, posted)
    outcomes = Counter(one.outcome for one in taken)
    remarks = [f"transfers: {outcomes['moved']:,} moved a request, {outcomes['held']:,} are held"] if taken else []
    return [*remarks, *([f"ledger: {posted:,} entries posted"] if posted else [])]


def _log(database: sa.Connection, rulebook: Rulebook, as_of: dt.datetime, posted: int) -> None:
    """The run, and the terms when they are not those of the run before."""
    reviews, runs = schema.PAYOUT_REVIEWS, schema.RUNS
    counted = sa.select(reviews.c.recommendation, sa.func.count()).group_by(reviews.c.recommendation)
    recommended = {str(name): int(count) for name, count in database.execute(counted)}
    number = database.execute(sa.select(sa.func.max(runs.c.run_id))).scalar() or 0
    after = {"as_of": as_of, "recommended": recommended, "ledger_entries": posted}
    records = [Record(SYSTEM.name, "scored", f"run:{number}", role=SYSTEM.role, after=after)]
    terms, known = terms_in_force(rulebook), audit.recent(database, 1, action=TERMS_CHANGED)
    before = known[0]["after"] if known else None
    if before != terms:
        records.append(Record(SYSTEM.name, TERMS_CHANGED, "terms", "", SYSTEM.role, before, terms))
    audit.append(database, *records)


def terms_in_force(rulebook: Rulebook) -> dict[str, str]:
    """The hash of every version of every product, and of the desk's own policy."""
    held = {
        f"{product.id} {version.version}": version.digest
        for _, product in sorted(rulebook.products.items())
        for version in product.versions
    }
    return held | {"payout policy": hashlib.sha256(POLICY.read_bytes()).hexdigest()}
