"""The walk once more, slowly: decimals, dictionaries, one event at a time, written from the published sentences alone.

It shares no line with `models.walk`: own clock, own money, own order. Tests hold the two against each other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from zoneinfo import ZoneInfo

Rules = dict[str, dict[str, Any]]
NONE = Decimal(0)


@dataclass(frozen=True)
class Deal:
    """One row of the `deals` feed, money as decimals in the account's currency."""

    deal_id: str
    at: datetime
    kind: str = "trade"
    profit: Decimal = NONE
    commission: Decimal = NONE
    swap: Decimal = NONE
    fee: Decimal = NONE
    entry: str | None = None
    side: str | None = None
    volume: Decimal | None = Decimal(1)
    position_id: str | None = None
    symbol: str | None = None
    comment: str | None = None


@dataclass(frozen=True)
class Observation:
    """One row of the `equity` feed."""

    at: datetime
    equity: Decimal


@dataclass(frozen=True)
class Account:
    """What the walk must know of an account before its first event."""

    initial: Decimal
    opened_at: datetime
    currency: str = "USD"
    closed_at: datetime | None = None
    stage: str = "evaluation_1"


@dataclass(frozen=True)
class FirmClock:
    """A product's clock: IANA zone, reset time of day, and calendar (fx, crypto or cme)."""

    zone: str = "UTC"
    reset: time = time(0)
    calendar: str = "crypto"


@dataclass(frozen=True)
class Verdict:
    """One verdict: rule, outcome, effect, instant, the number seen, the one allowed, and what that is counted from."""

    rule: str
    outcome: str
    effect: str
    at: datetime
    observed: Decimal
    allowed: Decimal
    reference: Decimal


@dataclass
class Day:
    """One firm day of an account, in money of its currency."""

    opened_at: datetime
    open_equity: Decimal
    high: Decimal
    low: Decimal
    close_equity: Decimal
    close_balance: Decimal
    profit: Decimal = NONE
    entries: int = 0
    moved: Decimal = NONE
    daily_floor: Decimal | None = None
    max_floor: Decimal | None = None
    touched: bool = False


@dataclass
class Told:
    """Everything the oracle says about an account."""

    status: str = "active"
    status_at: datetime | None = None
    verdicts: list[Verdict] = field(default_factory=list)
    days: dict[date, Day] = field(default_factory=dict)
    balance: Decimal = NONE
    equity: Decimal = NONE
    daily_floor: Decimal | None = None
    max_floor: Decimal | None = None
    target_progress: Decimal | None = None
    trading_days: int = 0
    profitable_days: int = 0
    observed: bool = False


MINOR = {"JPY": Decimal(1), "KWD": Decimal("0.001")}


def rounded(amount: Decimal, currency: str) -> Decimal:
    """An amount in whole minor units; a half goes away from zero."""
    unit = MINOR.get(currency, Decimal("0.01"))
    return (amount / unit).quantize(Decimal(1), rounding=ROUND_HALF_UP) * unit


# --- the clock -----------------------------------------------------------------------------------------------------


