"""What a request is worth: profit asked for, caps, deductions and the split, exact to the minor unit."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from models.catalogue import Rulebook, Terms
from models.money import from_minor, percent_of, to_minor
from models.payouts.checks import LeadsTo
from models.payouts.facts import Request, draws, evidence
from models.payouts.shares import LASTING, Split, asked_profit, exact, grown, split_of

TAKEN = ("strip", "split_cut")


@dataclass(frozen=True)
class Stripped:
    """Profit of one trade that does not count, and the rule that says so."""

    trade_id: str
    rule: str
    profit: int
    taken: int


@dataclass(frozen=True)
class Worth:
    """A request in minor units of the account's currency: `profit` = trader_share + firm_share + deductions.

    `profit` is what leaves the account. Shares are None when the terms do not say how profit is split. `void` is what
    rules have taken so far, of this window and of earlier ones, and what has not left the account.
    """

    currency: str
    profit: int
    available: int
    cap: int | None
    stripped: tuple[Stripped, ...]
    unknown_strips: tuple[str, ...]
    deductions: int
    split: Split | None
    trader_share: int | None
    firm_share: int | None
    refund: int | None = None
    size: int | None = None
    void: int = 0

    @property
    def payable(self) -> int:
        """What is drawn from the account."""
        return self.profit - self.deductions

    def void_after(self, drew: int) -> int:
        """What of the void profit is still there once so much has left the account for the request: what left beyond
        what was due took it along."""
        return max(self.void - max(drew - self.payable, 0), 0)

    @property
    def split_percent(self) -> Decimal | None:
        """What the trader's share comes to in percent."""
        return None if self.split is None else self.split.percent(self.profit - self.deductions)

    def money(self, minor: int | None) -> Decimal | None:
        """An amount of minor units in the currency; None stays None."""
        return None if minor is None else from_minor(minor, self.currency)


def buffer_of(terms: Terms, initial: int, currency: str) -> int:
    """Profit that must stay in the account: the larger of the amount and the percentage of the initial balance."""
    rule = terms.get("payout")
    if rule is None:
        return 0
    share = percent_of(rule["buffer_percent"], initial) if rule["buffer_percent"] else 0
    return max(to_minor(rule["buffer"] or 0, currency), share)


def cap_of(terms: Terms, initial: int, balance: int, withdrawable: int, number: int, currency: str) -> int | None:
    """The most that payout `number` may draw, the lowest of all caps; None without any."""
    rule = terms.get("payout")
    if rule is None:
        return None
    caps = []
    if rule["cap_percent"] is not None:
        caps.append(percent_of(rule["cap_percent"], initial))
    if rule["cap_balance_percent"] is not None:
        caps.append(percent_of(rule["cap_balance_percent"], max(balance, 0)))
    if rule["cap_amount"] is not None:
        caps.append(to_minor(rule["cap_amount"], currency))
    if rule["max_share"] is not None:
        caps.append(percent_of(rule["max_share"], max(withdrawable, 0)))
    if rule["cap_ladder"]:
        step = ladder_step(rule["cap_ladder"], number)
        caps += [] if step is None else [to_minor(step, currency)]
    return min(caps) if caps else None


def ladder_step(ladder: list[Any], number: int) -> Decimal | None:
    """The cap of payout `number`: rungs follow each other payout by payout or say from which on they hold.

    Past the last rung the last one holds.
    """
    begins = {rung.get("payout", place): rung["amount"] for place, rung in enumerate(ladder, 1)}
    reached = [first for first in begins if first <= number]
    return exact(begins[max(reached)]) if reached else None


def takes(verdict: dict[str, Any]) -> bool:
    """Whether a verdict takes profit of the trades that it names."""
    return verdict["effect"] in TAKEN and verdict["rule"] != LASTING


