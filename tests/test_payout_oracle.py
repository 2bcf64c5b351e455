"""Splits and claims on random payouts drawn on the limits, beside who gets each single cent (`tests/payout_oracle`)."""

from __future__ import annotations

import datetime as dt
import random
from decimal import Decimal
from typing import Any

import pytest

from models import catalogue
from models.catalogue import Terms
from models.payouts import eligibility
from models.payouts.facts import Request
from models.payouts.shares import Past, claimed, split_of
from tests import payout_oracle
from tests.payout_oracle import Ended
from tests.payout_world import DAY, START, product

CENT = Decimal("0.01")
MOMENT = dt.timedelta(microseconds=1)


def terms_of(text: str) -> Terms:
    """The funded terms of a product."""
    return catalogue.read_product(product(text), "plan.toml").versions[0].stages["funded"]


@pytest.mark.parametrize(
    "tiers",
    [
        "{ after_payouts = 1, percent = 90 }, { after_payouts = 3, percent = 100 }",
        "{ after_payouts = 3, percent = 95 }, { after_payouts = 1, percent = 87.5 }",
        "{ after_profit = 2, percent = 33.3 }, { after_profit = 3, percent = 100 }",
        "{ above = 1, percent = 90 }, { above = 2, percent = 0 }",
    ],
)
def test_a_payout_is_shared_as_its_single_cents_are(tiers: str) -> None:
    """Guards each kind of tier on its limit and a cent to either side, and that a payout is rounded once."""
    terms, draw = terms_of(f"split = {{ percent = 80, tiers = [{tiers}] }}"), random.Random(7)
    for _ in range(60):
        profit = draw.choice([0, 1, 99, 100, 101, 199, 200, 201, 250])
        paid, drawn = draw.randrange(5), draw.choice([0, 1, 99, 100, 199, 200, 201, 299, 300, 301])
        row = {"status": "active", "currency": "USD", "initial_balance": Decimal(100), "paid_before": paid}
        split = split_of(terms, row | {"drawn": drawn * CENT}, 0, Past())
        assert split is not None
        assert split.of(profit) == payout_oracle.due(terms["split"], profit, paid, drawn), (profit, paid, drawn)


CLAIMS = [
    'claim = { rules = ["max_loss"], percent = 50, within_days = 7, stop_loss = true, max_trade_loss_percent = 1 }',
    'claim = { rules = ["max_loss", "inactivity"], percent = 40, max_trade_loss_percent = 0.5 }',
    'claim = { rules = ["inactivity"], percent = 50, stop_loss = true }',
    'claim = { rules = ["inactivity"], percent = 50, within_days = 7 }',
]


def drawn_end(draw: random.Random) -> Ended:
    """An ended account of 10,000 whose trades lost about what a claim allows, asked for about when it may be."""
    ended_at = START + 20 * DAY
    asked_at = ended_at + draw.choice([-1, 0, 7]) * DAY + draw.choice([-1, 0, 1]) * MOMENT
    nets = [Decimal(draw.choice(["300", "-50", "-50.01", "-100", "-100.01"])) for _ in range(draw.randrange(4))]
    rule = draw.choice(["max_loss", "inactivity", "holding_time"])
    return Ended(rule, ended_at, asked_at, Decimal(10000), [(draw.random() < 0.8, net) for net in nets])


def told(terms: Terms, ended: Ended) -> tuple[bool, bool]:
    """What the review says of a claim, and that it then has the claim's share."""
    trades = [{"trade_id": str(n), "stopped": had, "net_profit": net} for n, (had, net) in enumerate(ended.trades)]
    row: dict[str, Any] = {"status": "expired" if ended.rule == "inactivity" else "breached", "ended_by": ended.rule}
    row |= {"status_at": ended.ended_at, "requested_at": ended.asked_at, "currency": "USD", "drawn": Decimal(0)}
    row |= {"initial_balance": ended.initial, "paid_before": 0}
    claim, split = claimed(row, terms), split_of(terms, row, 0, Past())
    assert split is not None
    assert split.percent(100) == (terms["claim"]["percent"] if claim else 80)
    check = eligibility._claim(Request(row, terms, trades=trades), terms) if claim else None
    return claim, check is not None and check.outcome == "passed"


@pytest.mark.parametrize("claim", CLAIMS)
def test_who_may_claim_after_the_end_is_who_was_promised(claim: str) -> None:
    """Guards rule, days, stops and largest loss of a claim on their limits, and its share."""
    terms, draw, met = terms_of(f"split = {{ percent = 80 }}\ninactivity = 30\n{claim}"), random.Random(3), set()
    for _ in range(200):
        ended = drawn_end(draw)
        wanted = payout_oracle.claim(terms, ended)
        assert told(terms, ended) == wanted, ended
        met.add(wanted)
    assert met == {(False, False), (True, False), (True, True)}
