"""From a purchase to a payout: a trader's seat, its challenges and the accounts they lead through."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import numpy as np

from pipelines.demo.abuse import Copying, follow
from pipelines.demo.engine import ACTIVE, NEVER, PASSED, Engine, Life, new_state
from pipelines.demo.market import CURRENCIES, DAY_MS, HOUR_MS, MINUTE_MS, Market, daily_resets
from pipelines.demo.people import Hands, Person
from pipelines.demo.styles import Style, blank
from pipelines.demo.terms import MODES, Version, read_products, stage_terms, version_at

Array = np.ndarray[Any, Any]
DECIMALS = {"JPY": 0}
YEN = 150
FEES = {10_000: 139, 25_000: 239, 50_000: 329, 100_000: 539, 200_000: 1_040}
FEE_FACTORS = {"two_step": 1.0, "one_step": 1.1, "instant": 4.0, "futures_50k": 0.5}
PLATFORMS = ("mt5", "mt4", "ctrader", "matchtrader", "tradelocker", "dxtrade")
PLATFORM_WEIGHTS = (0.38, 0.2, 0.16, 0.12, 0.09, 0.05)
INACTIVE_AFTER_MS = 30 * DAY_MS


@dataclass(eq=False)
class Seat:
    """One stream of accounts that a trader buys and trades, one after the other."""

    person: Person
    product: str
    size: int
    currency: str
    platform: str
    style: Style
    plan: Array
    funded_plan: Array
    starts_ms: int
    stops_ms: int
    rebuys: float
    wait_days: float
    most_buys: int
    appetite: float
    patient: bool
    hands: tuple[Hands, ...]
    funded_hands: tuple[Hands, ...]
    away: tuple[int, int, Hands] | None = None
    partner_id: str = ""
    leader: "Seat | None" = None
    copying: Copying | None = None
    own_trades: bool = True
    after_payout: Array | None = None
    role: str = ""
    challenges: list["Challenge"] = field(default_factory=list)
    accounts: list["Account"] = field(default_factory=list)


@dataclass(eq=False)
class Challenge:
    """One purchase."""

    seat: Seat
    purchased_ms: int
    fee: float
    instrument: str
    reset_of: "Challenge | None"
    version: Version
    breached_ms: int = 0
    number: int = 0

    @property
    def challenge_id(self) -> str:
        """The challenge's id."""
        return f"C{self.number:07d}"


@dataclass(eq=False)
class Account:
    """One account of a challenge's stage and the life it led."""

    challenge: Challenge
    stage: str
    initial: float
    opened_ms: int
    closed_ms: int
    life: Life
    plan: Array
    is_idle: bool
    number: int = 0

    @property
    def account_id(self) -> str:
        """The account's id."""
        return f"A{self.number:07d}"

    @property
    def outcome(self) -> int:
        """How it ended: active, passed, or breached under one of the two floors."""
        return int(self.life.state["outcome"])

    @property
    def is_evaluation(self) -> bool:
        """Whether the stage is one of the evaluation."""
        return self.stage.startswith("evaluation")


