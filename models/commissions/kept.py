"""Plans that runs have settled by: what holds while a plan's file cannot be read, and which versions were changed."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import sqlalchemy as sa

from models.commissions.plans import Plan, PlanRefused, Plans, load_plans, read_plan
from sql.partner_schema import COMMISSION_PLANS


def in_force(database: sa.Connection) -> Plans:
    """The folder's plans; one whose file cannot be read or is gone goes on as it was when last settled by."""
    plans, known = load_plans(), dict(_kept(database))
    remarks = [
        f"commission plan {name}: no file that can be read holds it any more; its partners earn by what it last said,"
        " version " + str(known[name].versions[-1].version) + ", until one does"
        for name in sorted(known.keys() - plans.known.keys())
    ]
    for name in sorted(known.keys() & plans.known.keys()):
        changed = _changed(known[name], plans.known[name])
        if changed:
            remarks.append(
                f"commission plan {name}: version {', '.join(changed)} was changed or taken away after a run had"
                " settled by it; all its sales are settled anew. Terms change by a version behind the others"
            )
    return replace(plans, known=known | plans.known, remarks=tuple(remarks))


def keep(database: sa.Connection, plans: Plans) -> None:
    """Notes the plans that a run settled by."""
    table, there = COMMISSION_PLANS, {name: plan.text for name, plan in _kept(database)}
    new = [plan for name, plan in plans.known.items() if plan.text and there.get(name) != plan.text]
    if not new:
        return
    database.execute(sa.delete(table).where(table.c.plan_id.in_([plan.id for plan in new])))
    now = dt.datetime.now(dt.UTC)
    database.execute(sa.insert(table), [{"plan_id": p.id, "body": p.text, "accepted_at": now} for p in new])


def _kept(database: sa.Connection) -> list[tuple[str, Plan]]:
    """Plans by id as last settled by; one that this version of Highwater does not take any more is left out."""
    table, found = COMMISSION_PLANS, []
    for name, text in database.execute(sa.select(table.c.plan_id, table.c.body)).tuples():
        try:
            found.append((name, read_plan(text, name)))
        except PlanRefused:
            continue
    return found


def _changed(before: Plan, now: Plan) -> list[str]:
    """Versions that do not say any more what they said."""
    there = {version.version: version for version in now.versions}
    return [str(one.version) for one in before.versions if there.get(one.version) != one]
