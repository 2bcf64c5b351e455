"""How profit is shared: the trader's percentage by payout, growth and strikes, and what a payout draws."""

from __future__ import annotations

import calendar
import datetime as dt
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from models.catalogue import Terms
from models.money import from_minor, percent_of, to_minor

LASTING = "floating_loss"
"""The rule whose split_cut is of no one trade: it lowers the trader's share of all later payouts."""


@dataclass(frozen=True)
class Past:
    """What an account had behind it at a request: results and payouts, each with its time."""

    results: tuple[tuple[dt.datetime, Decimal], ...] = ()
    paid_at: tuple[dt.datetime, ...] = ()
    opened_at: dt.datetime | None = None
    requested_at: dt.datetime | None = None


def exact(number: Any) -> Decimal:
    """A number of a list in the terms as it was written there."""
    return Decimal(str(number))


def split_of(terms: Terms, paid_before: int, cuts: int, past: Past, initial: int, currency: str) -> Decimal | None:
    """The trader's percentage of the next payout, None when the terms name no split.

    The highest tier reached, or the share after the first step of growth where that is more; each time that open
    losses were too large lowers it for good where the terms say so.
    """
    rule = terms.get("split")
    if rule is None:
        return None
    tiers = sorted(rule["tiers"] or [], key=lambda tier: tier["after_payouts"])
    reached = [exact(tier["percent"]) for tier in tiers if paid_before >= tier["after_payouts"]]
    share = reached[-1] if reached else Decimal(rule["percent"])
    grown = (terms.get("scaling") or {}).get("split_percent")
    if grown is not None and steps_of(terms, past, initial, currency):
        share = max(share, Decimal(grown))
    steps = terms.get(LASTING, {}).get("splits")
    return min(share, steps[min(cuts, len(steps)) - 1]) if steps and cuts else share


def steps_of(terms: Terms, past: Past, initial: int, currency: str) -> int:
    """Steps of growth that the account had earned by the request.

    Each period of `months` since the opening with enough net profit and payouts is one; without periods every further
    time that the profit made reaches the percentage.
    """
    rule = terms.get("scaling")
    if rule is None or past.opened_at is None:
        return 0
    size = percent_of(rule["percent"], initial)
    if not rule["months"]:
        return _highest(past, currency) // size if size else 0
    return sum(
        to_minor(_made(past, begins, ends), currency) >= size
        and sum(begins <= at < ends for at in past.paid_at) >= rule["min_payouts"]
        for begins, ends in _periods(past, rule["months"])
    )


def _periods(past: Past, months: int) -> Iterator[tuple[dt.datetime, dt.datetime]]:
    """Whole periods between the account's opening and the request."""
    assert past.opened_at is not None and past.requested_at is not None
    begins = past.opened_at
    for number in itertools.count(1):
        ends = months_after(past.opened_at, months * number)
        if ends > past.requested_at:
            return
        yield begins, ends
        begins = ends


def _made(past: Past, begins: dt.datetime, ends: dt.datetime) -> Decimal:
    return sum((net for at, net in past.results if begins <= at < ends), Decimal(0))


def _highest(past: Past, currency: str) -> int:
    """The most that trading had made at any time, minor units."""
    sums = itertools.accumulate(net for _, net in past.results)
    return to_minor(max(sums, default=Decimal(0)), currency) if past.results else 0


def months_after(at: dt.datetime, months: int) -> dt.datetime:
    """The same day and time some months later; the last of the month where it has no such day."""
    year, month = divmod(at.month - 1 + months, 12)
    year, month = at.year + year, month + 1
    return at.replace(year=year, month=month, day=min(at.day, calendar.monthrange(year, month)[1]))


def grown(terms: Terms, past: Past, initial: int, currency: str) -> int:
    """The size that the account has grown to, from which percentages of caps and buffers are taken (minor units)."""
    rule = terms.get("scaling")
    if rule is None:
        return initial
    size = initial + steps_of(terms, past, initial, currency) * percent_of(rule["step_percent"], initial)
    return size if rule["cap"] is None else min(size, max(to_minor(rule["cap"], currency), initial))


def asked_profit(asked: int, split: Decimal | None, *, net: bool) -> int:
    """The profit behind an amount: itself, or where desks ask for the trader's part, what that part is the split of."""
    if not net or not split:
        return asked
    return int((asked * 100 / split).quantize(Decimal(1)))


def drawn(row: Mapping[str, Any], split: Decimal | None, *, net: bool) -> Decimal:
    """The profit that an honoured request draws: what was asked for, or less when its transfer carried less."""
    currency = row["currency"]
    asked = asked_profit(to_minor(row["amount"], currency), split, net=net)
    if split and row["transfer_amount"] is not None and row["transfer_currency"] == currency:
        sent = to_minor(row["transfer_amount"] + (row["transfer_fee"] or 0), currency)
        if sent < percent_of(split, asked) - 1:
            asked = min(asked, asked_profit(sent, split, net=True))
    return from_minor(asked, currency)
