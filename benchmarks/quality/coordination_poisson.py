"""Made-up firms of Poisson traders: sessions, news, robots, rooms, households, and copiers of every kind among them.

A third way to make a firm, sharing only the shape of the answer with the two others: people enter at random in the
day's sessions and choose their side by a coin, prices are a random walk that stops and targets wait in, robots act at
bars or at ticks, readers of a signal when they see it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.quality.coordination_firms import START, Firm, Truth

Floats = NDArray[np.float64]
DAY = 86_400.0
SYMBOLS = ("EURUSD", "XAUUSD", "GBPUSD", "NAS100", "USDJPY", "US30", "BTCUSD", "AUDUSD")


@dataclass(frozen=True)
class Customs:
    """What lives in one firm; counts are of accounts or groups."""

    people: int
    days: int
    a_day: float
    symbols: int
    news: int
    families: int
    rooms: int
    households: int
    openers: int
    leaders: int
    hedgers: int
    skew_s: float
    whole_seconds: float
    news_known: bool


def draw_customs(seed: int) -> Customs:
    """Customs over wide ranges; every fifth firm has no copier at all."""
    rng = np.random.default_rng([seed, 71])
    return Customs(
        people=int(rng.integers(200, 1200)),
        days=int(rng.integers(30, 61)),
        a_day=float(rng.uniform(0.5, 3.0)),
        symbols=int(rng.integers(4, len(SYMBOLS) + 1)),
        news=int(rng.integers(4, 16)),
        families=int(rng.integers(1, 7)),
        rooms=int(rng.integers(1, 5)),
        households=int(rng.integers(5, 30)),
        openers=int(rng.integers(0, 40)),
        leaders=int(rng.integers(8, 30)) if seed % 5 else 0,
        hedgers=int(rng.integers(2, 10)) if seed % 5 else 0,
        skew_s=float(rng.choice([0.0, 0.0, 1.0, 3.0])),
        whole_seconds=float(rng.choice([0.0, 0.25, 0.5])),
        news_known=bool(rng.random() < 0.7),
    )


class _Floor:
    """The firm while it is filled; every draw comes from one generator."""

    def __init__(self, customs: Customs, seed: int) -> None:
        self.c, self.rng = customs, np.random.default_rng([seed, 72])
        rng, seconds = self.rng, int(customs.days * DAY)
        minutes = np.arange(seconds // 60 + 1)
        hour = minutes % 1440 / 60
        busy = 0.15 + np.where((hour > 7) & (hour < 16), 1.0, 0) + np.where((hour > 12.5) & (hour < 21), 1.2, 0)
        drift = np.repeat(rng.gamma(4, 0.25, len(minutes) // 30 + 1), 30)[: len(minutes)]
        self.busy = busy * drift * (minutes // 1440 % 7 < 5)
        self.rate = np.concatenate([[0.0], np.cumsum(self.busy)])
        self.walk = np.cumsum(rng.normal(0, 2e-4, (customs.symbols, len(minutes) + 1)), axis=1)
        days = rng.choice([d for d in range(customs.days) if d % 7 < 5], customs.news)
        self.news_at = np.sort(days * DAY + rng.choice([12.5, 13.5, 14.0, 18.0], customs.news) * 3600)
        self.news_code = rng.integers(0, customs.symbols, customs.news)
        self.rows: dict[str, list[pd.DataFrame]] = {}
        self.truth, self.made = Truth(), 0
        self.owner: dict[str, str] = {}

    def name(self) -> str:
        """The next account id, scrambled."""
        self.made += 1
        return f"P{self.made * 7_368_787 % 9_999_991:07d}"

    def times(self, count: int, since: float = 0.0, until: float | None = None) -> Floats:
        """A Poisson process over the market's sessions: times where the rate's integral is uniform."""
        low, high = since / 60, (until or self.c.days * DAY) / 60
        at = np.interp([low, high], np.arange(len(self.rate)), self.rate)
        drawn = np.sort(self.rng.uniform(at[0], at[1], count))
        return np.minimum(np.interp(drawn, self.rate, np.arange(len(self.rate))) * 60, self.c.days * DAY - 120)

    def price(self, code: NDArray[np.int64], at: Floats) -> Floats:
        """Logarithm of the price."""
        minute = np.clip(at / 60, 0, self.walk.shape[1] - 1.01)
        low = minute.astype(int)
        return np.asarray(self.walk[code, low] + (minute - low) * (self.walk[code, low + 1] - self.walk[code, low]))

    def barrier(
        self, code: NDArray[np.int64], at: Floats, buy: NDArray[np.bool_], stop: float, target: float
    ) -> Floats:
        """When stop or target is touched, at most a day later; the second within the minute is the path's."""
        out = at + DAY
        for i in range(len(at)):
            low = int(at[i] // 60) + 1
            path = self.walk[code[i], low : low + 1440] - self.price(code[i : i + 1], at[i : i + 1])[0]
            path = path if buy[i] else -path
            hit = np.flatnonzero((path > target) | (path < -stop))
            if len(hit):
                k = int(hit[0])
                before, level = path[k - 1] if k else 0.0, target if path[k] > target else -stop
                out[i] = max((low + k - 1 + (level - before) / (path[k] - before)) * 60, at[i] + 1)
        return out

    def book(self, account: str, code, buy, at, end, lots, magic: int = 0, comment: str = "") -> None:  # type: ignore[no-untyped-def]
        """Adds trades."""
        frame = pd.DataFrame({"code": code, "buy": buy, "at": at, "end": np.maximum(end, at + 1), "lots": lots})
        frame = frame.assign(magic=magic, comment=comment)
        frame = frame[(frame["at"] >= 0) & (frame["at"] < self.c.days * DAY - 60)]
        if len(frame):
            self.rows.setdefault(account, []).append(frame)

    def trader(self, account: str, count: int | None = None) -> None:
        """Someone who enters at random moments of the sessions, on a coin's side."""
        rng, c = self.rng, self.c
        count = max(4, rng.poisson(c.a_day * c.days * rng.gamma(2, 0.5))) if count is None else count
        since = rng.uniform(0, 0.5) * c.days * DAY if rng.random() < 0.3 else 0.0
        at = self.times(count, since)
        liked = rng.choice(c.symbols, rng.integers(1, 4))
        code, buy = rng.choice(liked, count), rng.random(count) < 0.5
        if rng.random() < 0.5:
            end = at + rng.lognormal(np.log(rng.choice([240, 1500, 7200])), 1, count)
        else:
            stop = rng.choice([5e-4, 1e-3, 2e-3])
            end = self.barrier(code, at, buy, stop, stop * rng.choice([1.0, 2.0, 3.0]))
        lots = rng.choice([0.05, 0.1, 1.0]) * (rng.integers(1, 9, count) if rng.random() < 0.5 else np.ones(count))
        self.book(account, code, buy, at, end, np.round(lots, 2))

    def crowd(self, people: NDArray[np.object_]) -> None:
        """Who trades the news: by hand within seconds, or by orders that the jump fills."""
        rng = self.rng
        up = rng.random(len(self.news_at)) < 0.5
        for account in people:
            on = rng.random(len(up)) < rng.uniform(0.3, 1.0)
            n = int(on.sum())
            late = rng.gamma(2, 0.15, n) if rng.random() < 0.4 else rng.gamma(2, rng.uniform(2, 12), n)
            buy = np.where(rng.random(n) < rng.uniform(0.6, 1), up[on], ~up[on])
            at = self.news_at[on] + late
            self.book(str(account), self.news_code[on], buy, at, at + rng.lognormal(6, 1, n), 0.5)

    def openers(self) -> None:
        """Strangers who trade the session's opening bell, by robot or by hand, day after day."""
        rng, c = self.rng, self.c
        for _ in range(c.openers):
            days = np.array([d for d in range(c.days) if d % 7 < 5 and rng.random() < 0.7])
            at = days * DAY + rng.choice([8.0, 14.5]) * 3600
            at = at + (rng.exponential(0.5, len(days)) if rng.random() < 0.5 else rng.gamma(2, 10, len(days)))
            code, buy = np.full(len(at), rng.integers(0, min(c.symbols, 3))), rng.random(len(at)) < 0.5
            account = self.name()
            self.book(account, code, buy, at, self.barrier(code, at, buy, 1e-3, 2e-3), 0.3, int(rng.integers(1, 9999)))
            self.trader(account, int(rng.integers(0, 30)))

    def family(self) -> None:
        """One expert advisor on many accounts: at bars or at ticks, its exits common or each account's own."""
        rng, c = self.rng, self.c
        at = self.times(int(rng.integers(30, 160)))
        bar = float(rng.choice([0, 60, 300, 900, 3600]))
        at = np.unique(np.ceil(at / bar) * bar) if bar else at
        code, buy = rng.choice(rng.choice(c.symbols, 2), len(at)), rng.random(len(at)) < 0.5
        exits = rng.choice(["signal", "barrier", "own", "timed"])
        told = at + rng.lognormal(7.5, 0.8, len(at))
        stop, target, held = rng.choice([5e-4, 1e-3]), rng.choice([5e-4, 1e-3, 2e-3]), rng.choice([600, 3600])
        magic, shared, note = int(rng.integers(1, 99_999)), rng.random() < 0.5, f"EA{rng.integers(1, 99)}"
        servers = rng.gamma(1.5, rng.choice([0.05, 0.3, 1.0]), 60)
        members = []
        for k in range(int(rng.integers(3, 50))):
            account = self.name()
            members.append(account)
            on = rng.random(len(at)) < rng.uniform(0.6, 1.0)
            if rng.random() < 0.3:
                on &= at > rng.uniform(0, 0.6) * c.days * DAY
            n = int(on.sum())
            late = servers[k] + rng.exponential(rng.choice([0.02, 0.2, 0.8]), n)
            opened = at[on] + late
            if exits == "signal":
                end = told[on] + servers[k] + rng.exponential(0.2, n)
            elif exits == "barrier":
                end = self.barrier(code[on], opened, buy[on], stop, target)
            elif exits == "timed":
                end = opened + held
            else:
                end = opened + rng.lognormal(7.5, 0.8, n)
            lots = np.round(rng.choice([0.1, 0.25, 1.0]) * (1 + 0.1 * rng.integers(0, 3, n)), 2)
            own = shared or rng.random() < 0.2
            self.book(
                account, code[on], buy[on], opened, end, lots, magic if own else int(rng.integers(1, 99_999)), note
            )
            if rng.random() < 0.3:
                self.trader(account, int(rng.integers(5, 40)))
        self.truth.shared.append({"kind": "robot", "accounts": members})

    def room(self) -> None:
        """Readers of a channel: each takes some of its signals when he sees them, and leaves as he likes or is told."""
        rng, c = self.rng, self.c
        at = self.times(int(rng.integers(25, 120)))
        code, buy = rng.choice(rng.choice(c.symbols, 2), len(at)), rng.random(len(at)) < 0.5
        told = at + rng.lognormal(7.5, 0.8, len(at))
        obeys, pace = rng.uniform(0, 1), rng.uniform(3, 40)
        members = []
        if rng.random() < 0.4:  # whoever gives the signals trades them here
            members.append(self.name())
            self.book(members[0], code, buy, at - rng.gamma(2, 2, len(at)), told, 1.0)
        for _ in range(int(rng.integers(5, 60))):
            account = self.name()
            members.append(account)
            on = rng.random(len(at)) < rng.uniform(0.15, 0.9)
            n = int(on.sum())
            slow = pace * rng.lognormal(0, 0.5)
            late = rng.exponential(slow, n) + 1 if rng.random() < 0.5 else slow * rng.lognormal(0, 0.5, n)
            if rng.random() < 0.1:
                late = rng.uniform(0.3, 3) + rng.exponential(0.3, n)  # a machine that reads the channel
            heard = rng.random(n) < obeys
            end = np.where(heard, told[on] + rng.exponential(slow, n), at[on] + late + rng.lognormal(7, 1, n))
            lots = np.round(rng.choice([0.1, 0.2, 0.5]) * rng.integers(1, 5, n), 2)
            self.book(account, code[on], buy[on], at[on] + late, end, lots)
            if rng.random() < 0.7:
                self.trader(account, int(rng.poisson(30)))
        self.truth.shared.append({"kind": "room", "accounts": members})

    def household(self) -> None:
        """Two at one table: the same evenings and symbols, each by an own mind."""
        rng = self.rng
        evenings = self.times(int(rng.integers(15, 60)))
        for _ in range(2):
            n = len(evenings)
            at = np.sort(evenings + rng.uniform(0, 5400, n))
            code, buy = rng.integers(0, 2, n), rng.random(n) < 0.5
            self.book(self.name(), code, buy, at, at + rng.lognormal(7, 1, n), np.round(rng.uniform(0.1, 1, n), 1))

    def trades(self, account: str) -> pd.DataFrame:
        """What an account has traded so far, by time."""
        return pd.concat(self.rows[account]).sort_values("at", ignore_index=True)

    def follower(self, leader: str, *, mirror: bool, same: bool) -> str:
        """An account that follows another: its lag, jitter, gaps, lots and exits."""
        rng = self.rng
        source = self.trades(leader)
        kind = rng.choice(["all", "third", "few", "part"], p=[0.35, 0.3, 0.2, 0.15])
        if kind == "part":
            edge = np.sort(rng.uniform(0, self.c.days * DAY, 2))
            inside = source["at"].between(edge[0], edge[1])
            source = source[inside] if inside.sum() >= 15 else source
        keep = {"all": 0.95, "third": 0.35, "few": 1.0, "part": 0.9}[str(kind)]
        source = source[rng.random(len(source)) < keep]
        if kind == "few":
            source = source.iloc[np.sort(rng.permutation(len(source))[: int(rng.integers(8, 15))])]
        n, few = len(source), len(source) < 15
        lag = float(np.exp(rng.uniform(np.log(0.1), np.log(120))))
        jitter = rng.choice(["share", "normal", "uniform"])
        if jitter == "share":
            lags = lag * rng.lognormal(0, rng.uniform(0.02, 0.25), n)
        elif jitter == "normal":
            lags = np.maximum(lag + rng.normal(0, min(0.25 * lag, 3), n), 0.05)
        else:
            lags = lag + rng.uniform(0, 0.3 * lag, n)
        end = source["end"].to_numpy()
        how = rng.choice(["followed", "late", "own"], p=[0.6, 0.25, 0.15])
        if how == "followed":
            end = end + lag * rng.lognormal(0, 0.1, n)
        elif how == "late":
            end = end + lag + rng.exponential(rng.choice([30, 180, 600]), n)
        else:
            end = end + (end - source["at"].to_numpy()) * rng.normal(0, 0.15, n)
        lots = source["lots"].to_numpy() * rng.choice([0.2, 1.0, 2.5])
        if rng.random() < 0.35:
            lots = rng.uniform(0.05, 2, n)
        buy = source["buy"].to_numpy(dtype=bool) ^ mirror
        account = self.name()
        at = source["at"].to_numpy() + lags
        self.book(account, source["code"].to_numpy(), buy, at, end, np.round(np.maximum(lots, 0.01), 2))
        if few or rng.random() < 0.5:
            self.trader(account, int(rng.integers(10, 60)))
        if same:
            self.owner[account] = leader
        self.plant(leader, account, mirror, lags, few, same, True)
        return account

    def plant(self, leader: str, follower: str, mirror: bool, lags: Floats, few: bool, same: bool, order: bool) -> None:
        """Writes a pair into the truth."""
        lag_ms = float(np.median(np.abs(lags))) * 1000 if len(lags) else 0.0
        pair = {"leader": leader, "follower": follower, "relation": "mirror" if mirror else "copy", "lag_ms": lag_ms}
        self.truth.pairs.append(pair | {"followed": len(lags), "few": few, "same_owner": same, "ordered": order})

    def ring(self, people: list[str], families: list[str]) -> None:
        """A leader and one to six followers; seldom the leader is a member of a robot family."""
        rng = self.rng
        drawn = rng.random()
        leader = str(rng.choice(people)) if drawn < 0.5 else self.name()
        if families and drawn > 0.93:
            leader = str(rng.choice(families))
        if leader not in self.rows or len(self.trades(leader)) < 30:
            self.trader(leader, int(rng.integers(40, 150)))
        members, same = [leader], bool(rng.random() < 0.25)
        for _ in range(int(rng.choice([1, 1, 1, 2, 3, 6]))):
            above = leader if rng.random() < 0.9 else str(rng.choice(members))
            above = above if len(self.trades(above)) >= 25 else leader
            members.append(self.follower(above, mirror=bool(rng.random() < 0.3), same=same))
        self.truth.rings.append(set(members))

    def hedger(self) -> None:
        """One hand on two accounts: the second leg opposite, seconds later, both closed together."""
        rng = self.rng
        one, other = self.name(), self.name()
        n = int(rng.integers(10, 50))
        at = self.times(n)
        code, buy = rng.choice(rng.choice(self.c.symbols, 2), n), rng.random(n) < 0.5
        end = at + rng.lognormal(8, 0.8, n)
        lags = rng.gamma(3, rng.choice([0.5, 2.0, 5.0]), n)
        fixed = rng.random() < 0.6
        lags = lags if fixed else lags * rng.choice([-1, 1], n)
        self.book(one, code, buy, at, end, 1.0)
        self.book(other, code, ~buy, at + lags, end + rng.normal(0, 5, n), np.round(rng.uniform(0.8, 1.2, n), 2))
        for account in (one, other):
            self.trader(account, int(rng.integers(0, 25)))
        self.plant(one, other, True, lags, n < 15, False, fixed)
        self.truth.rings.append({one, other})

    def build(self) -> Firm:
        """The whole firm, as its platforms saw it."""
        c, rng = self.c, self.rng
        people = [self.name() for _ in range(c.people)]
        for account in people:
            self.trader(account)
        self.crowd(rng.choice(np.array(people, dtype=object), int(0.2 * c.people), replace=False))
        self.openers()
        for _ in range(c.families):
            self.family()
        for _ in range(c.rooms):
            self.room()
        for _ in range(c.households):
            self.household()
        families = [a for group in self.truth.shared if group["kind"] == "robot" for a in group["accounts"]]
        for _ in range(c.leaders):
            self.ring(people, families)
        for _ in range(c.hedgers):
            self.hedger()
        return self.seen()

    def seen(self) -> Firm:
        """Trades by the platforms' clocks: some show whole seconds, some are ahead."""
        c, rng = self.c, self.rng
        accounts = sorted(self.rows)
        place = rng.choice(3, len(accounts), p=[0.45, 0.35, 0.2])
        step = np.array([1e-3, 1.0 if rng.random() < 2 * c.whole_seconds else 1e-3, 1e-3])
        ahead = np.array([0.0, *rng.uniform(-c.skew_s, c.skew_s, 2)])
        table = pd.concat([self.trades(a).assign(account_id=a) for a in accounts], ignore_index=True)
        on = place[np.searchsorted(np.array(accounts), table["account_id"].to_numpy(dtype=str))]

        def clock(at: Floats) -> pd.Series:
            shown = np.floor((at + ahead[on]) / step[on] + 1e-6) * step[on]
            return pd.Series(START + pd.to_timedelta(shown, unit="s")).astype("datetime64[us, UTC]")

        code = table["code"].to_numpy()
        trades = pd.DataFrame(
            {
                "account_id": table["account_id"],
                "trade_id": [f"t{i}" for i in range(len(table))],
                "instrument": np.array(SYMBOLS)[code],
                "side": np.where(table["buy"].astype(bool), "buy", "sell"),
                "lots": table["lots"].astype(float),
                "opened_at": clock(table["at"].to_numpy()),
                "closed_at": clock(table["end"].to_numpy()),
                "open_price": 100 * np.exp(self.price(code, table["at"].to_numpy())),
                "close_price": 100 * np.exp(self.price(code, table["end"].to_numpy())),
                "magic": table["magic"],
                "comment": table["comment"],
            }
        )
        names = pd.DataFrame({"account_id": accounts, "platform": np.array(["mt5", "mt4", "ctrader"])[place]})
        names = names.assign(server="live", step_s=step[place], ahead_s=(ahead - step / 2)[place])
        told = self.news_at if c.news_known else self.news_at[:0]
        news = pd.DataFrame({"occurs_at": START + pd.to_timedelta(told, unit="s"), "impact": "high", "currency": "USD"})
        return Firm(trades, {a: f"o-{self.owner.get(a, a)}" for a in accounts}, news, self.truth, names)


def make_poisson_firm(seed: int, customs: Customs | None = None) -> Firm:
    """One firm of Poisson traders; the same seed gives the same firm."""
    return _Floor(customs or draw_customs(seed), seed).build()
