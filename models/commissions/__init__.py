"""Partners' commissions: plans, the compiled posting of lifecycle events, and what state every entry is in."""

from models.commissions.kept import in_force, keep
from models.commissions.plans import Plan, Plans, PlanVersion, load_plans, plans_folder, read_plan
from models.commissions.record import record, unrated
from models.commissions.settle import Settled, dry_run, on_hold, settle, settle_all

__all__ = [
    "Plan",
    "PlanVersion",
    "Plans",
    "Settled",
    "dry_run",
    "in_force",
    "keep",
    "load_plans",
    "on_hold",
    "plans_folder",
    "read_plan",
    "record",
    "settle",
    "settle_all",
    "unrated",
]
