"""The dry run of commission plans: all of history settled under today's plans and under changed ones."""

from __future__ import annotations

import pandas as pd
import sqlalchemy as sa

from models.catalogue import Rulebook
from models.commissions import Plans, dry_run, in_force, load_plans
from models.commissions.settle import read_sources
from pipelines.score import WALK_TABLES, register_terms
from sql import schema
from sql.decided import register_tables
from sql.warehouse import Warehouse

TRIAL = ("partner_id", "name", "currency", "today", "changed", "difference")


class TrialRefused(Exception):
    """A dry run that cannot be made, and why."""


def with_plan(changed: Plans, today: Plans | None = None) -> Plans:
    """Today's plans with the changed ones in their place."""
    held = today or load_plans()
    return Plans(held.known | changed.known, {**held.refused, **changed.refused})


def try_plans(warehouse: Warehouse, rulebook: Rulebook, changed: Plans) -> pd.DataFrame:
    """What every partner has earned under today's plans and would have under changed ones, losers first (`TRIAL`).

    Stands at the last run's instant, on its verdicts.
    """
    runs = schema.RUNS
    with warehouse.database.connect() as database:
        as_of = database.execute(sa.select(runs.c.as_of).order_by(runs.c.run_id.desc()).limit(1)).scalar_one_or_none()
        if as_of is None:
            raise TrialRefused("nothing has been scored yet: highwater score first")
        with warehouse.engine(as_of) as connection:
            register_terms(connection, rulebook)
            register_tables(connection, database, *WALK_TABLES)
            told, today = read_sources(connection, database), in_force(database)
            names = connection.execute("select partner_id, name from staging.partners").df()
    found = dry_run(told.events, told.credits, told.tree, today, with_plan(changed, today), as_of, rates=told.rates)
    return found.merge(names, on="partner_id", how="left")[list(TRIAL)]