def strips(request: Request, terms: Terms) -> tuple[tuple[Stripped, ...], tuple[str, ...]]:
    """Profits of the window that rules take, each trade once by the harder rule, and rules whose trades are unknown."""
    known = {trade["trade_id"]: trade for trade in request.trades if not trade["open"]}
    taken: dict[str, Stripped] = {}
    unknown: list[str] = []
    for verdict in request.verdicts:
        if not takes(verdict):
            continue
        share = _counted_share(verdict, terms)
        told = evidence(verdict)
        listed = [one.get("trade_id") for one in told.get("occurrences") or [told.get("event") or {}]]
        complete = told.get("occurrences_in_all", len(listed)) == len(listed)
        if share is None or not complete or None in listed or not listed:
            unknown.append(verdict["rule"])
            continue
        for trade_id in listed:
            one = _strip(known.get(trade_id), verdict["rule"], share, request.currency)
            if one is not None and (trade_id not in taken or one.taken > taken[trade_id].taken):
                taken[trade_id] = one
    return tuple(taken[key] for key in sorted(taken)), tuple(sorted(set(unknown)))


def cuts_unsaid(rule: str, verdicts: list[dict[str, Any]], terms: Terms) -> bool:
    """Whether a rule cut the trader's share while its terms do not say what is left of the profit."""
    return any(one["rule"] == rule and takes(one) and _counted_share(one, terms) is None for one in verdicts)


def _counted_share(verdict: dict[str, Any], terms: Terms) -> Decimal | None:
    """Percentage of the profit that still counts: none when stripped, the rule's share when cut; None if not said."""
    if verdict["effect"] == "strip":
        return Decimal(0)
    share = terms.get(verdict["rule"], {}).get("share")
    return None if share is None else Decimal(share)


def _strip(trade: dict[str, Any] | None, rule: str, share: Decimal, currency: str) -> Stripped | None:
    """What is taken of a trade; nothing of a loss, nor of a trade that closed outside the window."""
    if trade is None or trade["net_profit"] is None or trade["net_profit"] <= 0:
        return None
    profit = to_minor(trade["net_profit"], currency)
    return Stripped(trade["trade_id"], rule, profit, profit - percent_of(share, profit))


def worth(request: Request, terms: Terms) -> Worth:
    """The value of a request of a known account with a positive amount.

    Stripped profit is void, so it comes off what was asked for; what is above the cap or the withdrawable profit
    stays in the account. Both are `deductions`.
    """
    currency = request.currency
    initial = to_minor(request.initial_balance, currency)
    size = grown(terms, request.past, initial, currency)
    split = split_of(terms, request.row, request.cuts, request.past)
    asked = to_minor(request.amount, currency)
    profit = asked_profit(asked, split, net=bool(request.asked_net))
    available = to_minor(request.earned, currency) - buffer_of(terms, size, currency) - request.void
    cap = cap_of(terms, size, to_minor(request.balance, currency), available, request.number, currency)
    stripped, unknown = strips(request, terms)
    excess = consistency_excess(request, terms, stripped)
    void = sum(one.taken for one in stripped) + excess
    payable = max(min(profit, available) - void, 0)
    payable = payable if cap is None else min(payable, cap)
    trader = None if split is None else split.of(payable)
    return Worth(
        currency,
        profit,
        available,
        cap,
        stripped,
        unknown,
        profit - payable,
        split,
        trader,
        None if trader is None else payable - trader,
        _refund(request, terms),
        size if size != initial else None,
        request.void + void,
    )


def still_void(request: Request, void: int) -> int:
    """What of the profit that rules took before is void still: the firm may have taken it off as a correction of just
    that amount; one of another amount is about something else."""
    taken_off = (to_minor(one, request.currency) for one in request.corrected or [])
    return 0 if void in taken_off else void


def with_void(asked: Iterable[Request], rulebook: Rulebook) -> list[Request]:
    """Requests with the profit that rules took with earlier payouts of their account and that is still in it."""
    told = list(asked)
    void: defaultdict[str, int] = defaultdict(int)
    for place, one in sorted(enumerate(told), key=lambda held: (held[1].requested_at, held[1].payout_id)):
        left = still_void(one, void[one.account_id])
        one = replace(one, void=left)
        if one.honoured_at is not None and one.terms is not None and (one.amount or 0) > 0:
            drew = to_minor(draws(one, rulebook), one.currency)
            left = worth(one, one.terms).void_after(drew)
        told[place] = replace(one, void_after=left)
        void[one.account_id] = left
    return told


