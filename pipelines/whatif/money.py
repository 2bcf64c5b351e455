"""What was paid, and what would have been: every payout request reviewed again under a side's terms.

Today is what was paid. Under a draft a request that was paid stays paid unless the account had ended, an earlier stage
was not passed, or a condition fails that did not fail under the terms bought; one that those terms refused is paid when
the draft has nothing against it. What it is worth moves by what caps, buffers, strips and the split make of it.
"""

from __future__ import annotations

import datetime as dt
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import numpy as np

from models.catalogue import Rulebook, Terms
from models.clock import from_micros, to_micros
from models.money import from_minor, to_minor
from models.payouts import eligibility, facts, policy
from models.payouts.amounts import Worth, still_void, worth
from models.payouts.facts import Desk, Request, Row
from models.set_rules import OWN, SHARED
from models.terms import FUNDED
from models.walk import NEVER, STATUS_BREACHED, STATUS_PASSED, Array
from pipelines.whatif.history import TAKING, History, requests_by
from pipelines.whatif.replay import RULES, STATUS_EXPIRED, Side, replay

MONEY_RULES = (
    "split",
    "payout",
    "scaling",
    "consistency",
    "min_trading_days",
    "min_profitable_days",
    "floating_loss",
    "claim",
)
"""Rules of a funded stage that a request is held against, beside what set-based rules take from it."""
DEFAULT_SPLIT = {"percent": Decimal(80), "tiers": None}
REVIEWED_MOST = 100_000
"""Accounts whose requests are kept as reviewed, each time under other terms."""


@dataclass(frozen=True)
class Review:
    """A request under some terms: conditions that fail, and what it is worth, in US dollars and in minor units."""

    failed: frozenset[str]
    trader: float
    firm: float
    refund: float
    worth: Worth


@dataclass(frozen=True)
class Paid:
    """What each account was paid: request by request (account code, instant, US dollars), those that were paid only."""

    account: Array
    at: Array
    trader: Array
    firm: Array
    refund: Array


@dataclass(frozen=True)
class Money:
    """Per challenge whether an evaluation was failed and all were passed; payouts, firm's share and fee (US dollars).

    `chains`: stages that were never traded, with the challenges that only this side would have carried on to them.
    """

    failed: Array
    funded: Array
    payouts: Array
    firm_share: Array
    fee: Array
    chains: dict[tuple[str, ...], Array]


@dataclass(frozen=True)
class Today:
    """The terms bought: their side, each account's requests as reviewed under them, what was paid, and the money."""

    side: Side
    reviews: dict[int, list[Review]]
    paid: Paid
    money: Money


def today(history: History, own: Side | None = None) -> Today:
    """What really happened; worked out once per history, from its side under the terms bought where that is known."""
    with history.lock:
        if "today" not in history.kept:
            history.kept["today"] = _today(history, replay(history, history.rulebook) if own is None else own)
        held: Today = history.kept["today"]
        return held


def _today(history: History, own: Side) -> Today:
    rows = []
    reviews: dict[int, list[Review]] = {}
    taken = _taken(own)
    for code, requests in history.requests:
        reviews[code], void = [], 0
        for request in requests:
            void = still_void(request, void)
            told = _with_verdicts(replace(request, void=void), taken.get(code, []))
            said = _review(history, own, code, told)
            reviews[code].append(said)
            if request.honoured_at is not None:
                void = said.worth.void_after(_drew(history, request))
            if request.paid:
                trader = _sent(history, request, said.trader)
                rows.append((code, to_micros(request.requested_at), trader, said.firm, said.refund))
    paid = _paid(rows)
    failed, funded = _stages(history, own)
    sums = _sums(history, paid, np.ones(len(paid.at), bool))
    return Today(own, reviews, paid, Money(failed, funded, sums[0], sums[1], history.challenges.fee, {}))


