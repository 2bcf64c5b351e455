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
from models.money import from_minor, percent_of, rounded, to_minor

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


@dataclass(frozen=True)
class Split:
    """The trader's percentages of one payout: each holds from a profit on (minor units), the first from nothing."""

    bands: tuple[tuple[int, Decimal], ...]

    @classmethod
    def told(cls, numbers: Mapping[str, Any], currency: str) -> Split:
        """The split that a review's check tells."""
        parts = numbers.get("split_parts") or [{"share_pct": numbers["split_pct"], "from": 0}]
        return cls(tuple((to_minor(one["from"], currency), Decimal(str(one["share_pct"]))) for one in parts))

    def of(self, profit: int) -> int:
        """The trader's part of a profit, rounded half up once."""
        return rounded(self._hundredfold(profit) / 100)

    def behind(self, part: int) -> int:
        """The profit of which an amount is the trader's part; the amount itself where there is no such profit."""
        left = Decimal(part) * 100
        for (begins, percent), ends in zip(self.bands, self._ends(), strict=True):
            if percent and (ends is None or left <= percent * (ends - begins)):
                return int((begins + left / percent).quantize(Decimal(1)))
            left -= 0 if ends is None else percent * (ends - begins)
        return part

    def percent(self, profit: int) -> Decimal:
        """What the trader's part of a profit comes to in percent; the first percentage of none."""
        if len(self.bands) == 1 or profit <= 0:
            return self.bands[0][1]
        return round(self._hundredfold(profit) / profit, 4)

    def _ends(self) -> list[int | None]:
        return [begins for begins, _ in self.bands[1:]] + [None]

    def _hundredfold(self, profit: int) -> Decimal:
        parts = zip(self.bands, self._ends(), strict=True)
        return sum(
            (
                percent * max((profit if ends is None else min(profit, ends)) - begins, 0)
                for (begins, percent), ends in parts
            ),
            Decimal(0),
        )


def split_of(terms: Terms, row: Mapping[str, Any], cuts: int, past: Past) -> Split | None:
    """How the next payout of a request's account is split, None when the terms do not say it.

    The highest tier that its number reached, by parts where tiers begin at a profit drawn in all or by one payout; or
    the share after the first step of growth where that is more. Each time that open losses were too large lowers it
    for good where the terms say so. What is claimed after the account's end has a share of its own.
    """
    if claimed(row, terms):
        return Split(((0, Decimal(terms["claim"]["percent"])),))
    rule = terms.get("split")
    if rule is None:
        return None
    currency = row["currency"]
    initial = to_minor(row["initial_balance"] or 0, currency)
    drawn_before = to_minor(row["drawn"], currency)
    begins = {0: Decimal(rule["percent"])}
    for tier in sorted(rule["tiers"] or [], key=_begins):
        if "after_profit" in tier:
            since = max(to_minor(exact(tier["after_profit"]), currency) - drawn_before, 0)
        elif "above" in tier:
            since = to_minor(exact(tier["above"]), currency)
        elif tier["after_payouts"] <= row["paid_before"]:
            since = 0
        else:
            continue
        begins[since] = exact(tier["percent"])
    grown = (terms.get("scaling") or {}).get("split_percent")
    least = Decimal(grown) if grown is not None and steps_of(terms, past, initial, currency) else Decimal(0)
    steps = terms.get(LASTING, {}).get("splits")
    most = steps[min(cuts, len(steps)) - 1] if steps and cuts else Decimal(100)
    return Split(tuple((since, min(max(percent, least), most)) for since, percent in sorted(begins.items())))


def claimed(row: Mapping[str, Any], terms: Terms) -> bool:
    """Whether a request came after its account had ended by a rule after which the terms let profit be claimed."""
    ended = row["status"] in ("breached", "expired") and row["status_at"] <= row["requested_at"]
    return bool(ended and row["ended_by"] in terms.get("claim", {}).get("rules", ()))


def _begins(tier: Mapping[str, Any]) -> Any:
    """From which payout or profit on a tier holds."""
    return next(value for name, value in tier.items() if name != "percent")


def steps_of(terms: Terms, past: Past, initial: int, currency: str) -> int:
    """Steps of growth that the account had earned by the request.

    Each period of `months` since the opening with enough net profit and payouts is one; without periods every further
    time that the profit made reaches the percentage, with as many payouts for each.
    """
    rule = terms.get("scaling")
    if rule is None or past.opened_at is None:
        return 0
    size = percent_of(rule["percent"], initial)
    if not rule["months"]:
        made = _highest(past, currency) // size if size else 0
        return min(made, len(_paid_before(past)) // rule["min_payouts"]) if rule["min_payouts"] else made
    return sum(_is_step(past, rule, size, currency, *period) for period in _periods(past, rule["months"]))


def first_growth(terms: Terms, past: Past, initial: int, currency: str) -> dt.datetime | None:
    """When an account took its first step of growth, None where it has not."""
    rule = terms.get("scaling")
    if rule is None or past.opened_at is None:
        return None
    size = percent_of(rule["percent"], initial)
    if rule["months"]:
        periods = _periods(past, rule["months"])
        return next((one[1] for one in periods if _is_step(past, rule, size, currency, *one)), None)
    paid = _paid_before(past)
    if len(paid) < rule["min_payouts"]:
        return None
    made = itertools.accumulate(net for _, net in past.results)
    reached = zip(past.results, made, strict=True)
    first = next((at for (at, _), so_far in reached if size and to_minor(so_far, currency) >= size), None)
    return first if first is None else max([first, *paid[: rule["min_payouts"]]])


def _paid_before(past: Past) -> list[dt.datetime]:
    """When the account was paid until then, in order of time."""
    assert past.requested_at is not None
    return sorted(at for at in past.paid_at if at < past.requested_at)


def _is_step(
    past: Past, rule: Mapping[str, Any], size: int, currency: str, begins: dt.datetime, ends: dt.datetime
) -> bool:
    """Whether a period brought enough net profit and payouts for a step of growth."""
    enough = to_minor(_made(past, begins, ends), currency) >= size
    return enough and sum(begins <= at < ends for at in past.paid_at) >= rule["min_payouts"]


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


def asked_profit(asked: int, split: Split | None, *, net: bool) -> int:
    """The profit behind an amount: itself, or where desks ask for the trader's part, what that part is the split of."""
    return split.behind(asked) if net and split is not None else asked


def drawn(row: Mapping[str, Any], split: Split | None, *, net: bool) -> Decimal:
    """The profit that an honoured request draws: what was asked for, or less when its transfer carried less."""
    currency = row["currency"]
    asked = asked_profit(to_minor(row["amount"], currency), split, net=net)
    if split and row["transfer_amount"] is not None and row["transfer_currency"] == currency:
        sent = to_minor(row["transfer_amount"] + (row["transfer_fee"] or 0), currency)
        if sent < split.of(asked) - 1:
            asked = min(asked, asked_profit(sent, split, net=True))
    return from_minor(asked, currency)
