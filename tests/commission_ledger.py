"""A running commission ledger in plain Python: one event at a time, dictionaries and fractions."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from dataclasses import dataclass, field
from fractions import Fraction
from math import floor

from models.commissions import Plans, PlanVersion


def half_up(value: Fraction) -> int:
    """The nearest whole number, a half away from zero."""
    size = floor(abs(value) + Fraction(1, 2))
    return size if value >= 0 else -size


Part = tuple[Fraction, Fraction]


def cut(value: int, part: Part) -> int:
    """What lies between two points of an amount, each rounded, so that neighbours add up."""
    return half_up(value * part[1]) - half_up(value * part[0])


@dataclass
class Happening:
    """One event of one currency with two decimals; amounts in cents."""

    event_id: str
    kind: str
    challenge_id: str
    trader_id: str
    at: dt.datetime
    cents: int


@dataclass
class Line:
    """One posting."""

    partner: str
    challenge: str
    event: str
    level: int
    cents: int
    direct: str
    at: dt.datetime
    taken: int = 0
    reversible: bool = True
    of: Line | None = None


@dataclass
class Sale:
    """What the ledger knows of a challenge."""

    fee: int
    at: dt.datetime
    nth: int
    months: int
    returned: int = 0
    return_kind: str = "refund"


@dataclass
class Ledger:
    """Balances that grow event by event; `lines` are the postings so far."""

    plans: Plans
    plan_of: dict[str, str]
    parent_of: dict[str, str]
    credits: dict[str, list[tuple[str, Fraction]]]
    lines: list[Line] = field(default_factory=list)
    now: dt.datetime = dt.datetime.min
    sales: dict[str, Sale] = field(default_factory=dict)
    bought: dict[str, list[dt.datetime]] = field(default_factory=lambda: defaultdict(list))
    counted: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    rated: dict[tuple[str, str], list[tuple[Line, int]]] = field(default_factory=lambda: defaultdict(list))
    lifted: dict[int, int] = field(default_factory=lambda: defaultdict(int))

    def plan(self, partner: str, challenge: str) -> PlanVersion | None:
        """The version of a partner's plan that the sale is bound to."""
        plan = self.plans.known.get(self.plan_of[partner])
        return plan.at(self.sales[challenge].at) if plan else None

    def add(self, one: Happening) -> None:
        """Posts one event."""
        self.now = one.at
        if one.kind == "purchase":
            earlier = self.bought[one.trader_id]
            if one.cents > 0:
                earlier.append(one.at)
            since = months(earlier[0], one.at) if earlier else 0
            self.sales[one.challenge_id] = Sale(one.cents, one.at, len(earlier), since)
        if one.kind in ("refund", "chargeback"):
            self.give_back(one)
            return
        upto = Fraction(0)
        for partner, share in sorted(self.credits.get(one.challenge_id, [])):
            self.credit(one, partner, (upto, upto + share))
            upto += share

    def credit(self, one: Happening, partner: str, share: Part) -> None:
        """What one event earns one partner."""
        sale, version = self.sales[one.challenge_id], self.plan(partner, one.challenge_id)
        if one.kind != "profit_share" and sale.fee <= 0:
            return
        basis = one.cents if one.kind in ("purchase", "profit_share") else sale.fee
        if version is None:
            self.chain(one.challenge_id, partner, one.kind, 0, share, sale.fee if one.kind == "purchase" else 0)
            return
        tiers = version.tiers
        month = "ever" if tiers and tiers.period == "lifetime" else f"{one.at:%Y-%m}"
        measure = tiers and (tiers.by, version.currency if tiers.by == "fees" else None)
        period = (partner, f"{month} by {measure}")
        before, volume = self.counted[period], 0
        if tiers and one.kind == "purchase":
            volume = {"sales": 1, "fees": cut(basis, share), "funded": 0}[tiers.by]
        if tiers and one.kind == "funded" and tiers.by == "funded":
            volume = 1
        self.counted[period] += volume
        self.clause(one, partner, share, one.kind, version, period, (before, volume), basis)
        if one.kind == "purchase" and (version.fee_share_months == 0 or sale.months < version.fee_share_months):
            self.clause(one, partner, share, "fee_share", version, period, (before, volume), basis)
        if tiers and tiers.mode == "retroactive":
            self.lift(version, period, before, before + volume)

    def clause(
        self,
        one: Happening,
        partner: str,
        share: Part,
        what: str,
        version: PlanVersion,
        period: tuple[str, str],
        volume: tuple[int, int],
        basis: int,
    ) -> None:
        """One clause of a plan on one event."""
        rate, tiers = version.rates.get(what), version.tiers
        cents = 0
        if rate and rate.amount is not None:
            cents = half_up(Fraction(rate.amount) * 100)
        elif tiers and what == "purchase" and tiers.by == "fees" and tiers.mode == "marginal" and volume[1]:
            cents = self.marginal(version, volume, basis)
        elif tiers and what == "purchase":
            cents = half_up(basis * step(version, sum(volume)) / 100)
        elif rate and rate.percent is not None:
            cents = half_up(basis * Fraction(rate.percent) / 100)
        if what == "purchase" and self.sales[one.challenge_id].nth > 1:
            cents = half_up(cents * Fraction(version.repeat_percent) / 100)
            basis = half_up(basis * Fraction(version.repeat_percent) / 100)
        cents = cut(cents, share)
        fee = one.cents if what == "purchase" else 0
        line = self.chain(one.challenge_id, partner, what, cents, share, fee)
        if line and tiers and what == "purchase":
            self.rated[period].append((line, cut(basis, share)))

    def marginal(self, version: PlanVersion, volume: tuple[int, int], basis: int) -> int:
        """The fee's parts below and above each step, each at its own rate."""
        assert version.tiers
        starts = [half_up(Fraction(since) * 100) for since, _ in version.tiers.steps]
        total, used = Fraction(0), 0
        for place, (_, percent) in enumerate(version.tiers.steps):
            top = starts[place + 1] if place + 1 < len(starts) else sum(volume)
            inside = min(max(top - volume[0], 0), volume[1])
            reached = half_up(Fraction(basis * inside, volume[1]))
            total += (reached - used) * Fraction(percent) / 100
            used = reached
        return half_up(total)

    def lift(self, version: PlanVersion, period: tuple[str, str], before: int, after: int) -> None:
        """A tier reached pays for the earlier sales of the period too."""
        if step(version, before) == step(version, after):
            return
        for line, basis in reversed(self.rated[period]):
            due = half_up(basis * step(version, after) / 100)
            bonus = due - line.cents - self.lifted[id(line)]
            if bonus > 0:
                self.lifted[id(line)] += bonus
                self.chain(line.challenge, line.partner, "tier_bonus", bonus, (Fraction(0), Fraction(1)), 0)

    def chain(self, challenge: str, partner: str, what: str, cents: int, share: Part, fee: int) -> Line | None:
        """Posts to a partner and, level by level, to those above."""
        line = self.post(challenge, partner, what, 1, cents, partner) if cents else None
        above, seen, level = self.parent_of.get(partner), {partner}, 2
        while above and above not in seen:
            version = self.plan(above, challenge)
            if version and level - 2 < len(version.override_percents):
                part = Fraction(version.override_percents[level - 2]) / 100
                of_fee = version.override_of == "fee"
                override = cut(half_up(fee * part), share) if of_fee else half_up(cents * part)
                if override:
                    self.post(challenge, above, what, level, override, partner)
            seen.add(above)
            above, level = self.parent_of.get(above), level + 1
        return line

    def post(self, challenge: str, partner: str, what: str, level: int, cents: int, direct: str) -> Line:
        """Appends a line; what has been returned already is taken back at once."""
        version = self.plan(direct, challenge)
        named = "purchase" if what == "tier_bonus" else what
        taken_back = bool(version and named in version.taken_back)
        line = Line(partner, challenge, what, level, cents, direct, self.now, 0, taken_back)
        self.lines.append(line)
        self.take_back(line)
        return line

    def give_back(self, one: Happening) -> None:
        """A refund or chargeback, never counted beyond the fee."""
        sale = self.sales[one.challenge_id]
        part = min(one.cents, sale.fee - sale.returned)
        if part > 0:
            sale.returned += part
            sale.return_kind = one.kind
            for line in [held for held in reversed(self.lines) if held.challenge == one.challenge_id]:
                self.take_back(line)

    def take_back(self, line: Line) -> None:
        """Reverses a line in the proportion returned."""
        sale = self.sales[line.challenge]
        if not line.reversible or sale.returned == 0:
            return
        due = half_up(Fraction(line.cents * sale.returned, sale.fee)) - line.taken
        if due:
            line.taken += due
            told = (line.partner, line.challenge, sale.return_kind, line.level, -due, line.direct)
            self.lines.append(Line(*told, self.now, 0, False, line))