class Firm:
    """Sells challenges, runs the accounts and numbers both."""

    def __init__(self, market: Market, rng: np.random.Generator) -> None:
        self.market = market
        self.rng = rng
        self.engine = Engine(market)
        self.products = read_products()
        self.challenges = 0
        self.accounts = 0
        self._resets: dict[tuple[str, str, str], Array] = {}

    def run(self, seat: Seat) -> None:
        """The seat's purchases in turn, until the trader gives up or the history ends."""
        if seat.leader is not None and seat.copying is not None:
            _learn_from_leader(seat, self.market, self.rng)
        at, previous = seat.starts_ms, None
        for _ in range(seat.most_buys):
            if at >= min(seat.stops_ms, self.market.end_ms - 6 * HOUR_MS):
                return
            challenge = self._sell(seat, at, previous)
            last = self._run_challenge(challenge)
            if last.outcome in (ACTIVE, PASSED) or self.rng.random() > seat.rebuys:
                return
            gap = int(self.rng.exponential(seat.wait_days) * DAY_MS) + 20 * MINUTE_MS
            at = int(last.life.state["ended_ms"]) + gap
            previous = challenge if gap < 3 * DAY_MS and self.rng.random() < 0.6 else None

    def number(self, seats: list[Seat]) -> None:
        """Gives a batch's challenges and accounts their numbers, in the order in which they came about."""
        challenges = [one for seat in seats for one in seat.challenges]
        for challenge in sorted(challenges, key=lambda one: one.purchased_ms):
            self.challenges += 1
            challenge.number = self.challenges
        accounts = [one for seat in seats for one in seat.accounts]
        for account in sorted(accounts, key=lambda one: one.opened_ms):
            self.accounts += 1
            account.number = self.accounts

    def _sell(self, seat: Seat, at_ms: int, reset_of: Challenge | None) -> Challenge:
        """A purchase under the terms in force at its instant."""
        moment = self.market.start + timedelta(milliseconds=at_ms)
        version = version_at(self.products[seat.product], moment)
        fee = round(FEES[seat.size] * FEE_FACTORS[seat.product] * (0.85 if reset_of else 1.0))
        challenge = Challenge(
            seat=seat,
            purchased_ms=at_ms,
            fee=fee * (YEN if seat.currency == "JPY" else 1),
            instrument=str(self.rng.choice(seat.person.instruments)),
            reset_of=reset_of,
            version=version,
        )
        seat.challenges.append(challenge)
        return challenge

    def _run_challenge(self, challenge: Challenge) -> Account:
        """The challenge's stages in turn; the last account opened."""
        stage = challenge.version.first_stage()
        opens = challenge.purchased_ms + int(self.rng.uniform(2, 30) * MINUTE_MS)
        while True:
            account = self._run_account(challenge, stage, opens)
            challenge.seat.accounts.append(account)
            following = challenge.version.stages[stage].get("next_stage")
            opens = account.closed_ms + int(self.rng.uniform(1, 30) * HOUR_MS)
            if account.outcome != PASSED or not following or opens >= self.market.end_ms - HOUR_MS:
                return account
            stage = following

    def _run_account(self, challenge: Challenge, stage: str, opened_ms: int) -> Account:
        """One account from opening to its end; some burn it once they have been paid."""
        seat, reviews = challenge.seat, self._reviews()
        plan = _slice(seat.plan if stage.startswith("evaluation") else seat.funded_plan, opened_ms, seat.stops_ms)
        life = self._live(challenge, stage, plan, opened_ms, reviews, NEVER)
        paid = life.requests["paid_ms"][life.requests["paid_ms"] > 0]
        if seat.after_payout is not None and len(paid):
            burnt = _slice(seat.after_payout, int(paid[0]), seat.stops_ms)
            plan = np.concatenate([plan[plan["open_ms"] < paid[0]], burnt])
            life = self._live(challenge, stage, plan, opened_ms, reviews, int(paid[0]))
        closed_ms, is_idle = self._closing(life, opened_ms)
        if life.state["outcome"] > PASSED:
            challenge.breached_ms = int(life.state["ended_ms"])
        return Account(challenge, stage, float(life.state["initial"]), opened_ms, closed_ms, life, plan, is_idle)

    def _reviews(self) -> Array:
        """How long the firm takes over each payout request of an account (ms), and whether it refuses."""
        delay = np.clip(self.rng.lognormal(0.2, 0.7, 32), 0.1, 6.0) * DAY_MS
        return np.column_stack([delay, self.rng.random(32) < 0.05]).astype(np.int64)

    def _live(
        self, challenge: Challenge, stage: str, plan: Array, opened_ms: int, reviews: Array, asks_until: int
    ) -> Life:
        """Runs the engine under the challenge's terms and clock; no payout is asked for from `asks_until` on."""
        seat, version = challenge.seat, challenge.version
        decimals = DECIMALS.get(seat.currency, 2)
        initial = float(seat.size * (YEN if seat.currency == "JPY" else 1))
        terms = stage_terms(version.stages[stage], initial, decimals)
        state = new_state(initial, decimals, CURRENCIES.index(seat.currency))
        one = state[0]
        one["loss_multiplier"], one["appetite"], one["patient"] = (
            seat.style.loss_multiplier,
            seat.appetite,
            seat.patient,
        )
        one["observe_ms"], one["asks_until"] = (5 + opened_ms % 11) * MINUTE_MS, asks_until
        one["withdraws"] = 1.0 if terms[0]["max_mode"] == MODES["static"] else 0.6
        one["risk_scale"] = 1.0 if stage.startswith("evaluation") else seat.style.funded_risk
        resets = self._resets_of(version.clock)
        return self.engine.run(state, terms, plan, resets, reviews, opened_ms, self.market.end_ms)

    def _resets_of(self, clock: dict[str, str]) -> Array:
        """The reset instants of a clock, worked out once."""
        key = (clock["zone"], clock["reset"], clock["calendar"])
        if key not in self._resets:
            self._resets[key] = daily_resets(self.market.start, self.market.end_ms, *key)
        return self._resets[key]

    def _closing(self, life: Life, opened_ms: int) -> tuple[int, bool]:
        """When the firm closed the account, or 0, and whether it lay idle for a month."""
        state = life.state
        if state["outcome"] == PASSED:
            return int(state["ended_ms"]) + 90_000, False
        if state["outcome"] > PASSED:
            return int(state["ended_ms"]) + 5_000, False
        quiet_from = max(opened_ms, int(state["last_trade_ms"]), int(life.requests["paid_ms"].max(initial=0)))
        expires = quiet_from + INACTIVE_AFTER_MS
        idle = state["n_open"] == 0 and state["pending"] == 0 and expires < self.market.end_ms
        return (expires if idle and self.rng.random() < 0.85 else 0), bool(idle)


def _slice(plan: Array, from_ms: int, to_ms: int) -> Array:
    """The entries planned within an account's time."""
    first, last = np.searchsorted(plan["open_ms"], (from_ms + MINUTE_MS, to_ms))
    return plan[first:last]


def _learn_from_leader(seat: Seat, market: Market, rng: np.random.Generator) -> None:
    """The follower's entries are drawn from what the leader really traded, with own trades beside where it has any."""
    assert seat.leader is not None and seat.copying is not None
    copied = follow(all_trips(seat.leader), seat.copying, market, rng)
    own = seat.plan if seat.own_trades else blank(0)
    seat.plan = seat.funded_plan = np.sort(np.concatenate([copied, own]), order="open_ms", kind="stable")


def all_trips(seat: Seat) -> Array:
    """Every round trip of the seat's accounts, in the order of the accounts."""
    return np.concatenate([account.life.trips for account in seat.accounts])