def under(history: History, own: Today, draft: Side) -> Money:
    """The money of every challenge under a draft: what is lost is what only the draft ends or fails."""
    paid = _renewed(history, own, draft)
    place = history.challenges.place
    failed, funded = _stages(history, draft)
    ended = [_ended_before(side, paid) for side in (draft, own.side)]
    # where profit can be claimed after the end, the request itself was read under the draft's ending
    ended[0] &= ~_with_claims(history, draft)[paid.account]
    lost = (ended[0] & ~ended[1]) | (failed & ~own.money.failed)[place[paid.account]]
    sums = _sums(history, paid, ~lost)
    refunds = sums[2] - _sums(history, own.paid, np.ones(len(own.paid.at), bool))[2]
    chains = _chains(history, own.money.failed & ~failed & ~funded)
    return Money(failed, funded, sums[0], sums[1], history.challenges.fee - refunds, chains)


def _with_claims(history: History, side: Side) -> Array:
    """Which accounts stand in a stage in which profit can be claimed after the end."""
    terms = [
        side.rulebook.version(product, int(number)).stages[stage] for product, number, stage, *_ in history.groups.keys
    ]
    held: Array = history.groups.accounts(np.array(["claim" in one for one in terms]))
    return held


def _ended_before(side: Side, paid: Paid) -> Array:
    ended = np.isin(side.status, (STATUS_BREACHED, STATUS_EXPIRED))
    before: Array = ended[paid.account] & (side.at[paid.account] <= paid.at)
    return before


def _renewed(history: History, own: Today, draft: Side) -> Paid:
    """What was paid, with the requests of accounts that the draft reads otherwise read again."""
    others = _others(history, own.side, draft)
    if not others:
        return own.paid
    kept = ~np.isin(own.paid.account, list(others))
    rows: list[tuple[Any, ...]] = list(zip(*(getattr(own.paid, name)[kept].tolist() for name in _NAMES), strict=True))
    taken, told = _taken(draft), _told_terms(history, draft.rulebook)
    # what other variants of a sweep said to the same is not reckoned again
    reviewed: dict[tuple[Any, ...], list[tuple[Any, ...]]] = history.kept.setdefault("reviewed", {})
    if len(reviewed) > REVIEWED_MOST:
        reviewed.clear()
    for code, requests in requests_by(history, draft.rulebook):
        if code not in others:
            continue
        mine = taken.get(code, [])
        end = (int(draft.status[code]), int(draft.at[code]), int(draft.rule[code]))
        key = (code, told[history.groups.of[code]], repr(mine), draft.cuts.get(code, ()), end)
        if key not in reviewed:
            reviewed[key] = _again(history, own, draft, code, requests, mine)
        rows += reviewed[key]
    return _paid(rows)


def _told_terms(history: History, rulebook: Rulebook) -> list[str]:
    """All that a rulebook says about the stage of each group."""
    versions = [(rulebook.version(product, int(number)), stage) for product, number, stage, *_ in history.groups.keys]
    return [repr((version.stages[stage], version.clock)) for version, stage in versions]


_NAMES = ("account", "at", "trader", "firm", "refund")


def _paid(rows: list[tuple[Any, ...]]) -> Paid:
    columns: list[Any] = list(zip(*rows, strict=True)) or [[] for _ in _NAMES]
    kinds = (np.int64, np.int64, float, float, float)
    return Paid(*(np.array(column, kind) for column, kind in zip(columns, kinds, strict=True)))


def _others(history: History, own: Side, draft: Side) -> set[int]:
    """Accounts whose requests have to be read again: other terms of money, or other verdicts that take from them."""
    changed = []
    for product, number, stage, *_ in history.groups.keys:
        held = [_money_terms(side.rulebook, product, number, stage) for side in (own, draft)]
        changed.append(stage in FUNDED and held[0] != held[1])
    others = set(np.flatnonzero(history.groups.accounts(np.array(changed))).tolist())
    moved = (own.at != draft.at) | (own.rule != draft.rule)
    others |= set(np.flatnonzero(moved & _with_claims(history, draft)).tolist())
    if draft.found is not own.found:
        taken = [_taken(side) for side in (own, draft)]
        others |= {code for code in {*taken[0], *taken[1]} if taken[0].get(code) != taken[1].get(code)}
    return others & {code for code, _ in history.requests}


