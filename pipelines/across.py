"""What a scoring run finds by looking across accounts: who is who, who trades together, how, and what it adds up to."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import duckdb
import sqlalchemy as sa

from models import attribution, cohorts, commissions, liability, segments
from models.cases import history
from models.cases.opening import foresee as foresee
from models.cases.opening import open_from
from models.catalogue import Rulebook
from models.churn import churn_of_traders, kept_by
from models.decisions.automation import after_run
from models.detectors import DETECTORS, detect_all, kept
from models.detectors.partners import PARTNER_DETECTORS, detect_partners, own_buyers
from models.payouts import desk_of, published
from models.payouts.facts import OF_CASES, OF_THE_DESK, Request
from models.risk_score import Weighed, weigh
from pipelines.surveillance import survey
from sql import schema
from sql.decided import Draft, register, register_tables
from sql.segment_schema import CHURN_CURVES, CHURN_DRIFT
from sql.warehouse import read_frame, replace_rows

Say = Callable[[str], None]


def decide(
    connection: duckdb.DuckDBPyConnection,
    database: sa.Connection,
    draft: Draft,
    as_of: dt.datetime,
    say: Say,
    loads: set[int],
    kept_in: Path | None = None,
) -> list[str]:
    """Everything that looks across accounts: identity, coordination, conduct; shown to the marts as `decided.*`.

    `loads` are those that have landed. Without `kept_in`, what coordination keeps, a run goes on from nothing.
    """
    register_tables(connection, database, *OF_THE_DESK)
    say("who is who, and who trades together")
    found = survey(connection, database, as_of, kept_in)
    for table, frame in (
        (schema.LINKS, found.links),
        (schema.OWNERS, found.owners),
        (schema.COPY_PAIRS, found.pairs),
        (schema.COPY_RINGS, found.rings),
    ):
        draft.replace(table, frame)
    say("how they trade")
    before = None if kept_in is None else kept.read(database)
    signals, remarks = detect_all(connection, as_of, before=before, loads=loads)
    measured = kept.leave(connection, signals, as_of, loads, before)
    draft.then(lambda writing: replace_rows(writing, schema.CONDUCT_KEPT, measured))
    draft.replace(schema.SIGNALS, signals, {"detector": list(DETECTORS)})
    say("what partners do and earn")
    given = attribution.record(connection, database)
    of_partners = detect_partners(connection)
    draft.replace(schema.SIGNALS, of_partners, {"detector": list(PARTNER_DETECTORS)})
    earned = commissions.record(connection, database, as_of, given, own_buyers(connection, of_partners))
    draft.then(lambda writing: replace_rows(writing, schema.COMMISSIONS, earned.commissions))
    draft.then(lambda writing: commissions.keep(writing, earned.plans))
    return [*found.log, *remarks, *earned.log]


def weigh_all(
    connection: duckdb.DuckDBPyConnection, database: sa.Connection, draft: Draft, as_of: dt.datetime
) -> Weighed:
    """What everything found adds up to for each account, with what analysts answered, and who is about to leave."""
    run_id = history.next_run(database)
    weighed = weigh(connection, as_of, history.answers(database))
    draft.then(lambda writing: history.keep(writing, weighed, run_id))
    leaving = churn_of_traders(connection, as_of, learn=kept_by(database, run_id, as_of, draft.then))
    for table, frame in ((schema.RISK_SCORES, weighed.scores), (schema.CHURN_SCORES, leaving.scores)):
        draft.replace(table, frame)
    draft.then(lambda writing: replace_rows(writing, CHURN_DRIFT, leaving.drift))
    draft.then(lambda writing: replace_rows(writing, CHURN_CURVES, leaving.staying))
    return weighed


def segment(connection: duckdb.DuckDBPyConnection, draft: Draft, as_of: dt.datetime, home: Path) -> None:
    """Which traders belong to which segment of those in force."""
    segments.record(connection, draft, as_of, segments.in_force(home))


def review_payouts(
    connection: duckdb.DuckDBPyConnection,
    database: sa.Connection,
    draft: Draft,
    asked: list[Request],
    as_of: dt.datetime,
) -> None:
    """Reviews every payout request, after all that a review asks about has been judged."""
    register_tables(connection, database, *OF_CASES)
    exports = sa.select(schema.LOADS).where(schema.LOADS.c.reconciliation.is_not(None))
    register(connection, schema.LOADS, read_frame(database, exports))
    draft.replace(schema.PAYOUT_REVIEWS, published(asked, desk_of(connection, asked, as_of)))


def manage(connection: duckdb.DuckDBPyConnection, as_of: dt.datetime) -> list[str]:
    """What management asks: how long challenges take, and what funded accounts may cost; for the marts."""
    cohorts.record(connection)
    return liability.record(connection, as_of)


def follow_up(
    connection: duckdb.DuckDBPyConnection, database: sa.Engine, rulebook: Rulebook, weighed: Weighed, as_of: dt.datetime
) -> list[str]:
    """What people set to happen after a run: decisions made by rule, and cases opened; returns remarks."""
    return after_run(connection, database, rulebook, as_of) + open_from(connection, database, weighed, as_of)