def step(version: PlanVersion, done: int) -> Fraction:
    """The percent of the highest step reached."""
    assert version.tiers
    scale = 100 if version.tiers.by == "fees" else 1
    reached = [percent for since, percent in version.tiers.steps if done >= half_up(Fraction(since) * scale)]
    return Fraction(reached[-1])


def months(first: dt.datetime, then: dt.datetime) -> int:
    """Whole calendar months between."""
    whole = (then.year - first.year) * 12 + then.month - first.month
    return whole - ((then.day, then.time()) < (first.day, first.time()))


@dataclass
class Owed:
    """What one line stands at while transfers come: what returns left of it, whether it is paid or owed back."""

    line: Line
    due: dt.datetime
    accrues_until: dt.datetime
    left: int
    paid: bool = False
    owed_back: bool = False


def states(ledger: Ledger, transfers: list[tuple[str, dt.datetime, int]], as_of: dt.datetime) -> list[tuple[Line, str]]:
    """The state of every line, instant by instant: a transfer, a commission that falls due, a return.

    Debts go in the order in which they came; of one instant, returns before commissions below zero, and of those the
    return of the newest commission first.

    transfers: partner, instant, cents.
    """
    owed = {id(line): _owed(ledger, line) for line in ledger.lines}
    written = [_owed(ledger, line) for line in write_offs(ledger, transfers, as_of)]
    told: list[tuple[Line, str]] = []
    for partner in ledger.plan_of:
        mine = [one for one in owed.values() if one.line.partner == partner]
        mine += [one for one in written if one.line.partner == partner]
        _pay(mine, owed, [(at, cents) for to, at, cents in transfers if to == partner and at <= as_of], as_of)
        told += [(one.line, _state(one, owed, as_of)) for one in mine]
    return told