def _money_terms(rulebook: Rulebook, product: str, number: Any, stage: str) -> dict[str, Any]:
    version = rulebook.version(product, int(number))
    terms = version.stages[stage]
    held: dict[str, Any] = {rule: terms[rule] for rule in MONEY_RULES if rule in terms}
    shares = {rule: terms[rule].get("share") for rule in (*OWN, *SHARED) if rule in terms}
    return held | {"shares": shares, "clock": version.clock}


def _taken(side: Side) -> dict[int, list[Row]]:
    """Per account the verdicts that take profit or let a payout wait."""
    rows = side.found.verdicts[_TAKEN]
    taken: defaultdict[int, list[Row]] = defaultdict(list)
    for code, *told in rows[rows["effect"].isin(TAKING)].itertuples(index=False, name=None):
        taken[code].append(dict(zip(_TAKEN[1:], told, strict=True)))
    return {code: sorted(listed, key=lambda one: tuple(one.values())) for code, listed in taken.items()}


_TAKEN = ["account", "at", "rule", "outcome", "effect", "evidence"]


def _with_verdicts(request: Request, verdicts: list[Row]) -> Request:
    """A request with those verdicts that fall in its window."""
    if not verdicts:
        return request
    since = -NEVER if request.last_paid_at is None else to_micros(request.last_paid_at)
    until = to_micros(request.requested_at)
    return replace(request, verdicts=[one for one in verdicts if one["at"] <= until and _last_at(one) > since])


def _last_at(verdict: Row) -> int:
    """The newest instant that a verdict tells of: a payout may divide the firm day for which it stands."""
    return to_micros(facts.last_at(verdict | {"happened_at": from_micros(verdict["at"])}))


def _again(
    history: History, own: Today, draft: Side, code: int, requests: list[Request], taken: list[Row]
) -> list[tuple[Any, ...]]:
    """An account's requests in time order under the draft, each standing on what was paid before under the draft."""
    rows: list[tuple[Any, ...]] = []
    before: list[Answered] = []
    void = 0
    for request, was in zip(requests, own.reviews[code], strict=True):
        void = still_void(request, void)
        stands = replace(_standing(request, before), void=void)
        said = _review(history, draft, code, _with_verdicts(stands, taken))
        pays = not said.failed - was.failed if request.paid else bool(was.failed) and not said.failed
        if pays:
            beyond = _sent(history, request, was.trader) - was.trader if request.paid else 0.0
            trader = max(said.trader + beyond, 0.0)
            rows.append((code, to_micros(request.requested_at), trader, said.firm, said.refund))
        drew = draws = _drew(history, request) if request.honoured_at is not None else 0
        if pays or request.paid:
            beyond_due = drew - was.worth.payable if request.paid else 0
            draws = max(said.worth.payable + beyond_due, 0) if pays else 0
        if pays or (draws and not request.paid):
            void = said.worth.void_after(draws)
        before.append(Answered(request, pays, from_minor(drew - draws, request.currency)))
    return rows


def _drew(history: History, request: Request) -> int:
    """What an honoured request took from its account, in minor units."""
    return to_minor(facts.draws(request, history.rulebook), request.currency)


@dataclass(frozen=True)
class Answered:
    """An earlier request: whether a draft pays it, and how much more of it than today that leaves in the account."""

    request: Request
    pays: bool
    left: Decimal


