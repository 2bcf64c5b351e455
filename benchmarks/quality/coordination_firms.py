"""Made-up firms with known copying, each with mechanics of its own; shares nothing with the demo firm."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]
DAY = 86_400.0
START = pd.Timestamp("2026-01-05", tz="UTC")
NAMES = [
    "XAUUSD",
    "EURUSD",
    "NAS100",
    "GBPUSD",
    "USDJPY",
    "BTCUSD",
    "US30",
    "GER40",
    "GBPJPY",
    "AUDUSD",
    "XAGUSD",
    "USOIL",
]


@dataclass
class Truth:
    """What was planted: directed pairs, groups that share a strategy, and rings."""

    pairs: list[dict[str, Any]] = field(default_factory=list)
    shared: list[dict[str, Any]] = field(default_factory=list)
    rings: list[set[str]] = field(default_factory=list)


@dataclass
class Firm:
    """Trades of a firm, who owns its accounts, its news calendar, the truth about it, and each account's clock."""

    trades: pd.DataFrame
    owners: dict[str, str]
    news: pd.DataFrame
    truth: Truth
    accounts: pd.DataFrame


@dataclass(frozen=True)
class Mechanics:
    """How one firm's people and machines behave; counts are of groups or accounts."""

    accounts: int = 1500
    days: int = 60
    entries_median: float = 60.0
    zipf: float = 1.0
    resolution_ms: int = 1
    bursts: float = 0.1
    bar_strangers: float = 0.05
    news_traders: float = 0.1
    news_events: int = 20
    level_breaks: int = 20
    robots: int = 4
    robot_size: tuple[int, int] = (5, 40)
    rooms: int = 3
    room_size: tuple[int, int] = (8, 80)
    rings: int = 25
    followers: tuple[int, int] = (1, 5)
    lag_s: tuple[float, float] = (0.1, 120.0)
    jitter: tuple[float, float] = (0.02, 0.3)
    partial: float = 0.4
    few_only: float = 0.2
    mirrors: float = 0.3
    exit_shift_s: float = 60.0
    random_lots: float = 0.4
    part_period: float = 0.2
    skew_s: float = 0.0
    provider_inside: float = 0.3
    inner_copies: int = 2
    grids: int = 3