def _refund(request: Request, terms: Terms) -> int | None:
    """The fee given back with this payout, in minor units of its currency; once, and only if it stayed paid."""
    rule = terms.get("payout") or {}
    if rule.get("fee_refund_on") != request.number or request.fee is None or request.charged_back:
        return None
    if request.refunded and request.refunded_at < request.requested_at:
        return None
    return to_minor(request.fee, request.fee_currency)


def remains(worth: Worth, terms: Terms) -> LeadsTo:
    """What follows from asking for too much: the rest is paid when there is enough of it."""
    least = to_minor((terms.get("payout") or {}).get("minimum") or 0, worth.currency)
    return "deduct" if worth.payable > 0 and worth.payable >= least else "not_yet"


def unit_profits(request: Request, rule: Mapping[str, Any]) -> tuple[list[tuple[str, Decimal]], Decimal]:
    """What each firm day, trade or idea made in the window, by name, and the profit that they are held against."""
    days = [(day["firm_day"].isoformat(), Decimal(day["net"])) for day in request.days]
    units = days if rule["unit"] == "day" else _ideas(request.units, rule["merge_seconds"])
    counted = days if rule["of"] == "net" else [unit for unit in units if unit[1] > 0]
    return units, sum((profit for _, profit in counted), Decimal(0))


def _ideas(trades: list[dict[str, Any]], merge_seconds: int | None) -> list[tuple[str, Decimal]]:
    """Trades by name, or ideas by their first trade: what is open together in one instrument and direction, or opened
    so soon after the last was closed. `trades` are in order of opening; one opened nobody knows when stands alone."""
    made: dict[str, Decimal] = {}
    running: dict[tuple[str, str], tuple[str, dt.datetime | None]] = {}
    for trade in trades:
        line, name, opened_at = (trade["instrument"], trade["side"]), trade["trade_id"], trade["opened_at"]
        if merge_seconds is not None and opened_at is not None:
            idea, until = running.get(line, (name, opened_at))
            if until is None or opened_at <= until + dt.timedelta(seconds=merge_seconds):
                name = idea
            running[line] = name, _later(until if name == idea else opened_at, trade["closed_at"])
        made[name] = made.get(name, Decimal(0)) + Decimal(trade["made"])
    return list(made.items())


def _later(one: dt.datetime | None, other: dt.datetime | None) -> dt.datetime | None:
    return None if one is None or other is None else max(one, other)


def takes_excess(rule: Mapping[str, Any]) -> bool:
    """Whether consistency takes what one unit made too much instead of waiting."""
    return rule["effect"] in TAKEN and rule["unit"] != "lot"


def consistency_excess(request: Request, terms: Terms, stripped: tuple[Stripped, ...]) -> int:
    """Where consistency takes the excess: what the other rules left of a unit above its share of what was made."""
    rule = terms.get("consistency")
    if rule is None or not takes_excess(rule):
        return 0
    total = unit_profits(request, rule)[1]
    left = unit_profits(_left(request, stripped), rule)[0]
    if total <= 0 or not left:
        return 0
    over = max(profit for _, profit in left) - total * rule["share"] / 100
    return max(to_minor(over, request.currency), 0)


def _left(request: Request, stripped: tuple[Stripped, ...]) -> Request:
    """The request with what rules took off the trades, and off the days on which these were closed."""
    taken = {one.trade_id: from_minor(one.taken, request.currency) for one in stripped}
    off: dict[dt.date, Decimal] = {}
    for trade in request.trades:
        off[trade["closed_day"]] = off.get(trade["closed_day"], Decimal(0)) + taken.get(trade["trade_id"], Decimal(0))
    days = [day | {"net": Decimal(day["net"]) - off.get(day["firm_day"], Decimal(0))} for day in request.days]
    units = [one | {"made": Decimal(one["made"]) - taken.get(one["trade_id"], Decimal(0))} for one in request.units]
    return replace(request, days=days, units=units)


def age_days(since: dt.datetime, until: dt.datetime) -> Decimal:
    """Days between two instants, of 24 hours."""
    return Decimal((until - since) // dt.timedelta(microseconds=1)) / Decimal(86_400_000_000)