def _standing(request: Request, before: list[Answered]) -> Request:
    """A request as it stands when earlier ones of its account were, or were not, paid otherwise than they really were.

    Its window then begins at the last one that was paid; profit that was not drawn is still in the account.
    """
    balance = sum((one.left for one in before), Decimal(0))
    if all(one.pays == one.request.paid for one in before):
        row = request.row | {"moved": request.moved + balance, "drawn": request.drawn - balance}
        return replace(request, row=row) if balance else request
    count = sum(one.pays - one.request.paid for one in before)
    last = max((one.request.requested_at for one in before if one.pays), default=None)
    # windows end at requests that were paid, so what a refused one held belongs to the next
    since = next((place + 1 for place in range(len(before) - 1, -1, -1) if before[place].pays), 0)
    windows = [one.request for one in before[since:] if one.request.paid] + [request]
    if since and not before[since - 1].request.paid:
        windows[0] = _after(before[since - 1].request, windows[0])
    row = request.row | {
        "paid_before": max(int(request.paid_before) + count, 0),
        "last_paid_at": last if last or request.paid_before + count <= 0 else request.last_paid_at,
        "moved": request.moved + balance,
        "drawn": request.drawn - balance,
    }
    trades = {trade["trade_id"]: trade for one in windows for trade in one.trades}
    past = replace(request.past, paid_at=_paid_at(request, before))
    days = _added([one.days for one in windows], "firm_day", "net", "openings")
    units = _added([one.units for one in windows], "trade_id", "made")
    return replace(request, row=row, days=days, units=units, trades=list(trades.values()), past=past)


def _paid_at(request: Request, before: list[Answered]) -> tuple[dt.datetime, ...]:
    """When an account was paid: as it was, without what now is not and with what now is."""
    gone = [one.request.honoured_at for one in before if one.request.paid and not one.pays]
    kept = [at for at in request.past.paid_at if at not in gone]
    newly = (one.request.requested_at for one in before if one.pays and not one.request.paid)
    return tuple(sorted([*kept, *newly]))


def _after(earlier: Request, request: Request) -> Request:
    """A request whose window begins at an earlier one, which really was refused and whose window began with its own."""
    until = earlier.requested_at
    days = _added([request.days, _negated(earlier.days, "net", "openings")], "firm_day", "net", "openings")
    units = _added([request.units, _negated(earlier.units, "made")], "trade_id", "made")
    return replace(
        request,
        days=[day for day in days if day["net"] or day["openings"]],
        units=[one for one in units if one["closed_at"] is None or one["closed_at"] > until],
        trades=[one for one in request.trades if one["closed_at"] is None or one["closed_at"] > until],
    )


def _negated(rows: Iterable[Row], *sums: str) -> list[Row]:
    return [row | {name: -row[name] for name in sums} for row in rows]


def _added(windows: Iterable[Iterable[Row]], key: str, *sums: str) -> list[Row]:
    """What several windows that follow each other hold, with the sums of what a payout divides."""
    rows: dict[Any, Row] = {}
    for row in (row for window in windows for row in window):
        held = rows.get(row[key])
        rows[row[key]] = row if held is None else row | {name: held[name] + row[name] for name in sums}
    return list(rows.values())


def _review(history: History, side: Side, code: int, request: Request) -> Review:
    """What the terms of a side say to a request, and what they make it worth; what is too much only is deducted."""
    product, number, stage, currency, _ = history.groups.keys[history.groups.of[code]]
    terms: Terms = {"split": DEFAULT_SPLIT, **side.rulebook.version(product, int(number)).stages[stage]}
    request = replace(request, cuts=_cuts(side, code, request))
    if "claim" in terms:
        request = _as_ended(side, code, request)
    value = worth(request, terms)
    checks = eligibility.conditions(request, terms, value, _desk(history))
    failed = {one.check for one in checks if one.outcome == "failed" and one.leads_to != "deduct"}
    waits = {verdict["rule"] for verdict in request.verdicts if verdict["effect"] == "wait"}
    rate = history.rates.get(currency, 0.0)
    trader, firm = (float(from_minor(part or 0, currency)) * rate for part in (value.trader_share, value.firm_share))
    refund = 0.0 if value.refund is None else float(request.fee) * history.rates.get(request.fee_currency, 0.0)
    return Review(frozenset((failed | waits) - {"other_request"}), trader, firm, refund, value)


