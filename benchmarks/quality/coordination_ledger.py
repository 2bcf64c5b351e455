"""Made-up firms written as one ledger of openings, by mechanics that the other families do not have.

A fourth way to make a firm: people lean with or against the last move of the price, robots read a moving average of it,
breakouts of the opening range draw strangers in, stops and targets are touched by the path itself, and lags come from
five distributions. Leaders have up to twenty followers, chains, followers who change their leader or serve two.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.quality.coordination_firms import START, Firm, Truth

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
Flags = NDArray[np.bool_]

DAY = 86_400.0
STEP = 5.0  # seconds of the price path
SLOT = 300.0  # seconds in which the market's activity is constant
SYMBOLS = np.array(
    ["XAUUSD", "EURUSD", "NAS100", "GBPUSD", "US30", "USDJPY", "BTCUSD", "GER40", "GBPJPY", "USOIL"], dtype=object
)
PLATFORMS = np.array(["mt5", "mt4", "ctrader", "tradelocker"], dtype=object)
STYLES = {"day": (15, 120, 2400.0), "scalp": (60, 500, 150.0), "swing": (6, 25, 30_000.0), "grid": (10, 60, 5000.0)}


class _Ledger:
    """The firm while it is filled; every draw comes from one generator."""

    def __init__(self, seed: int) -> None:
        self.rng = rng = np.random.default_rng([seed, 4041])
        self.days = int(rng.integers(25, 80))
        self.end = self.days * DAY
        self.symbols = int(rng.integers(5, 11))
        weights = rng.dirichlet(np.full(self.symbols, 0.6)) + 0.01
        self.popular = weights / weights.sum()
        self.path = self._prices()
        self.clock = self._activity()
        self.truth = Truth()
        self.rows: dict[str, list[pd.DataFrame]] = {}
        self.owner: dict[str, str] = {}
        self.news_at = np.empty(0)
        self.named = 0

    def _prices(self) -> NDArray[np.float32]:
        """Logarithms of price by symbol and step: heavy tails, moods of half an hour, louder as sessions start."""
        steps = int(self.end / STEP) + 2
        hour = (np.arange(steps) * STEP / 3600) % 24
        loud = 0.4 + np.exp(-(((hour - 8) / 1.2) ** 2)) + 1.6 * np.exp(-(((hour - 14) / 1.8) ** 2))
        path = np.empty((self.symbols, steps), np.float32)
        for row in path:
            mood = np.repeat(np.exp(self.rng.normal(0, 0.5, steps // 360 + 1)), 360)[:steps]
            row[:] = np.cumsum(self.rng.standard_t(5, steps) * 2.5e-5 * loud * mood)
        return path

    def _activity(self) -> Floats:
        """The market's own clock: how much is traded before each slot; nothing at weekends."""
        slot = np.arange(int(self.end / SLOT) + 1)
        hour = (slot * SLOT / 3600) % 24
        busy = 0.1 + np.exp(-(((hour - 8.5) / 2) ** 2)) + 1.4 * np.exp(-(((hour - 14.5) / 2.5) ** 2))
        busy = (busy + 0.3 * np.exp(-(((hour - 2) / 2) ** 2))) * np.exp(self.rng.normal(0, 0.4, len(slot)))
        busy[(slot * SLOT // DAY) % 7 >= 5] = 0
        return np.concatenate([[0.0], np.cumsum(busy)])

    def account(self) -> str:
        """A name for one account more; in no order."""
        self.named += 1
        return f"L{self.named * 48_611 % 1_000_003:06d}"

    def moments(self, n: int, hours: tuple[float, float] | None = None) -> Floats:
        """Up to n moments at which the market trades, within some hours of the day."""
        slots = np.arange(len(self.clock))
        drawn = self.rng.uniform(0, self.clock[-1], n * (4 if hours else 1))
        at = np.interp(drawn, self.clock, slots) * SLOT
        if hours:
            hour = (at / 3600) % 24
            at = self.rng.permutation(at[(hour >= hours[0]) & (hour < hours[1])])[:n]
        return np.sort(at)

    def price(self, symbol: Codes, at: Floats) -> Floats:
        """Log prices at some moments."""
        step = np.clip((at / STEP).astype(int), 0, self.path.shape[1] - 2)
        return np.asarray(self.path[symbol, step], dtype=np.float64)

    def touched(self, symbol: Codes, at: Floats, buy: Flags, stop: float, target: float) -> Floats:
        """When the path reaches a stop or a target, within a day."""
        out = at + DAY
        for i in range(len(at)):
            first = min(int(at[i] / STEP) + 1, self.path.shape[1] - 1)
            moved = self.path[symbol[i], first : first + int(DAY / STEP)] - self.path[symbol[i], first - 1]
            hits = np.flatnonzero(np.abs(moved) >= min(stop, target))
            gain = moved[hits] if buy[i] else -moved[hits]
            hits = hits[(gain >= target) | (gain <= -stop)]
            if len(hits):
                out[i] = (first + hits[0]) * STEP + 0.3
        return np.maximum(out, at + 1)

    def add(
        self, account: str, symbol: Codes, buy: Flags, at: Floats, end: Floats, lots: Floats | float, magic: int = 0
    ) -> None:
        """Writes an account's positions."""
        rows = pd.DataFrame({"s": symbol, "buy": buy, "t": at, "end": np.maximum(end, at + 0.5), "lots": lots})
        rows = rows.assign(account_id=account, magic=magic)[(rows["t"] >= 0) & (rows["t"] < self.end - 60)]
        if len(rows):
            self.rows.setdefault(account, []).append(rows)

    def trades(self, account: str) -> pd.DataFrame:
        """What an account opened so far, in order."""
        return pd.concat(self.rows[account]).sort_values("t", ignore_index=True)

    def size(self) -> float:
        return float(self.rng.choice([0.01, 0.1, 0.5, 1, 2]))

    # innocents

    def human(self, account: str, n: int | None = None, style: str | None = None) -> None:
        """Somebody who trades a few symbols in a way and at hours of their own."""
        rng = self.rng
        style = style or str(rng.choice(list(STYLES), p=[0.5, 0.25, 0.15, 0.1]))
        fewest, most, held = STYLES[style]
        start = rng.uniform(6, 16)
        hours = (start, min(24.0, start + rng.uniform(2, 6))) if rng.random() < 0.6 else None
        at = self.moments(int(rng.integers(fewest, most)) if n is None else n, hours)
        n = len(at)
        if not n:
            return
        own = rng.choice(self.symbols, min(self.symbols, int(rng.integers(1, 4))), replace=False, p=self.popular)
        symbol = rng.choice(own, n)
        past = self.price(symbol, at) - self.price(symbol, np.maximum(at - 600, 0))
        lean = rng.choice([-1, 0, 0, 1])
        buy = np.where(rng.random(n) < 0.35 * abs(lean), (past > 0) == (lean > 0), rng.random(n) < 0.5)
        end = at + rng.lognormal(np.log(held), 1.0, n)
        if rng.random() < 0.5:
            stop = float(rng.choice([4e-4, 8e-4, 1.6e-3]))
            end = self.touched(symbol, at, buy, stop, stop * float(rng.choice([1, 1.5, 2, 3])))
        base = self.size()
        lots = np.full(n, base) if rng.random() < 0.5 else np.round(base * rng.lognormal(0, 0.5, n), 2)
        if style == "grid":
            self._grid(account, symbol, buy, at, end, lots)
        else:
            self.add(account, symbol, buy, at, end, np.maximum(lots, 0.01))

    def _grid(self, account: str, symbol: Codes, buy: Flags, at: Floats, end: Floats, lots: Floats) -> None:
        """Each opening is followed by more and larger ones seconds or minutes apart; all close together."""
        levels = self.rng.integers(1, 6, len(at))
        of = np.repeat(np.arange(len(at)), levels)
        apart = [np.cumsum(self.rng.exponential(self.rng.choice([3, 40, 300]), level)) for level in levels]
        grown = np.concatenate([1.4 ** np.arange(level) for level in levels])
        at = at[of] + np.concatenate(apart)
        self.add(account, symbol[of], buy[of], at, np.maximum(end[of], at + 30), np.round(lots[of] * grown, 2))

    def news(self, people: list[str]) -> None:
        """Releases at which many act: by waiting orders, by hand, or before."""
        rng, n = self.rng, int(self.rng.integers(5, 25))
        days = [day for day in range(self.days) if day % 7 < 5]
        self.news_at = np.sort(rng.choice(days, n) * DAY + rng.choice([12.5, 14, 18, 9], n) * 3600)
        symbol, up = rng.choice(self.symbols, n, p=self.popular), rng.random(n) < 0.5
        for account in people:
            on = rng.random(n) < rng.uniform(0.2, 1)
            there, m = self.news_at[on], int(on.sum())
            kind = rng.choice(["stop", "hand", "before"])
            if kind == "stop":
                at, buy = there + rng.exponential(0.25, m) + 0.05, up[on]
            elif kind == "hand":
                at, buy = there + rng.lognormal(2, 0.8, m), up[on] ^ (rng.random(m) < 0.2)
            else:
                at, buy = there - rng.exponential(20, m), rng.random(m) < 0.5
            self.add(account, symbol[on], buy, at, at + rng.lognormal(5, 1.2, m), 0.5)

    def breakout(self) -> None:
        """Strangers who trade the break of the range after a bell: one side, at one tick or by hand."""
        rng, symbol = self.rng, int(self.rng.choice(self.symbols, p=self.popular))
        bell, minutes = float(rng.choice([8, 14.5])) * 3600, float(rng.choice([15, 30, 60]))
        at, up = [], []
        for day in (d for d in range(self.days) if d % 7 < 5):
            first = int((day * DAY + bell) / STEP)
            after = first + int(minutes * 60 / STEP)
            early, later = self.path[symbol, first:after], self.path[symbol, after : after + int(3 * 3600 / STEP)]
            hits = np.flatnonzero((later > early.max()) | (later < early.min()))
            if len(hits):
                at.append((after + hits[0]) * STEP + rng.uniform(0, 5))
                up.append(later[hits[0]] > early.max())
        moments, sides = np.array(at), np.array(up, dtype=bool)
        members = [self.account() for _ in range(int(rng.integers(5, 40)))]
        for account in members:
            on = rng.random(len(moments)) < rng.uniform(0.4, 1)
            m = int(on.sum())
            late = rng.exponential(0.3, m) + 0.05 if rng.random() < 0.6 else rng.lognormal(1.5, 0.7, m)
            opened, stop = moments[on] + late, float(rng.choice([5e-4, 1e-3, 2e-3]))
            where = np.full(m, symbol)
            end = self.touched(where, opened, sides[on], stop, stop * float(rng.choice([1, 2, 3])))
            self.add(account, where, sides[on], opened, end, 0.5, int(rng.integers(0, 99_999)))
            if rng.random() < 0.6:
                self.human(account, int(rng.integers(5, 60)), "day")
        self.truth.shared.append({"kind": "robot", "accounts": members})

    def _signals(self) -> tuple[int, float, Floats, Flags]:
        """Symbol, bar, moments and sides of a robot that crosses a moving average in the day."""
        rng, symbol = self.rng, int(self.rng.choice(self.symbols, p=self.popular))
        bar = float(rng.choice([60, 300, 900]))
        close = self.path[symbol, (np.arange(1, int(self.end / bar) - 1) * bar / STEP).astype(int)]
        mean = pd.Series(close).rolling(int(rng.choice([10, 20, 40]))).mean().to_numpy()
        above = np.sign(close - mean)
        turns = np.flatnonzero((above[1:] != above[:-1]) & np.isfinite(mean[:-1])) + 1
        at, up = (turns + 1) * bar, above[turns] > 0
        hour = (at / 3600) % 24
        kept = np.flatnonzero(((at // DAY) % 7 < 5) & (hour > 6) & (hour < 20))
        most = int(rng.integers(30, 250))
        kept = np.sort(rng.permutation(kept)[:most]) if len(kept) > most else kept
        return symbol, bar, at[kept].astype(np.float64), up[kept]

    def family(self) -> list[str]:
        """Accounts of one indicator robot: common or own settings, exits and magic numbers."""
        rng = self.rng
        symbol, bar, at, up = self._signals()
        vary, alike = rng.random() < 0.4, rng.random() < 0.4
        exits, place = str(rng.choice(["opposite", "sltp", "owns", "time"])), rng.choice(["vps", "home"])
        stop, held, magic = (
            float(rng.choice([4e-4, 8e-4])),
            float(rng.choice([300, 1800, 7200])),
            int(rng.integers(1, 100_000)),
        )
        following = np.append(at[1:], at[-1] + 3600) if len(at) else at
        members = [self.account() for _ in range(int(rng.integers(2, 40)))]
        for account in members:
            on = rng.random(len(at)) < rng.choice([1.0, 0.95, 0.8, 0.6])
            m, where = int(on.sum()), np.full(int(on.sum()), symbol)
            fast = rng.gamma(2, 0.04, m) + rng.exponential(0.05)
            opened = at[on] + (fast if place == "vps" else rng.exponential(0.6) + rng.lognormal(-0.7, 0.8, m))
            opened = opened + bar * rng.choice([0, 0, 0, 0, 1, 2], m) * vary
            if exits == "opposite":
                end = np.maximum(following[on] + rng.gamma(2, 0.1, m), opened + 1)
            elif exits == "time":
                end = opened + held + rng.exponential(0.1, m)
            else:
                own = stop * float(rng.choice([0.5, 1, 2, 3])) if exits == "owns" else stop
                end = self.touched(where, opened, up[on], own, 2 * own)
            number = magic if alike else int(rng.integers(1, 100_000))
            self.add(account, where, up[on], opened, end, float(rng.choice([0.1, 0.2, 1])), number)
            if rng.random() < 0.25:
                self.human(account, int(rng.integers(5, 50)))
        self.truth.shared.append({"kind": "robot", "accounts": members})
        return members

    def room(self) -> list[str]:
        """Readers of one signal: by hand, by waiting orders at its price, or by a machine on the channel."""
        rng = self.rng
        at = self.moments(int(rng.integers(15, 150)), (7, 20))
        n = len(at)
        symbol = rng.choice(rng.choice(self.symbols, min(3, self.symbols), replace=False, p=self.popular), n)
        buy, told, target = rng.random(n) < 0.5, at + rng.lognormal(7.8, 0.9, n), float(rng.choice([5e-4, 1e-3, 2e-3]))
        reached = self.touched(symbol, at, buy, target, target * 2)
        waiting, filled = rng.random() < 0.3, at + rng.exponential(600, n)
        exits = str(rng.choice(["told", "sltp", "own"]))
        members = [self.account() for _ in range(int(rng.integers(4, 70)))]
        for account in members:
            on = rng.random(n) < rng.beta(2, 2)
            m, way = int(on.sum()), rng.random()
            if waiting and way < 0.7:
                opened = filled[on] + rng.gamma(2, 0.05, m)
            elif way < 0.1:
                opened = at[on] + rng.uniform(0.5, 2) + rng.exponential(0.4, m)
            else:
                opened = at[on] + rng.lognormal(np.log(rng.uniform(5, 90)), 0.7, m)
            end = {
                "told": told[on] + rng.lognormal(np.log(15), 0.8, m),
                "sltp": np.maximum(reached[on] + rng.exponential(0.2, m), opened + 1),
                "own": opened + rng.lognormal(7.5, 1, m),
            }[exits]
            end = np.where(rng.random(m) < 0.15, opened + rng.lognormal(7, 1, m), end)
            lots = np.round(float(rng.choice([0.1, 0.5, 1])) * rng.lognormal(0, 0.3, m), 2)
            self.add(account, symbol[on], buy[on], opened, end, lots)
            if rng.random() < 0.7:
                self.human(account, int(rng.integers(5, 80)))
        self.truth.shared.append({"kind": "room", "accounts": members})
        return members

    def household(self) -> None:
        """Two who trade the same symbols at the same hours, each for themselves."""
        rng, start = self.rng, self.rng.uniform(8, 18)
        symbols = rng.choice(self.symbols, 2, p=self.popular)
        for account in (self.account(), self.account()):
            at = self.moments(int(rng.integers(20, 90)), (start, start + 3))
            n = len(at)
            self.add(account, rng.choice(symbols, n), rng.random(n) < 0.5, at, at + rng.lognormal(7, 1, n), 0.2)

    # the guilty

    def lags(self, lag: float, n: int) -> Floats:
        """Lags about a length, by one of five distributions."""
        rng, kind = self.rng, self.rng.choice(["lognormal", "uniform", "exponential", "normal", "fixed"])
        if kind == "lognormal":
            return np.asarray(lag * rng.lognormal(0, rng.uniform(0.05, 0.3), n))
        if kind == "uniform":
            width = rng.uniform(0.05, 0.4)
            return np.asarray(lag * rng.uniform(1 - width, 1 + width, n))
        if kind == "exponential":
            return np.asarray(lag * (0.7 + rng.exponential(0.3, n)))
        spread = lag * rng.uniform(0.02, 0.2) if kind == "normal" else min(0.03, 0.1 * lag)
        return np.maximum(lag + rng.normal(0, spread, n), 0.02)

    def _part(self, source: pd.DataFrame, part: str) -> pd.DataFrame:
        """The openings that a follower takes over."""
        rng, n, at = self.rng, len(source), source["t"].to_numpy()
        if part == "third":
            taken = rng.random(n) < 0.35
        elif part == "few":
            taken = np.isin(np.arange(n), rng.permutation(n)[: int(rng.integers(8, 15))])
        elif part == "window":
            start = rng.uniform(0, 0.6) * self.end
            taken = (at > start) & (at < start + rng.uniform(0.25, 0.4) * self.end)
        elif part == "symbol":
            taken = (source["s"] == source["s"].mode()[0]).to_numpy(dtype=bool)
        elif part == "hours":
            taken = (at / 3600) % 24 < 14.5
        else:
            taken = rng.random(n) < rng.uniform(0.85, 1)
        return source.iloc[np.flatnonzero(taken)]

    def _left(self, source: pd.DataFrame, at: Floats, buy: Flags, lag: float) -> tuple[str, Floats]:
        """How a follower leaves, and when."""
        rng, n = self.rng, len(source)
        left = source["end"].to_numpy()
        exits = str(rng.choice(["copied", "shifted", "scaled", "own", "sltp"], p=[0.5, 0.15, 0.1, 0.1, 0.15]))
        if exits == "copied":
            return exits, left + self.lags(lag, n)
        if exits == "shifted":
            return exits, left + rng.uniform(-1, 1) * rng.choice([20, 90]) + rng.normal(0, 10, n)
        if exits == "scaled":
            return exits, at + (left - source["t"].to_numpy()) * rng.uniform(0.5, 1.5)
        if exits == "own":
            return exits, at + rng.lognormal(7, 1, n)
        stop = float(rng.choice([5e-4, 1e-3]))
        return exits, self.touched(source["s"].to_numpy(), at, buy, stop, 2 * stop)

    def follow(
        self,
        leader: str,
        *,
        mirror: bool = False,
        source: pd.DataFrame | None = None,
        part: str | None = None,
        name: str | None = None,
        same_owner: bool = False,
        alone: bool = True,
    ) -> str | None:
        """A follower of a leader, by a part of the trades; `alone` has it trade for itself too. None if too few."""
        rng = self.rng
        parts = ["all", "third", "few", "window", "symbol", "hours"]
        part = part or str(rng.choice(parts, p=[0.35, 0.2, 0.15, 0.12, 0.1, 0.08]))
        source = self._part(self.trades(leader) if source is None else source, part)
        n = len(source)
        if n < 8:
            return None
        lag = float(np.exp(rng.uniform(np.log(0.1), np.log(120))))
        late = self.lags(lag, n)
        at, buy = source["t"].to_numpy() + late, source["buy"].to_numpy() ^ mirror
        exits, end = self._left(source, at, buy, lag)
        way, lots = rng.random(), source["lots"].to_numpy()
        if way >= 0.35:
            lots = lots * rng.uniform(0.2, 3) if way < 0.65 else rng.uniform(0.01, 2, n)
        follower = name or self.account()
        self.add(follower, source["s"].to_numpy(), buy, at, end, np.maximum(np.round(lots, 2), 0.01))
        few = n < 15
        own = int(rng.choice([0, 20, 60, 150])) if alone else 0
        if own := max(own, 20) if few else own:
            self.human(follower, int(own * rng.uniform(0.6, 1.4)))
        if same_owner:
            self.owner[follower] = leader
        self._plant(leader, follower, mirror=mirror, late=late, few=few, same_owner=same_owner, how=f"{part}, {exits}")
        return follower

    def _plant(self, leader: str, follower: str, *, mirror: bool, late: Floats, few: bool, **more: Any) -> None:
        self.truth.pairs.append(
            {
                "leader": leader,
                "follower": follower,
                "relation": "mirror" if mirror else "copy",
                "lag_ms": float(np.median(late)) * 1000,
                "followed": len(late),
                "few": few,
                "same_owner": False,
                "ordered": True,
                **more,
            }
        )

    def leader(self) -> str:
        account = self.account()
        style = str(self.rng.choice(["day", "scalp", "grid"]))
        while account not in self.rows:
            self.human(account, int(self.rng.integers(40, 160)), style)
        return account

    def ring(self) -> None:
        """A leader with a follower, with many, with a chain, or with a follower who has another leader too."""
        rng, first = self.rng, self.leader()
        kind = rng.choice(["pair", "hub", "chain", "switch", "two", "several"], p=[0.55, 0.12, 0.08, 0.1, 0.05, 0.1])
        same = bool(rng.random() < 0.2)
        members: list[str | None] = [first]
        if kind in ("pair", "several"):
            followers = 1 if kind == "pair" else int(rng.integers(2, 5))
            members += [self.follow(first, mirror=bool(rng.random() < 0.3), same_owner=same) for _ in range(followers)]
        elif kind == "hub":
            members += [self.follow(first, mirror=bool(rng.random() < 0.1)) for _ in range(int(rng.integers(8, 20)))]
        elif kind == "chain":
            second = self.follow(first, part="all", alone=False)
            members += [second, self.follow(second, part="all") if second else None]
        else:
            members += self._of_two(first, self.leader(), one_after_the_other=kind == "switch")
        self.truth.rings.append({member for member in members if member})

    def _of_two(self, first: str, second: str, *, one_after_the_other: bool) -> list[str | None]:
        """The second leader and a follower of both: of one and then of the other, or of a third of each."""
        ways: tuple[dict[str, Any], dict[str, Any]] = ({"part": "third"}, {"part": "third"})
        if one_after_the_other:
            cut, one, other = self.rng.uniform(0.35, 0.65) * self.end, self.trades(first), self.trades(second)
            ways = (
                {"part": "all", "source": one[one["t"] < cut]},
                {"part": "all", "source": other[other["t"] >= cut]},
            )
        follower = self.follow(first, alone=not one_after_the_other, **ways[0])
        if follower:
            self.follow(second, name=follower, alone=False, **ways[1])
        return [second, follower]

    def hedge(self) -> None:
        """Two accounts that take opposite sides of the same decisions."""
        rng, one, other = self.rng, self.account(), self.account()
        at = self.moments(int(rng.integers(10, 60)))
        n = len(at)
        symbol, buy, end = (
            rng.choice(rng.choice(self.symbols, 2), n),
            rng.random(n) < 0.5,
            at + rng.lognormal(8, 0.8, n),
        )
        late = rng.choice([0.2, 1, 4, 20]) * rng.lognormal(0, 0.25, n)
        self.add(one, symbol, buy, at, end, np.round(rng.uniform(0.5, 2, n), 2))
        left = end + rng.normal(0, rng.choice([1, 15]), n)
        self.add(other, symbol, ~buy, at + late, left, np.round(rng.uniform(0.5, 2, n), 2))
        self._plant(one, other, mirror=True, late=late, few=n < 15, how="hedge")
        self.truth.rings.append({one, other})

    def copy_of_a_member(self, group: list[str], name: str) -> None:
        """Sometimes somebody copies a member of a robot family or of a room."""
        if not group or self.rng.random() >= 0.5:
            return
        member = str(self.rng.choice(group))
        if member not in self.rows or len(self.trades(member)) <= 30:
            return
        follower = self.follow(member, mirror=bool(self.rng.random() < 0.3), part="all")
        if follower:
            self.truth.rings.append({member, follower})
            self.truth.pairs[-1]["how"] += f" of {name}"

    def fill(self, *, guilty: bool) -> None:
        """Puts everybody in."""
        rng = self.rng
        people = [self.account() for _ in range(int(rng.integers(400, 1500)))]
        for account in people:
            self.human(account)
        self.news(list(rng.choice(people, len(people) // 5, replace=False)))
        for _ in range(int(rng.integers(0, 3))):
            self.breakout()
        families = [member for _ in range(int(rng.integers(1, 7))) for member in self.family()]
        rooms = [member for _ in range(int(rng.integers(1, 5))) for member in self.room()]
        for _ in range(int(rng.integers(5, 25))):
            self.household()
        if not guilty:
            return
        for _ in range(int(rng.integers(10, 35))):
            self.ring()
        for _ in range(int(rng.integers(2, 10))):
            self.hedge()
        self.copy_of_a_member(families, "a family")
        self.copy_of_a_member(rooms, "a room")

    def firm(self) -> Firm:
        """The firm as platforms tell it: each has a step and a clock of its own."""
        rng, names = self.rng, np.array(sorted(self.rows), dtype=object)
        rows = pd.concat([part for name in names for part in self.rows[name]], ignore_index=True)
        platform = rng.choice(len(PLATFORMS), len(names), p=[0.4, 0.3, 0.2, 0.1])
        step = np.array([1e-3, 1.0 if rng.random() < 0.5 else 1e-3, 1e-3, 1e-3])
        ahead = np.array([0, *rng.choice([0, 0, 1.0], 3) * rng.uniform(-3, 3, 3)])
        on = platform[np.searchsorted(names, rows["account_id"].to_numpy(dtype=object))]
        symbol, at, end = rows["s"].to_numpy(), rows["t"].to_numpy(), rows["end"].to_numpy()

        def shown(seconds: Floats) -> pd.Series:
            told = np.floor((seconds + ahead[on]) / step[on] + 1e-6) * step[on]
            return pd.Series(START + pd.to_timedelta(told, unit="s")).astype("datetime64[us, UTC]")

        trades = pd.DataFrame(
            {
                "account_id": rows["account_id"],
                "trade_id": [f"t{i}" for i in range(len(rows))],
                "instrument": SYMBOLS[symbol],
                "side": np.where(rows["buy"].astype(bool), "buy", "sell"),
                "lots": rows["lots"].astype(float),
                "opened_at": shown(at),
                "closed_at": shown(end),
                "open_price": 100 * np.exp(self.price(symbol, at)),
                "close_price": 100 * np.exp(self.price(symbol, end)),
                "magic": rows["magic"],
                "comment": "",
            }
        )
        clocks = {"step_s": step[platform], "ahead_s": (ahead - step / 2)[platform]}
        accounts = pd.DataFrame({"account_id": names, "platform": PLATFORMS[platform], "server": "live", **clocks})
        news = pd.DataFrame(
            {"occurs_at": START + pd.to_timedelta(self.news_at, unit="s"), "impact": "high", "currency": "USD"}
        )
        owners = {str(name): f"o-{self.owner.get(str(name), name)}" for name in names}
        return Firm(trades, owners, news.iloc[:0] if rng.random() < 0.3 else news, self.truth, accounts)


def make_ledger_firm(seed: int) -> Firm:
    """A firm of this family; every fifth seed has no copier."""
    ledger = _Ledger(seed)
    ledger.fill(guilty=seed % 5 != 0)
    return ledger.firm()