class _Maker:
    """Builds one firm; every draw comes from one generator so that a seed says everything."""

    def __init__(self, mechanics: Mechanics, seed: int) -> None:
        self.m = mechanics
        self.rng = np.random.default_rng(seed)
        self.instruments = NAMES[: int(self.rng.integers(6, len(NAMES) + 1))]
        weights = 1.0 / np.arange(1, len(self.instruments) + 1) ** mechanics.zipf
        self.popularity = self.rng.permutation(weights / weights.sum())
        blocks = mechanics.days * 288
        noise = np.convolve(self.rng.normal(size=blocks + 23), np.ones(24) / np.sqrt(24), "valid")
        hour = (np.arange(blocks) % 288) / 12
        self.mood = np.exp(0.7 * noise) * (
            0.3 + np.exp(-((hour - 9) ** 2) / 8) + 1.5 * np.exp(-((hour - 14.5) ** 2) / 8)
        )
        self.mood[((np.arange(blocks) // 288) % 7) >= 5] = 0.0
        self.walks = np.cumsum(self.rng.normal(0, 3e-4, (len(self.instruments), mechanics.days * 1440)), axis=1)
        self.frames: list[pd.DataFrame] = []
        self.by_account: dict[str, list[pd.DataFrame]] = {}
        self.truth = Truth()
        self.news_times: Floats = np.zeros(0)
        self.next_account = 0
        self.platform: dict[str, str] = {}

    def account(self) -> str:
        """A fresh account id, in no order that tells anything."""
        self.next_account += 1
        return f"A{(self.next_account * 7919) % 1_000_003:07d}"

    def price(self, instrument: NDArray[Any], at: Floats) -> Floats:
        """Price of each instrument at each second since the start."""
        minute = np.clip(at / 60, 0, self.walks.shape[1] - 1.001)
        base = minute.astype(int)
        low, high = self.walks[instrument, base], self.walks[instrument, base + 1]
        return np.asarray(100 * np.exp(low + (high - low) * (minute - base)))

    def add(
        self,
        account: str,
        instrument: NDArray[Any],
        buy: NDArray[Any],
        at: Floats,
        held: Floats,
        lots: Floats,
        magic: int = 0,
    ) -> pd.DataFrame:
        """Adds trades (instrument codes, True for buys, seconds) and returns them."""
        frame = pd.DataFrame(
            {
                "account_id": account,
                "code": instrument,
                "buy": buy,
                "at": at,
                "end": at + held,
                "lots": lots,
                "magic": magic,
            }
        )
        if len(frame):
            self.frames.append(frame)
            self.by_account.setdefault(account, []).append(frame)
        return frame

    def moments(self, count: int) -> Floats:
        """Seconds at which a person with own hours trades, drawn with the market's mood."""
        hour, width = self.rng.uniform(6, 18), self.rng.uniform(1, 5)
        first = self.rng.uniform(0, 0.5) * self.m.days if self.rng.random() < 0.4 else 0.0
        last = self.rng.uniform(0.7, 1.0) * self.m.days if self.rng.random() < 0.4 else float(self.m.days)
        day = self.rng.integers(int(first), max(int(last), int(first) + 2), 6 * count)
        at = np.clip(day * DAY + (self.rng.normal(hour, width, 6 * count) % 24) * 3600, 0, self.m.days * DAY - 7200)
        weight = self.mood[(at / 300).astype(int)] + 1e-9
        return np.asarray(np.sort(self.rng.choice(at, count, replace=False, p=weight / weight.sum())))

    def person(self, account: str, count: int) -> pd.DataFrame:
        """An ordinary trader: few instruments, own hours, sometimes bursts."""
        rng = self.rng
        at = self.moments(count)
        own = rng.choice(len(self.instruments), min(3, len(self.instruments)), replace=False, p=self.popularity)
        code = rng.choice(own, count, p=rng.dirichlet(np.ones(len(own)) * 0.7))
        trend = self.price(code, at) > self.price(code, np.maximum(at - 1800, 0))
        buy = np.where(rng.random(count) < 0.6, trend if rng.random() < 0.5 else ~trend, rng.random(count) < 0.5)
        burst = rng.random(count) < self.m.bursts * rng.random()
        again = np.flatnonzero(burst[1:]) + 1
        at[again], code[again], buy[again] = (
            at[again - 1] + rng.uniform(1, 40, len(again)),
            code[again - 1],
            buy[again - 1],
        )
        held = rng.lognormal(np.log(rng.choice([180, 900, 3600, 14_400])), 0.9, count)
        step = rng.choice([0.01, 0.1, 0.5, 1.0])
        lots = step * (1 if rng.random() < 0.4 else rng.integers(1, 6, count)) * np.ones(count)
        return self.add(account, code, buy.astype(bool), at, held, lots)

    def crowd_of_people(self) -> list[str]:
        """The innocent: people, bar traders of no family, grids, news and breakout crowds."""
        rng, m = self.rng, self.m
        ids = [self.account() for _ in range(m.accounts)]
        for account in ids:
            self.person(account, max(3, int(rng.lognormal(np.log(m.entries_median), 0.8))))
        for account in rng.choice(ids, int(m.bar_strangers * m.accounts), replace=False):
            self.bar_trader(str(account))
        for account in rng.choice(ids, m.grids, replace=False):
            self.grid(str(account))
        self.events(rng.choice(ids, int(m.news_traders * m.accounts), replace=False), self.news_at(), 8.0)
        self.events(
            rng.choice(ids, int(0.1 * m.accounts), replace=False), rng.uniform(0, m.days * DAY, m.level_breaks), 0.5
        )
        return ids

    def news_at(self) -> Floats:
        """Seconds of the news events: always at half past one or two in the afternoon, on weekdays."""
        days = np.arange(self.m.days)[(np.arange(self.m.days) % 7) < 5]
        chosen = np.sort(self.rng.choice(days, min(self.m.news_events, len(days)), replace=False))
        self.news_times = np.asarray(chosen * DAY + self.rng.choice([13.5, 14.0], len(chosen)) * 3600)
        return self.news_times

    def events(self, people: NDArray[Any], at: Floats, scale_s: float) -> None:
        """A crowd that enters right after public moments, mostly on one side."""
        rng = self.rng
        eager = dict(zip(people, rng.uniform(0.2, 0.95, len(people)), strict=True))
        code = rng.choice(len(self.instruments), len(at), p=self.popularity)
        up = rng.random(len(at)) < 0.5
        for account, share in eager.items():
            joins = rng.random(len(at)) < share
            n = int(joins.sum())
            side = np.where(rng.random(n) < rng.uniform(0.5, 0.95), up[joins], ~up[joins])
            self.add(
                str(account),
                code[joins],
                side,
                at[joins] + rng.exponential(scale_s, n),
                rng.lognormal(6, 1, n),
                np.full(n, 0.5),
            )

    def bar_trader(self, account: str) -> None:
        """A robot of no family that enters on bar openings by an indicator many others read too."""
        rng = self.rng
        bar = rng.choice([60, 300, 900, 3600])
        n = int(rng.integers(30, 200))
        at = np.unique((self.moments(n) // bar + 1) * bar)
        code = np.full(len(at), rng.choice(len(self.instruments), p=self.popularity))
        buy = self.price(code, at) > self.price(code, np.maximum(at - bar * rng.integers(2, 12), 0))
        late = rng.exponential(rng.uniform(0.1, 1.5), len(at))
        self.add(
            account,
            code,
            buy,
            at + late,
            rng.lognormal(7, 0.8, len(at)),
            np.full(len(at), 0.1),
            int(rng.integers(1, 99_999)),
        )

    def grid(self, account: str) -> None:
        """A grid robot: hundreds of layers, minutes apart."""
        rng = self.rng
        starts = self.moments(40)
        at = np.concatenate([s + np.cumsum(rng.uniform(20, 200, 12)) for s in starts])
        code = np.full(len(at), rng.choice(len(self.instruments), p=self.popularity))
        buy = np.repeat(rng.random(40) < 0.5, 12)
        self.add(account, code, buy, at, rng.lognormal(8, 0.5, len(at)), np.full(len(at), 0.02), 7)

    def signals(self, count: int, bar: float) -> tuple[NDArray[Any], NDArray[Any], Floats, Floats]:
        """Instrument, side, time and holding time of a strategy's signals; bar 0 means at any instant."""
        rng = self.rng
        at = np.unique(np.round(self.moments(count), 3) if bar == 0 else (self.moments(count) // bar + 1) * bar)
        own = rng.choice(len(self.instruments), 2, replace=False)
        code = rng.choice(own, len(at))
        return code, rng.random(len(at)) < 0.5, at, rng.lognormal(np.log(rng.choice([600, 3600, 10_800])), 0.8, len(at))

    def robot_family(self) -> None:
        """Strangers with the same expert advisor, its parameters a little different."""
        rng = self.rng
        bar = float(rng.choice([0, 60, 300, 900, 3600]))
        code, buy, at, held = self.signals(int(rng.integers(40, 250)), bar)
        same_exit, same_magic = rng.random() < 0.5, rng.random() < 0.5
        follow = rng.uniform(0.5, 1.0)
        spread = rng.uniform(0.1, 2.0)
        magic = int(rng.integers(1, 99_999))
        ids = []
        for _ in range(int(rng.integers(*self.m.robot_size))):
            account = self.account()
            on = rng.random(len(at)) < np.clip(follow + rng.normal(0, 0.1), 0.3, 1.0)
            n = int(on.sum())
            late = rng.uniform(0, spread) * 0.5 + rng.exponential(spread * rng.uniform(0.2, 1.0), n)
            end = held[on] + (rng.normal(0, spread, n) if same_exit else held[on] * rng.normal(0, 0.4, n))
            lots = np.round(
                rng.choice([0.1, 0.2, 1.0]) * (1 if rng.random() < 0.5 else rng.uniform(0.8, 1.2, n)) * np.ones(n), 2
            )
            ids.append(account)
            self.add(
                account,
                code[on],
                buy[on],
                at[on] + late,
                np.maximum(end, 5),
                lots,
                magic if same_magic else int(rng.integers(1, 99_999)),
            )
            if rng.random() < 0.3:
                self.person(account, int(rng.integers(5, 40)))
        self.truth.shared.append({"kind": "robot", "accounts": ids})

    def signal_room(self) -> list[str]:
        """Strangers who read the same public signals and act when they see them."""
        rng = self.rng
        code, buy, at, held = self.signals(int(rng.integers(20, 120)), 0)
        follow, slow, spread = rng.uniform(0.2, 0.8), rng.uniform(5, 45), rng.uniform(0.4, 1.0)
        keeps_target = rng.uniform(0, 0.5)
        ids = []
        for _ in range(int(rng.integers(*self.m.room_size))):
            account = self.account()
            on = rng.random(len(at)) < np.clip(follow + rng.normal(0, 0.15), 0.1, 1.0)
            n = int(on.sum())
            automatic = rng.random() < 0.1
            late = (
                rng.uniform(0.5, 3) + rng.exponential(0.5, n)
                if automatic
                else rng.lognormal(np.log(slow * rng.uniform(0.5, 2)), spread, n)
            )
            end = np.where(rng.random(n) < keeps_target, held[on], rng.lognormal(7.5, 1.0, n))
            if n == 0:
                continue
            ids.append(account)
            self.add(
                account,
                code[on],
                buy[on],
                at[on] + late,
                np.maximum(end, 5),
                np.round(rng.choice([0.1, 0.5, 1]) * rng.integers(1, 4, n), 2),
            )
            if rng.random() < 0.8:
                self.person(account, int(rng.lognormal(np.log(self.m.entries_median), 0.8)) + 3)
        if rng.random() < self.m.provider_inside:
            account = self.account()
            ids.append(account)
            self.add(account, code, buy, at - rng.uniform(0, 5), held, np.full(len(at), 1.0))
        self.truth.shared.append({"kind": "room", "accounts": ids})
        return ids

    def trades_of(self, account: str) -> pd.DataFrame:
        """Everything an account has done so far."""
        return pd.concat(self.by_account[account]).sort_values("at")

    def follow(self, leader: str, account: str, relation: str, same_owner: bool, few: bool) -> None:
        """Lets an account follow a leader, with a lag, gaps, lots and exits of its own."""
        rng, m = self.rng, self.m
        source = self.trades_of(leader)
        share = 1.0
        if few:
            source = source.iloc[
                np.sort(rng.choice(len(source), min(int(rng.integers(8, 15)), len(source)), replace=False))
            ]
        else:
            share = rng.uniform(0.35, 0.6) if rng.random() < m.partial else rng.uniform(0.8, 1.0)
            if rng.random() < m.part_period and len(source) > 60:
                half = len(source) // 2
                source = source.iloc[:half] if rng.random() < 0.5 else source.iloc[half:]
            source = source[rng.random(len(source)) < share]
        n = len(source)
        lag = float(np.exp(rng.uniform(np.log(m.lag_s[0]), np.log(m.lag_s[1]))))
        lags = np.maximum(lag * (1 + rng.uniform(*m.jitter) * rng.normal(size=n)), 0.02)
        shift = rng.exponential(m.exit_shift_s, n) if rng.random() < 0.4 else lags
        end = source["end"].to_numpy() + shift
        lots = source["lots"].to_numpy() * rng.choice([0.25, 0.5, 1.0, 2.0])
        if rng.random() < m.random_lots:
            lots = rng.uniform(0.1, 2.0, n)
        at = source["at"].to_numpy() + lags
        buy = source["buy"].to_numpy().astype(bool)
        frame = self.add(
            account,
            source["code"].to_numpy(),
            buy if relation == "copy" else ~buy,
            at,
            np.maximum(end - at, 3),
            np.round(lots, 2),
        )
        self.truth.pairs.append(
            {
                "leader": leader,
                "follower": account,
                "relation": relation,
                "lag_ms": float(np.median(lags)) * 1000,
                "followed": len(frame),
                "few": few,
                "same_owner": same_owner,
                "ordered": True,
            }
        )

    def ring(self, people: list[str]) -> None:
        """A leader and those who follow it, with or without trades of their own."""
        rng, m = self.rng, self.m
        leader = self.account()
        self.person(leader, int(rng.integers(30, 200)))
        same = bool(rng.random() < 0.2)
        members = {leader}
        count = int(rng.integers(m.followers[0], m.followers[1] + 1))
        for _ in range(count):
            account = self.account()
            few = bool(rng.random() < m.few_only)
            if rng.random() < 0.4 or few:
                self.person(account, int(rng.integers(10, 100)))
            self.follow(leader, account, "mirror" if rng.random() < m.mirrors else "copy", same, few)
            members.add(account)
        if len(members) > 2:
            self.truth.rings.append(members)

    def build(self) -> Firm:
        """The whole firm."""
        m, rng = self.m, self.rng
        people = self.crowd_of_people()
        for _ in range(m.robots):
            self.robot_family()
        rooms = [self.signal_room() for _ in range(m.rooms)]
        for _ in range(m.rings):
            self.ring(people)
        for _ in range(m.inner_copies if rooms else 0):
            room = rooms[int(rng.integers(len(rooms)))]
            leader, account = str(rng.choice(room)), self.account()
            self.follow(leader, account, "copy", False, False)
        trades = self.finish()
        names = pd.DataFrame({"account_id": sorted(self.by_account)})
        names["platform"], names["step_s"] = names["account_id"].map(self.platform), m.resolution_ms / 1000
        return Firm(trades, self.owners(), self.news(), self.truth, names.assign(server="live"))

    def owners(self) -> dict[str, str]:
        """Same-owner followers belong to their leader's owner, everyone else to themselves."""
        same = {p["follower"]: p["leader"] for p in self.truth.pairs if p["same_owner"]}
        return {a: f"o-{same.get(a, a)}" for a in self.by_account}

    def news(self) -> pd.DataFrame:
        """The calendar behind the news crowds."""
        at = START + pd.to_timedelta(self.news_times, unit="s")
        return pd.DataFrame({"occurs_at": at, "impact": "high", "currency": "USD"})

    def finish(self) -> pd.DataFrame:
        """All trades in the shape the search reads."""
        rng = self.rng
        all_trades = pd.concat(self.frames, ignore_index=True)
        all_trades = all_trades.iloc[rng.permutation(len(all_trades))].reset_index(drop=True)
        ids, codes = np.unique(all_trades["account_id"].to_numpy(dtype=str), return_inverse=True)
        late = rng.integers(0, 2, len(ids))
        self.platform = {str(account): ("mt5", "mt4")[k] for account, k in zip(ids, late, strict=True)}
        skew = late[codes] * self.m.skew_s
        code = all_trades["code"].to_numpy()
        at, end = all_trades["at"].to_numpy(), all_trades["end"].to_numpy()
        step = self.m.resolution_ms / 1000

        def clock(seconds: Floats) -> pd.Series:
            return pd.Series(START + pd.to_timedelta(np.floor((seconds + skew) / step) * step, unit="s")).astype(
                "datetime64[us, UTC]"
            )

        return pd.DataFrame(
            {
                "account_id": all_trades["account_id"],
                "trade_id": [f"t{i}" for i in range(len(all_trades))],
                "instrument": np.array(self.instruments)[code],
                "side": np.where(all_trades["buy"].astype(bool), "buy", "sell"),
                "lots": all_trades["lots"],
                "opened_at": clock(at),
                "closed_at": clock(end),
                "open_price": self.price(code, at),
                "close_price": self.price(code, end),
                "stop_loss": np.nan,
                "take_profit": np.nan,
                "magic": all_trades["magic"],
                "open_reason": np.where(all_trades["magic"] > 0, "expert", "client"),
            }
        )


def make_firm(mechanics: Mechanics, seed: int) -> Firm:
    """One firm of the given mechanics; the same seed gives the same firm."""
    return _Maker(mechanics, seed).build()


FIRMS: dict[str, Callable[[], Mechanics]] = {
    "plain": Mechanics,
    "whole_seconds": lambda: Mechanics(resolution_ms=1000, lag_s=(1.0, 120.0)),
    "robots_everywhere": lambda: Mechanics(robots=12, robot_size=(3, 60), bar_strangers=0.3, rooms=1, rings=15),
    "rooms_everywhere": lambda: Mechanics(rooms=12, room_size=(3, 150), robots=1, rings=15, provider_inside=0.6),
    "news_firm": lambda: Mechanics(news_traders=0.5, news_events=40, level_breaks=120, rooms=1, robots=1),
    "busy_gold": lambda: Mechanics(zipf=2.5, entries_median=150.0, days=40),
    "slow_hands": lambda: Mechanics(lag_s=(20.0, 120.0), jitter=(0.2, 0.4), few_only=0.5, exit_shift_s=600.0),
    "bursts": lambda: Mechanics(bursts=0.9, grids=30, entries_median=80.0),
    "small": lambda: Mechanics(accounts=60, rings=4, rooms=1, robots=1, room_size=(5, 12), robot_size=(4, 8)),
    "innocent": lambda: Mechanics(accounts=4000, rings=0, inner_copies=0),
    "skewed_clocks": lambda: Mechanics(skew_s=3.0, rings=30),
}


def draw_mechanics(seed: int) -> Mechanics:
    """Mechanics drawn at random over wide ranges: combinations nobody chose, for a score that nobody tuned."""
    rng = np.random.default_rng([seed, 7])
    longest = float(rng.choice([2.0, 30.0, 120.0]))
    return Mechanics(
        accounts=int(rng.integers(200, 2500)),
        days=int(rng.integers(25, 120)),
        entries_median=float(rng.uniform(25, 120)),
        zipf=float(rng.uniform(0.5, 2.0)),
        resolution_ms=int(rng.choice([1, 1, 1000])),
        bursts=float(rng.uniform(0, 0.8)),
        bar_strangers=float(rng.uniform(0, 0.3)),
        news_traders=float(rng.uniform(0, 0.4)),
        news_events=int(rng.integers(5, 40)),
        level_breaks=int(rng.integers(0, 100)),
        robots=int(rng.integers(0, 10)),
        robot_size=(int(rng.integers(3, 8)), int(rng.integers(10, 80))),
        rooms=int(rng.integers(0, 10)),
        room_size=(int(rng.integers(4, 10)), int(rng.integers(12, 120))),
        rings=int(rng.integers(2, 40)),
        followers=(1, int(rng.integers(1, 10))),
        lag_s=(float(rng.choice([0.1, 1.0])), longest),
        jitter=(0.02, float(rng.uniform(0.1, 0.5))),
        partial=float(rng.uniform(0, 0.8)),
        few_only=float(rng.uniform(0, 0.5)),
        exit_shift_s=float(rng.choice([5.0, 60.0, 300.0])),
        provider_inside=float(rng.uniform(0, 1)),
        grids=int(rng.integers(0, 20)),
    )


def mechanics_of(name: str, seed: int) -> Mechanics:
    """The mechanics of a named firm, or drawn ones for the name `drawn`."""
    return draw_mechanics(seed) if name == "drawn" else FIRMS[name]()
