"""From a purchase to a payout: a trader's seat, its challenges and the accounts they lead through."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import numpy as np

from pipelines.demo.abuse import Copying, follow
from pipelines.demo.engine import ACTIVE, PASSED, Engine, Life, new_state
from pipelines.demo.market import CURRENCIES, DAY_MS, HOUR_MS, MINUTE_MS, Market, daily_resets
from pipelines.demo.people import Hands, Person
from pipelines.demo.styles import Style, blank
from pipelines.demo.terms import Version, read_products, stage_terms, version_at

Array = np.ndarray[Any, Any]
DECIMALS = {"JPY": 0}
YEN = 150
FEES = {10_000: 99, 25_000: 199, 50_000: 299, 100_000: 499, 200_000: 949}
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

    challenge_id: str
    seat: Seat
    purchased_ms: int
    fee: float
    instrument: str
    reset_of: str
    version: Version
    breached_ms: int = 0


@dataclass(eq=False)
class Account:
    """One account of a challenge's stage and the life it led."""

    serial: int
    challenge: Challenge
    stage: str
    initial: float
    opened_ms: int
    closed_ms: int
    life: Life
    plan: Array
    is_idle: bool

    @property
    def account_id(self) -> str:
        """The account's id."""
        return f"A{self.serial:07d}"

    @property
    def outcome(self) -> int:
        """How it ended: active, passed, or breached under one of the two floors."""
        return int(self.life.state["outcome"])

    @property
    def is_evaluation(self) -> bool:
        """Whether the stage is one of the evaluation."""
        return self.stage.startswith("evaluation")


class Firm:
    """Sells challenges and runs the accounts; hands out the numbers of both."""

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

    def _sell(self, seat: Seat, at_ms: int, reset_of: Challenge | None) -> Challenge:
        """A purchase under the terms in force at its instant."""
        self.challenges += 1
        moment = self.market.start + timedelta(milliseconds=at_ms)
        version = version_at(self.products[seat.product], moment)
        fee = round(FEES[seat.size] * FEE_FACTORS[seat.product] * (0.85 if reset_of else 1.0))
        challenge = Challenge(
            challenge_id=f"C{self.challenges:07d}",
            seat=seat,
            purchased_ms=at_ms,
            fee=fee * (YEN if seat.currency == "JPY" else 1),
            instrument=str(self.rng.choice(seat.person.instruments)),
            reset_of=reset_of.challenge_id if reset_of else "",
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
        """One account from opening to its end."""
        self.accounts += 1
        seat, version = challenge.seat, challenge.version
        decimals = DECIMALS.get(seat.currency, 2)
        initial = float(seat.size * (YEN if seat.currency == "JPY" else 1))
        terms = stage_terms(version.stages[stage], initial, decimals)
        state = new_state(initial, decimals, CURRENCIES.index(seat.currency))
        self._temper(state[0], seat, stage, terms)
        plan = _slice(seat.plan if stage.startswith("evaluation") else seat.funded_plan, opened_ms, seat.stops_ms)
        life = self._live(state, terms, plan, version, opened_ms)
        if seat.after_payout is not None and (life.requests["paid_ms"] > 0).any():
            paid_ms = int(life.requests["paid_ms"].max())
            plan = np.concatenate([plan[plan["open_ms"] < paid_ms], _slice(seat.after_payout, paid_ms, seat.stops_ms)])
            again = new_state(initial, decimals, CURRENCIES.index(seat.currency))
            self._temper(again[0], seat, stage, terms)
            again[0]["asks_until"] = paid_ms
            life = self._live(again, terms, plan, version, opened_ms, self._reviews_again)
        closed_ms, is_idle = self._closing(life, opened_ms)
        if life.state["outcome"] > PASSED:
            challenge.breached_ms = int(life.state["ended_ms"])
        return Account(self.accounts, challenge, stage, initial, opened_ms, closed_ms, life, plan, is_idle)

    def _temper(self, state: Any, seat: Seat, stage: str, terms: Array) -> None:
        """How the owner of this account sizes, doubles and withdraws."""
        state["loss_multiplier"] = seat.style.loss_multiplier
        state["observe_ms"] = (5 + (self.accounts * 7) % 11) * MINUTE_MS
        state["appetite"], state["patient"] = seat.appetite, seat.patient
        state["withdraws"] = 1.0 if terms[0]["max_mode"] == 1 else 0.6
        if not stage.startswith("evaluation"):
            state["risk_scale"] = seat.style.funded_risk
            state["next_request_ms"] = 0

    def _live(
        self, state: Array, terms: Array, plan: Array, version: Version, opened_ms: int, reviews: Array | None = None
    ) -> Life:
        """Runs the engine under the version's clock, with the reviewers' decisions drawn beforehand."""
        if reviews is None:
            delay = np.clip(self.rng.lognormal(0.2, 0.7, 32), 0.1, 6.0) * DAY_MS
            reviews = np.column_stack([delay, self.rng.random(32) < 0.05]).astype(np.int64)
            self._reviews_again = reviews
        clock = version.clock
        key = (clock["zone"], clock["reset"], clock["calendar"])
        if key not in self._resets:
            self._resets[key] = daily_resets(self.market.start, self.market.end_ms, *key)
        return self.engine.run(state, terms, plan, self._resets[key], reviews, opened_ms, self.market.end_ms)

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
