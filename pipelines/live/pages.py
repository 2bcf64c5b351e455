"""The pages while events flow: the marts that hang on where accounts stand, brought up to date between scoring runs.

Only rows that differ are written, in short transactions; at the end a number goes up, by which an open page sees that
there is something to draw anew. What hangs on payouts, partners and cohorts is that of the last scoring run.
"""

from __future__ import annotations

import datetime as dt
import time

import duckdb
import sqlalchemy as sa
from filelock import Timeout

from models import liability
from models.catalogue import Rulebook
from models.payouts import spells
from models.payouts.facts import OF_THE_DESK
from pipelines import marts, score
from pipelines.live.book import ENGINE_MEMORY
from pipelines.score import TERMINAL
from sql import relations, schema
from sql.decided import register, register_tables
from sql.live_schema import PAGE_REFRESHES
from sql.warehouse import Warehouse, newest_fact, read_frame

LIVE_MARTS = ("accounts", "risk_queue", "risk_facets", "overview")
DRAWABLE = ("funded", "instant")
"""Stages whose accounts owe something to their traders."""
AT_ONCE_MAX = 1_000
"""Rows of a mart that are written in one transaction."""
_THEIR_DEALS = f"""
    select * from lake.deals where account_id in (
        select account_id from staging.accounts where stage in {DRAWABLE}
        union select account_id from staging.payouts
        union select account_id from facts.changing_splits
    )
"""


def refresh(warehouse: Warehouse, rulebook: Rulebook) -> float | None:
    """Brings the marts up to date and returns the seconds that took.

    None while a scoring run is under way (it writes them itself), before the first, or after another version's run.
    """
    began = time.monotonic()
    try:
        with warehouse.lock("score").acquire(timeout=0), warehouse.engine(memory=ENGINE_MEMORY) as connection:
            as_of = newest_fact(connection)
            if as_of is None or not marts.are_there(warehouse):
                return None
            score.register_terms(connection, rulebook)
            score.register_instruments(connection)
            liability.register_terms(connection)
            with warehouse.database.connect() as database:
                register_tables(connection, database, schema.ACCOUNT_STATUS, schema.VERDICTS)
                register_tables(connection, database, schema.OWNERS, schema.SIGNALS, *OF_THE_DESK)
                register(connection, schema.ACCOUNT_DAYS, read_frame(database, _days()))
            _only_deals_that_are_read(connection)
            spells.show(connection, rulebook, as_of)
            changed = 0
            for name in (f"marts.{one}" for one in LIVE_MARTS):
                relations.build(connection, name)
                told = marts.number(connection, name)
                with warehouse.database.begin() as database:
                    found = marts.differing(database, name, told)
                changed += len(found)
                for part in found.parts(AT_ONCE_MAX):
                    wrote = time.monotonic()
                    with warehouse.database.begin() as database:
                        marts.write(connection, database, part)
                    # verdicts wait for the database too, and would miss their turn
                    time.sleep(time.monotonic() - wrote)
            if changed or as_of != _noted(warehouse):
                _note(warehouse, as_of)
    except Timeout:
        return None
    return time.monotonic() - began


def _only_deals_that_are_read(connection: duckdb.DuckDBPyConnection) -> None:
    """Lets SQL see the deals of accounts that owe something, whose split changes, or that ever asked for a payout: the
    marts read no others, and to put those of a whole firm to positions costs more than all else."""
    relations.build(connection, "staging.accounts", "staging.payouts", "facts.changing_splits")
    connection.execute(f"create temp view their_deals as {_THEIR_DEALS}")
    theirs = relations.reading("staging.deals", "lake.deals", "their_deals")
    connection.execute(f"create table staging.deals as {theirs}")


def _days() -> sa.Select[tuple[object, ...]]:
    """Days of the accounts that live, and of those that may have been owed something: the marts read no others."""
    days, status = schema.ACCOUNT_DAYS, schema.ACCOUNT_STATUS
    wanted = sa.or_(status.c.status.not_in(TERMINAL), status.c.stage.in_(DRAWABLE))
    columns = [sa.type_coerce(c, sa.Double()).label(c.name) if isinstance(c.type, schema.Money) else c for c in days.c]
    return sa.select(*columns).join(status, status.c.account_id == days.c.account_id).where(wanted)


def _noted(warehouse: Warehouse) -> dt.datetime | None:
    """The newest fact at the last refresh; with a newer one accounts may stand elsewhere, which no mart repeats."""
    with warehouse.database.connect() as database:
        return database.execute(sa.select(PAGE_REFRESHES.c.as_of)).scalar()


def _note(warehouse: Warehouse, as_of: dt.datetime) -> None:
    """Counts the refresh."""
    table = PAGE_REFRESHES
    with warehouse.database.begin() as database:
        number = database.execute(sa.select(sa.func.max(table.c.number))).scalar() or 0
        database.execute(sa.delete(table))
        now = dt.datetime.now(dt.UTC)
        database.execute(sa.insert(table).values(number=number + 1, as_of=as_of, refreshed_at=now))