def _as_ended(side: Side, code: int, request: Request) -> Request:
    """A request as it stands where a side's terms ended its account: nothing closed after it was made."""
    names = {STATUS_BREACHED: "breached", STATUS_EXPIRED: "expired"}
    status = names.get(int(side.status[code]))
    if status is None:
        return replace(request, row=request.row | {"status": "active", "status_at": None, "ended_by": None})
    at, rule = from_micros(int(side.at[code])), RULES[int(side.rule[code])]
    late = [one for one in request.trades if one["closed_at"] is not None and one["closed_at"] > at]
    made = sum((one["net_profit"] for one in late), Decimal(0))
    ended = {"status": status, "status_at": at, "ended_by": rule, "moved": request.moved - made}
    kept = [one for one in request.trades if one not in late]
    return replace(request, row=request.row | ended, trades=kept)


def _cuts(side: Side, code: int, request: Request) -> int:
    """How often the terms of a side had lowered the trader's share for good before a request."""
    return bisect_right(side.cuts.get(code, ()), to_micros(request.requested_at))


def _desk(history: History) -> Desk:
    """What conditions ask beside the request: the policy and the instant."""
    if "desk" not in history.kept:
        held = policy.in_force(history.as_of)
        history.kept["desk"] = Desk(held, history.as_of, None, None, {}, {}, {}, {}, {}, {}, None)
    desk: Desk = history.kept["desk"]
    return desk


def _sent(history: History, request: Request, due: float) -> float:
    """What a paid request sent, in US dollars; what was due where no transfer in the account's currency tells."""
    if request.transfer_currency != request.currency:
        return due
    return float(request.transfer_amount) * history.rates.get(request.currency, 0.0)


def _sums(history: History, paid: Paid, counted: Array) -> list[Array]:
    """Trader's part, firm's part and refunds per challenge."""
    to = history.challenges.place[paid.account[counted]]
    return [np.bincount(to, getattr(paid, name)[counted], len(history.challenges)) for name in _NAMES[2:]]


def _stages(history: History, side: Side) -> tuple[Array, Array]:
    """Which challenges failed an evaluation stage that they traded, and which passed all that they were sold with."""
    place = history.challenges.place
    funded_stage = np.array([stage in FUNDED for stage in history.stages])[history.stage]
    failed, reached = np.zeros((2, len(history.challenges)), bool)
    failed[place[~funded_stage & (side.status != STATUS_PASSED)]] = True
    reached[place[funded_stage]] = True
    if "whole" not in history.kept:
        history.kept["whole"] = np.array([not chain for chain in _untraded(history)])
    return failed, ~failed & (reached | history.kept["whole"])


def _chains(history: History, carried: Array) -> dict[tuple[str, ...], Array]:
    """Challenges that a draft carries on to stages nobody traded, by those stages."""
    untraded = _untraded(history)
    chains: dict[tuple[str, ...], Array] = {}
    for place in np.flatnonzero(carried).tolist():
        chains.setdefault(untraded[place], np.zeros(len(carried)))[place] = 1.0
    return chains


def _untraded(history: History) -> list[tuple[str, ...]]:
    """The evaluation stages of each challenge that follow the last one that it traded."""
    if "untraded" not in history.kept:
        traded: list[set[str]] = [set() for _ in range(len(history.challenges))]
        for place, stage in zip(history.challenges.place.tolist(), history.stage.tolist(), strict=True):
            traded[place].add(history.stages[stage])
        history.kept["untraded"] = [
            tuple(stage for stage in path if stage not in held) if not held & set(FUNDED) else ()
            for path, held in zip(history.challenges.path, traded, strict=True)
        ]
    untraded: list[tuple[str, ...]] = history.kept["untraded"]
    return untraded
