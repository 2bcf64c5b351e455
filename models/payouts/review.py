"""One row per request: eligible or not, recommended or not, what it is worth, and every check that says why."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass

import duckdb
import pandas as pd

from models import screening
from models.payouts import conduct, eligibility, facts
from models.payouts.amounts import Worth, worth
from models.payouts.checks import Check, eligible, recommended
from models.payouts.facts import Desk, Request, Row
from models.payouts.policy import Policy, in_force

COLUMNS = [
    "payout_id",
    "account_id",
    "amount",
    "eligible",
    "recommendation",
    "trader_share",
    "firm_share",
    "deductions",
    "checks",
]


@dataclass(frozen=True)
class Reviewed:
    """A request with its checks and its worth (None when it cannot be said)."""

    request: Request
    checks: tuple[Check, ...]
    worth: Worth | None

    def as_row(self) -> Row:
        """The published row."""
        value = self.worth
        return {
            "payout_id": self.request.payout_id,
            "account_id": self.request.account_id,
            "amount": self.request.amount,
            "eligible": eligible(self.checks),
            "recommendation": recommended(self.checks),
            "trader_share": value and value.money(value.trader_share),
            "firm_share": value and value.money(value.firm_share),
            "deductions": value and value.money(value.deductions),
            "checks": json.dumps([check.as_json() for check in self.checks], ensure_ascii=False),
        }


def review(request: Request, desk: Desk) -> Reviewed:
    """Runs every check that can be run on a request."""
    checks = list(eligibility.known(request))
    value = None
    checks += conduct.data(request, desk)
    if request.terms is not None and request.amount is not None and request.amount > 0:
        value = worth(request, request.terms)
        checks += eligibility.conditions(request, request.terms, value, desk)
        checks += conduct.rules(request, request.terms, value)
    if request.trader_id is not None:
        checks += conduct.signals(request, desk)
        checks += conduct.identity(request, desk)
    checks += conduct.money(request, value, desk)
    return Reviewed(request, tuple(checks), value)


def desk_of(connection: duckdb.DuckDBPyConnection, asked: list[Request], as_of: dt.datetime) -> Desk:
    """What the desks of requests know beside them; a review needs nothing else.

    Reads staging, facts and `decided` (account_status, owners, copy_pairs, copy_rings and, once detectors have run,
    signals), and the screening list that is configured; without one nobody is screened.
    """
    policy = in_force(as_of)
    return facts.surroundings(connection, as_of, policy, _screened(asked, policy))


def published(asked: list[Request], desk: Desk) -> pd.DataFrame:
    """The reviews of requests: columns of the published table `payout_reviews`, in the order of the requests."""
    return pd.DataFrame([review(request, desk).as_row() for request in asked], columns=COLUMNS)


def _screened(asked: list[Request], policy: Policy) -> screening.Screened | None:
    """Screening hits of everybody who asked for money, by the configured list; None without one."""
    held = screening.configured()
    if held is None:
        return None
    traders = {one.trader_id: one.row for one in asked if one.full_name}
    hits = screening.screen(traders.values(), held, float(policy.screening["threshold"]))
    return screening.Screened(hits, held.made_on)