def reset_at(day: date, clock: FirmClock) -> datetime:
    """The instant of a local date's reset: after a gap its first instant, of a repeated hour the first."""
    zone = ZoneInfo(clock.zone)
    wall = datetime.combine(day, clock.reset)
    before = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if before.astimezone(zone).replace(tzinfo=None) == wall:
        return before
    low = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    high, old = before, low.astimezone(zone).utcoffset()
    while high - low > timedelta(seconds=1):
        middle = low + timedelta(seconds=int((high - low).total_seconds()) // 2)
        low, high = (middle, high) if middle.astimezone(zone).utcoffset() == old else (low, middle)
    return high


def resets(clock: FirmClock, start: datetime, end: datetime) -> Iterator[tuple[datetime, date]]:
    """Resets with the firm days that they open, from the last one not after `start` up to `end`."""
    kept: list[tuple[datetime, date]] = []
    day = start.date() - timedelta(days=6)
    while day <= end.date() + timedelta(days=2):
        opens = day + timedelta(days=1) if clock.reset >= time(12) else day
        if clock.calendar == "crypto" or opens.weekday() < 5:
            kept.append((reset_at(day, clock), opens))
        day += timedelta(days=1)
    first = max(index for index, (at, _) in enumerate(kept) if at <= start)
    yield from (reset for reset in kept[first:] if reset[0] <= end)


# --- the walk ------------------------------------------------------------------------------------------------------


def deal_order(deal: Deal) -> tuple[int, int, str]:
    """Deals of one instant stand by number where the id is digits, else by text."""
    return (0, int(deal.deal_id), "") if deal.deal_id.isascii() and deal.deal_id.isdigit() else (1, 0, deal.deal_id)


def held_after(key: tuple[str, str], held: Decimal, deal: Deal) -> Decimal:
    """Signed volume of a position, or of a symbol, after a deal; without volumes a position is open or not."""
    sign = -1 if deal.side == "sell" else 1
    closes = deal.entry in ("out", "out_by")
    if not deal.volume:
        return NONE if closes else held + sign if deal.entry else held
    if closes and (key[0] == "position" or deal.side is None):
        return max(abs(held) - deal.volume, NONE) * (1 if held > 0 else -1)
    return held if deal.side is None and deal.entry is None else held + sign * deal.volume


def opens(held: Decimal, now: Decimal, deal: Deal) -> bool:
    """Whether a deal that does not say so opens something; one without volume can only be taken to."""
    return not deal.volume or abs(now) > abs(held) or now * held < 0


class Walk:
    """An account's state, moved on by one event after the other."""

    def __init__(self, account: Account, rules: Rules, begins: datetime, day: date, day_began: datetime) -> None:
        self.account, self.rules = account, rules
        self.initial = rounded(account.initial, account.currency)
        self.balance = self.equity = self.reference = self.high_water = self.initial
        self.gain_reference = self.ratchet = self.initial
        self.credit = self.profit = NONE
        self.deposited = self.observed = self.paused = self.ended = self.resting = False
        self.spoken: set[str] = set()
        self.warned: set[str] = set()
        self.since = begins
        self.moved = False
        self.rebased_floor: Decimal | None = None
        self.open: dict[tuple[str, str], Decimal] = {}
        self.entry_days: set[date] = set()
        self.day_profit: dict[date, Decimal] = {}
        self.window_days: dict[date, Decimal] = {}
        self.made: dict[tuple[str, str], Decimal] = {}
        self.begun: dict[tuple[str, str], tuple[datetime, Decimal]] = {}
        self.cap_strikes = 0
        self.window_trades: dict[int, Decimal] = {}
        self.window_lots: list[Decimal] = []
        self.numbers: dict[tuple[str, str], int] = {}
        self.ideas: list[tuple[str, int, datetime, datetime | None]] = []
        self.early: dict[tuple[str, str], list[tuple[Deal, Decimal]]] = {}
        self.window_profit = NONE
        self.told = Told()
        self.begin_day(day, day_began)

    # what rules say

    def size(self, rule: dict[str, Any], base: Decimal) -> Decimal:
        """A rule's size in money, taken from a base where it is a percentage."""
        amount = rule["amount"] if "amount" in rule else rule["percent"] * base / 100
        return rounded(Decimal(amount), self.account.currency)

    def daily_floor(self) -> Decimal | None:
        """The floor of the firm day as it stands."""
        rule = self.rules.get("daily_loss")
        if rule is None:
            return None
        base = self.reference if rule.get("base") == "reference" else self.initial
        return self.reference - self.size(rule, base)

    def max_floor(self) -> Decimal | None:
        """The floor of the whole stage as it stands."""
        rule = self.rules.get("max_loss")
        if rule is None:
            return None
        if self.rebased_floor is not None:
            return self.rebased_floor
        base = self.high_water if rule.get("base") == "high_water" else self.initial
        floor = self.high_water - self.size(rule, base)
        if "lock_offset" in rule:
            floor = min(floor, self.initial + rounded(rule["lock_offset"], self.account.currency))
        if rule.get("lock_at_target"):
            floor = min(floor, self.initial + self.size(self.rules["profit_target"], self.initial))
        return floor

    # what happens

    def begin_day(self, day: date, at: datetime) -> None:
        """A firm day begins at its reset, with the equity of that moment."""
        self.day = day
        self.told.days[day] = Day(at, self.equity, self.equity, self.equity, self.equity, self.balance)

    def move_money(self, deal: Deal) -> None:
        """A balance operation or a credit."""
        amount = rounded(deal.profit, self.account.currency)
        amount += sum(rounded(part, self.account.currency) for part in (deal.commission, deal.swap, deal.fee))
        if deal.kind == "credit":
            self.credit += amount
            self.equity += amount
            return
        if amount == self.initial and not self.deposited:
            self.deposited = True
            return
        self.balance += amount
        self.equity += amount
        self.reference += amount
        self.gain_reference += amount
        self.ratchet += amount
        self.told.days[self.day].moved += amount
        if amount < 0 and "correction" not in (deal.comment or "").lower():
            self.pay_out()

    def pay_out(self) -> None:
        """What a payout does to the high water, the floor and the window of consistency."""
        rule = self.rules.get("max_loss", {})
        if rule.get("payout_rebase") == "to_balance" and rule.get("mode", "static") != "static":
            self.high_water = self.balance
        if rule.get("payout_rebase") == "floor_at":
            self.rebased_floor = self.initial + rounded(rule["rebase_offset"], self.account.currency)
        self.window_days.clear()
        self.window_trades.clear()
        self.window_lots.clear()
        self.window_profit = NONE

    def reset(self, at: datetime, day: date) -> None:
        """A reset: a new firm day, a new reference, and a pause is over."""
        self.begin_day(day, at)
        if self.paused:
            self.since = at
        self.paused = False
        self.spoken.clear()
        self.warned.discard("daily_loss")
        wanted = self.rules.get("daily_loss", {}).get("reference", "balance")
        both = max(self.balance, self.equity)
        self.ratchet = max(self.ratchet, both)
        self.reference = {"balance": self.balance, "max": both, "ratchet": self.ratchet}.get(wanted, self.equity)
        self.gain_reference = self.equity
        if self.rules.get("max_loss", {}).get("mode") == "trailing_eod":
            self.high_water = max(self.high_water, self.balance)

    def deal(self, deal: Deal) -> None:
        """A trade or a fee."""
        parts = (deal.profit, deal.commission, deal.swap, deal.fee)
        amount = sum((rounded(part, self.account.currency) for part in parts), NONE)
        key = ("position", deal.position_id) if deal.position_id else ("symbol", deal.symbol or "")
        self.balance += amount
        self.profit += amount
        self.window_profit += amount
        self.day_profit[self.day] = self.day_profit.get(self.day, NONE) + amount
        self.window_days[self.day] = self.window_days.get(self.day, NONE) + amount
        self.told.days[self.day].profit += amount
        if deal.kind == "trade" and key in self.early and key not in self.open and deal.entry in ("out", "out_by"):
            self.early[key].append((deal, amount))
        elif deal.kind == "trade":
            self.follow(key, deal, amount)
            if deal.entry == "in":
                for closing in self.early.pop(key, []):
                    self.follow(key, *closing)
        if (self.open or any(self.early.values())) and self.observed:
            return
        self.equity = self.balance + self.credit
        self.moved = True

    def follow(self, key: tuple[str, str], deal: Deal, amount: Decimal) -> None:
        """Which positions are open after a deal, and what one made that it closed."""
        held = self.open.pop(key, NONE)
        now = held_after(key, held, deal)
        self.note_unit(key, held, now, deal, amount)
        self.made[key] = self.made.get(key, NONE) + amount
        if now:
            self.open[key] = now
            since, most = self.begun.get(key, (deal.at, NONE))
            self.begun[key] = since, max(most, abs(now))
        else:
            self.note_closed(deal, self.begun.pop(key, None), self.made[key])
            self.made.pop(key)
        if deal.entry in ("in", "inout") or (deal.entry is None and opens(held, now, deal)):
            if self.day_counts == "opened":
                self.entry_days.add(self.day)
            self.told.days[self.day].entries += 1

    def note_unit(self, key: tuple[str, str], held: Decimal, now: Decimal, deal: Deal, amount: Decimal) -> None:
        """What the trade or idea that a deal belongs to has made since the last payout."""
        if not held:
            long = now > 0 or (now == 0 and (deal.side == "buy") == (deal.entry == "in"))
            line = f"{deal.symbol} {long}"
            self.numbers[key] = len(self.ideas)
            self.ideas.append((line, self.idea_before(line, deal.at), deal.at, None))
        number = self.numbers[key]
        line, idea, since, _ = self.ideas[number]
        self.ideas[number] = (line, idea, since, None if now else deal.at)
        self.window_trades[idea] = self.window_trades.get(idea, NONE) + amount

    def idea_before(self, line: str, at: datetime) -> int:
        """The idea that a position opened now continues, or a new one."""
        merge = self.rules.get("consistency", {}).get("merge_seconds")
        for other, idea, _, left in reversed(self.ideas):
            if merge is not None and other == line and (left is None or at - left <= timedelta(seconds=int(merge))):
                return idea
        return len(self.ideas)

    @property
    def day_counts(self) -> str:
        """What makes a firm day a trading day."""
        return str(self.rules.get("min_trading_days", {}).get("counts", "opened"))

    def note_closed(self, deal: Deal, begun: tuple[datetime, Decimal] | None, made: Decimal) -> None:
        """The lots of a position that closes, and whether it makes its day a trading day."""
        lots = begun[1] if begun else deal.volume or Decimal(1 if deal.entry in ("out", "out_by") else 0)
        self.window_lots.append(lots)
        rule = self.rules.get("min_trading_days", {})
        if self.day_counts == "opened_and_closed" and begun and begun[0] >= self.told.days[self.day].opened_at:
            self.entry_days.add(self.day)
        if self.day_counts == "qualifying":
            sized = "percent" in rule or "amount" in rule
            least = self.size(rule, self.initial) if sized else NONE
            if lots and lots >= rule.get("lots", 0) and abs(made) >= least:
                self.entry_days.add(self.day)

    def observe(self, observation: Observation) -> None:
        """An observation of equity."""
        self.observed = self.moved = True
        self.equity = rounded(observation.equity, self.account.currency)

    # what follows

    def note_highs(self, traded: bool) -> None:
        """The highest balance and equity, as they stand when an instant is over; moved money makes no high."""
        mode = self.rules.get("max_loss", {}).get("mode")
        if mode == "trailing_closed" and traded:
            self.high_water = max(self.high_water, self.balance)
        if mode == "trailing_equity" and self.moved:
            self.high_water = max(self.high_water, self.equity)
        if self.rules.get("daily_loss", {}).get("reference") == "intraday_high" and self.moved:
            self.reference = max(self.reference, self.equity)

    def note_day(self, happened: bool) -> None:
        """The firm day as it stands after an instant; a reset alone makes no day to tell of."""
        day = self.told.days[self.day]
        if not happened:
            return
        day.touched = True
        day.high, day.low = max(day.high, self.equity), min(day.low, self.equity)
        day.close_equity, day.close_balance = self.equity, self.balance
        day.daily_floor, day.max_floor = self.daily_floor(), self.max_floor()

    def broken(self, rule: str, floor: Decimal | None) -> bool:
        """Whether equity is below a floor, or at it where that is enough."""
        if floor is None or rule in self.spoken:
            return False
        at_it = self.rules[rule].get("compare") == "lte" and self.equity == floor
        return at_it or self.equity < floor

    def judge(self, at: datetime) -> None:
        """The account is judged: the floors in their order, of which one is named, then the target, then warnings."""
        daily, maximum = self.daily_floor(), self.max_floor()
        cap, gain = self.floating_cap(), self.gain_cap()
        if self.broken("max_loss", maximum):
            self.breach("max_loss", at, self.equity, maximum, self.top_of_max())
        elif not self.paused and self.broken("daily_loss", daily) and not self.softer_than_floating(cap):
            self.breach("daily_loss", at, self.equity, daily, self.reference)
        elif self.floats_below(cap):
            assert cap is not None
            self.breach("floating_loss", at, self.floating(), cap, self.balance + self.credit)
        elif gain is not None and "daily_gain" not in self.spoken and self.equity >= self.gain_reference + gain:
            self.breach("daily_gain", at, self.equity, self.gain_reference + gain, self.gain_reference)
        elif not self.paused and not self.resting and self.may_pass():
            self.end("passed", at)
            target = self.due_target()
            self.say("profit_target", "passed", "pass", at, self.target_profit(), target, self.initial)
        else:
            self.warn(at, daily, maximum)

    def floats_below(self, cap: Decimal | None) -> bool:
        """Whether the open loss is larger than it may be."""
        return cap is not None and bool(self.open) and "floating_loss" not in self.spoken and self.floating() > cap

    def softer_than_floating(self, cap: Decimal | None) -> bool:
        """Whether the open loss ends the account at an instant at which the daily loss would not."""
        if not self.floats_below(cap):
            return False
        open_loss = self.rules["floating_loss"]
        ends = (
            self.cap_strikes >= int(open_loss.get("strikes", 0)) and open_loss.get("effect", "terminate") == "terminate"
        )
        return ends and self.rules["daily_loss"].get("effect", "terminate") != "terminate"

    def top_of_max(self) -> Decimal:
        """What the maximum loss is counted from."""
        return self.initial if self.rules["max_loss"].get("mode", "static") == "static" else self.high_water

    def floating(self) -> Decimal:
        """The open loss."""
        return self.balance + self.credit - self.equity

    def floating_cap(self) -> Decimal | None:
        """The largest open loss."""
        rule = self.rules.get("floating_loss")
        if rule is None:
            return None
        if rule.get("base") == "profit":
            made = self.balance - self.day_profit.get(self.day, NONE) - self.initial
            least = Decimal(rule.get("at_least") or 0)
            return None if made <= 0 and least == 0 else max(self.size(rule, made), least)
        return self.size(rule, self.balance if rule.get("base") == "balance" else self.initial)

    def gain_cap(self) -> Decimal | None:
        """The gain at which the day ends."""
        rule = self.rules.get("daily_gain")
        return (
            None
            if rule is None
            else self.size(rule, self.gain_reference if rule.get("base") == "reference" else self.initial)
        )

    def breach(self, rule: str, at: datetime, observed: Decimal, allowed: Decimal | None, base: Decimal) -> None:
        """A floor was broken: the account ends or pauses, and the rule is silent until the reset."""
        effect = self.rules[rule].get("effect", "pause" if rule == "daily_gain" else "terminate")
        assert allowed is not None
        if rule == "floating_loss":
            self.cap_strikes += 1
            if self.cap_strikes <= self.rules[rule].get("strikes", 0):
                effect = self.rules[rule].get("strike_effect", "warn")
        self.say(rule, "breached", effect, at, observed, allowed, base)
        self.spoken.add(rule)
        if effect == "terminate":
            self.end("breached", at)
        elif effect == "pause":
            self.paused, self.since = True, at

    def warn(self, at: datetime, daily: Decimal | None, maximum: Decimal | None) -> None:
        """Warnings: of the daily floor once a day, of the other once."""
        for rule, floor in (("max_loss", maximum), ("daily_loss", daily)):
            share = self.rules.get(rule, {}).get("warn_at")
            silent = rule in self.spoken or rule in self.warned or (rule == "daily_loss" and self.paused)
            if not share or silent or floor is None:
                continue
            top = self.reference if rule == "daily_loss" else self.top_of_max()
            if top > floor and (top - self.equity) * 100 >= share * (top - floor):
                self.warned.add(rule)
                self.say(rule, "warned", "warn", at, self.equity, floor, top)

    def say(
        self, rule: str, outcome: str, effect: str, at: datetime, observed: Decimal, allowed: Decimal, base: Decimal
    ) -> None:
        """Adds a verdict."""
        self.told.verdicts.append(Verdict(rule, outcome, effect, at, observed, allowed, base))

    def end(self, status: str, at: datetime) -> None:
        """The stage is over."""
        self.ended = True
        self.told.status, self.told.status_at = status, at

    def target_profit(self) -> Decimal:
        """Profit that counts towards the target: without money that was moved, lent or given."""
        if self.rules.get("profit_target", {}).get("basis") == "equity":
            return self.profit + self.equity - self.balance - self.credit
        return self.profit

    def may_pass(self) -> bool:
        """Whether target and every other condition of the stage hold."""
        rule = self.rules.get("profit_target")
        if rule is None or self.target_profit() < self.due_target():
            return False
        if rule.get("require_flat", True) and self.open:
            return False
        binds = self.account.stage not in ("funded", "instant")
        return self.enough_days() and (self.consistent() if binds else True)

    def due_target(self) -> Decimal:
        """The target, raised where the best day or trade is a larger share of it than allowed."""
        target = self.size(self.rules["profit_target"], self.initial)
        rule = self.rules.get("consistency", {})
        if not rule.get("raise_target") or self.account.stage in ("funded", "instant"):
            return target
        units = list(self.window_trades.values()) if rule.get("unit") == "trade" else list(self.window_days.values())
        best = max(units, default=NONE)
        return max(target, rounded(best * 100 / Decimal(rule["share"]), self.account.currency))

    def enough_days(self) -> bool:
        """Whether trading days and profitable days suffice."""
        needed = self.rules.get("min_trading_days", {}).get("days", 0)
        profitable = self.rules.get("min_profitable_days", {}).get("days", 0)
        return bool(len(self.entry_days) >= needed and self.profitable_days() >= profitable)

    def profitable_days(self) -> int:
        """Firm days that made enough."""
        rule = self.rules.get("min_profitable_days")
        if rule is None:
            return 0
        since = self.day - timedelta(days=int(rule.get("within_days", 100_000)))
        return sum(made >= self.size(rule, self.initial) and day > since for day, made in self.day_profit.items())

    def consistent(self) -> bool:
        """Whether no day or trade has too large a share; nothing is too large of nothing."""
        rule = self.rules.get("consistency")
        if rule is None or rule.get("raise_target"):
            return True
        if rule.get("unit") == "lot":
            return max(self.window_lots, default=NONE) * 100 <= Decimal(rule["share"]) * sum(self.window_lots, NONE)
        units = list(self.window_trades.values()) if rule.get("unit") == "trade" else list(self.window_days.values())
        whole = sum((unit for unit in units if unit > 0), NONE) if rule.get("of") == "positive" else self.window_profit
        if rule.get("of") == "target":
            whole = self.size(self.rules["profit_target"], self.initial)
        share: Decimal = Decimal(rule["share"])
        return whole <= 0 or max(units, default=NONE) * 100 <= share * whole


def tell(
    account: Account,
    clock: FirmClock,
    rules: Rules,
    deals: list[Deal],
    observations: list[Observation],
    as_of: datetime,
    pauses: tuple[datetime, ...] = (),
) -> Told:
    """Walks one account up to `as_of` and tells status, figures, verdicts and firm days; other rules may pause it."""
    until = min(as_of, account.closed_at) if account.closed_at else as_of
    deals = [deal for deal in deals if deal.at <= until]
    observations = [one for one in observations if one.at <= until]
    pauses = tuple(at for at in pauses if at <= until)
    begins = min([account.opened_at, *(deal.at for deal in deals), *(one.at for one in observations)])
    (began, first_day), *later = resets(clock, begins, until) if until >= begins else resets(clock, begins, begins)
    walk = Walk(account, rules, begins, first_day, began)
    days = dict(later)
    instants = sorted({deal.at for deal in deals} | {one.at for one in observations} | set(days) | set(pauses))
    for at in instants:
        walk.resting = at in pauses
        step(walk, at, [deal for deal in deals if deal.at == at], [o for o in observations if o.at == at], days.get(at))
        if walk.ended:
            break
    return finish(walk, account, as_of)


def step(walk: Walk, at: datetime, deals: list[Deal], seen: list[Observation], day: date | None) -> None:
    """Everything of one instant, in order, then one judgement."""
    deals = sorted(deals, key=deal_order)
    operations = [deal for deal in deals if deal.kind in ("balance", "credit")]
    trades = [deal for deal in deals if deal.kind in ("trade", "fee")]
    walk.moved = False
    opened_here = {("position", d.position_id) for d in trades if d.entry == "in" and d.position_id}
    walk.early = {key: [] for key in opened_here}
    for operation in operations:
        walk.move_money(operation)
    if day is not None:
        walk.note_day(bool(operations))
        walk.reset(at, day)
    for deal in trades:
        walk.deal(deal)
    for observation in seen:
        walk.observe(observation)
    walk.note_highs(bool(trades))
    walk.note_day(bool(trades or seen or (operations and day is None)))
    if operations or day is not None or walk.moved:
        walk.judge(at)
    if walk.resting and not walk.ended and not walk.paused:
        walk.paused, walk.since = True, at


def finish(walk: Walk, account: Account, as_of: datetime) -> Told:
    """The figures as the walk left them."""
    told = walk.told
    if not walk.ended and account.closed_at and account.closed_at <= as_of:
        walk.end("closed", account.closed_at)
    elif not walk.ended:
        told.status, told.status_at = "paused" if walk.paused else "active", walk.since
    told.balance, told.equity, told.observed = walk.balance, walk.equity, walk.observed
    told.daily_floor, told.max_floor = walk.daily_floor(), walk.max_floor()
    told.trading_days, told.profitable_days = len(walk.entry_days), walk.profitable_days()
    if "profit_target" in walk.rules:
        told.target_progress = walk.target_profit() / walk.due_target()
    return told