def _owed(ledger: Ledger, line: Line) -> Owed:
    if line.event == "write_off":
        return Owed(line, line.at, line.at, line.cents)
    version = ledger.plan(line.direct, line.challenge)
    bought = ledger.sales[line.challenge].at
    refund, chargeback = (version.refund_days, version.chargeback_days) if version else (0, 0)
    released = bought + dt.timedelta(days=max(refund, chargeback))
    return Owed(line, max(line.at, released), bought + dt.timedelta(days=refund), line.cents)


def _pay(mine: list[Owed], owed: dict[int, Owed], sent: list[tuple[dt.datetime, int]], as_of: dt.datetime) -> None:
    """Lets transfers, returns and due dates happen one after the other."""
    returns = [one for one in mine if one.line.of is not None]
    earned = [one for one in mine if one.line.of is None and one.line.cents > 0]
    below_zero = [one for one in mine if one.line.of is None and one.line.cents < 0]
    instants = {at for at, _ in sent} | {one.line.at for one in returns} | {one.due for one in earned}
    funds = 0
    for now in sorted(at for at in instants if at <= as_of):
        for one in (back for back in returns if back.line.at == now):
            source = owed[id(one.line.of)]
            one.owed_back = source.paid
            if not source.paid:
                source.left += one.line.cents
        arrived = [cents for at, cents in sent if at == now]
        funds += sum(arrived)
        debts = [one for one in returns if one.owed_back] + [one for one in below_zero if one.due <= now]
        debts = [one for one in debts if not one.paid] if arrived else []
        debts.sort(key=lambda one: one.due if one.line.of is None else one.line.at)
        for one in sorted(earned, key=lambda one: one.due):
            if one.due > now or one.paid or one.left == 0:
                continue
            if one.left > funds - sum(debt.line.cents for debt in debts):
                continue
            while one.left > funds:
                debt = debts.pop(0)
                debt.paid, funds = True, funds - debt.line.cents
            one.paid, funds = True, funds - one.left


def _state(one: Owed, owed: dict[int, Owed], as_of: dt.datetime) -> str:
    if one.line.of is not None and not one.owed_back:
        return _state(owed[id(one.line.of)], owed, as_of)
    if one.paid:
        return "paid"
    if one.line.of is not None:
        return "payable"
    if one.left == 0:
        return "reversed"
    return "accrued" if one.accrues_until > as_of else "held" if one.due > as_of else "payable"


def write_offs(ledger: Ledger, transfers: list[tuple[str, dt.datetime, int]], as_of: dt.datetime) -> list[Line]:
    """What closed months' returns and losses left below zero, for partners whose plan carries nothing over."""
    found = []
    for partner in ledger.plan_of:
        lines = [(line, _owed(ledger, line)) for line in ledger.lines if line.partner == partner]
        mine = [(line, one.due) for line, one in lines if _forgives(ledger, line) and one.due <= as_of]
        sent = [(at, cents) for to, at, cents in transfers if to == partner and at <= as_of]
        balance = 0
        for month in sorted({f"{at:%Y-%m}" for _, at in mine} | {f"{at:%Y-%m}" for at, _ in sent}):
            within = [line for line, at in mine if f"{at:%Y-%m}" == month]
            balance += sum(line.cents for line in within)
            balance -= sum(cents for at, cents in sent if f"{at:%Y-%m}" == month)
            lifted = min(-balance, -sum(line.cents for line in within if _lowers(ledger, line)))
            if lifted > 0 and month < f"{as_of:%Y-%m}":
                balance += lifted
                end = dt.datetime.fromisoformat(f"{month}-01T00:00:00+00:00") + dt.timedelta(days=32)
                end = end.replace(day=1) - dt.timedelta(microseconds=1)
                found.append(Line(partner, "", "write_off", 1, lifted, partner, end))
    return found


def _lowers(ledger: Ledger, line: Line) -> bool:
    """A loss, or what was taken back of a commission that had fallen due."""
    return line.cents < 0 if line.of is None else line.at > _owed(ledger, line.of).due


def _forgives(ledger: Ledger, line: Line) -> bool:
    version = ledger.plan(line.partner, line.challenge)
    return version is not None and not version.negative_carry
