"""Made-up firms whose people and robots act on one price path, so that innocent crowds arise of themselves.

Nothing is shared with `coordination_firms` but the shape of the answer. Robots read the bars of the path, pending
orders wait at levels, stops and targets are hit when the path touches them, rooms are followed at human delays,
followers join and leave, platforms have clocks of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.quality.coordination_firms import START, Firm, Truth

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
DAY = 86_400.0
LONGEST_S = 2 * DAY
SYMBOLS = ("XAUUSD", "EURUSD", "US100", "GBPUSD", "USDJPY", "BTCUSD", "US30", "GER40", "GBPJPY", "USOIL")
PLATFORMS = ("mt5", "mt4", "ctrader")


@dataclass(frozen=True)
class Habits:
    """What lives in one market firm; counts are of groups or accounts, shares of all people."""

    people: int
    days: int
    entries: float
    families: int
    family_most: int
    rooms: int
    room_most: int
    news: int
    news_share: float
    bar_share: float
    level_share: float
    grids: int
    households: int
    leaders: int
    followers_most: int
    mirrors: float
    two_hands: int
    skew_s: float
    coarse: float
    partial: float


def draw_habits(seed: int) -> Habits:
    """Habits drawn over wide ranges."""
    rng = np.random.default_rng([seed, 11])
    return Habits(
        people=int(rng.integers(300, 1800)),
        days=int(rng.integers(28, 90)),
        entries=float(rng.uniform(30, 110)),
        families=int(rng.integers(0, 12)),
        family_most=int(rng.integers(4, 70)),
        rooms=int(rng.integers(0, 8)),
        room_most=int(rng.integers(6, 100)),
        news=int(rng.integers(4, 30)),
        news_share=float(rng.uniform(0, 0.4)),
        bar_share=float(rng.uniform(0, 0.25)),
        level_share=float(rng.uniform(0, 0.3)),
        grids=int(rng.integers(0, 12)),
        households=int(rng.integers(0, 40)),
        leaders=int(rng.choice([0, 5, 15, 30], p=[0.15, 0.25, 0.35, 0.25])),
        followers_most=int(rng.integers(1, 9)),
        mirrors=float(rng.uniform(0.1, 0.5)),
        two_hands=int(rng.integers(0, 5)),
        skew_s=float(rng.choice([0.0, 1.0, 3.0])),
        coarse=float(rng.choice([0.0, 0.0, 0.5])),
        partial=float(rng.uniform(0.1, 0.6)),
    )


class _Market:
    """One firm in the making."""

    def __init__(self, habits: Habits, seed: int) -> None:
        self.h = habits
        self.rng = rng = np.random.default_rng([seed, 13])
        self.symbols = SYMBOLS[: int(rng.integers(5, len(SYMBOLS) + 1))]
        popular = 1 / np.arange(1, len(self.symbols) + 1) ** rng.uniform(0.6, 2.0)
        self.popular = popular / popular.sum()
        minutes = habits.days * 1440 + 1
        hour = (np.arange(minutes) % 1440) / 60
        self.mood = 0.2 + np.exp(-((hour - 8.5) ** 2) / 6) + 1.6 * np.exp(-((hour - 14.5) ** 2) / 5)
        self.mood = self.mood * np.exp(0.5 * np.repeat(rng.normal(size=minutes // 60 + 1), 60)[:minutes])
        self.mood[((np.arange(minutes) // 1440) % 7) >= 5] = 0
        steps = rng.normal(0, 2.5e-4, (len(self.symbols), minutes)) * np.sqrt(self.mood)
        open_days = [d for d in range(habits.days) if d % 7 < 5]
        news_days = np.sort(rng.choice(open_days, min(habits.news, len(open_days)), replace=False))
        self.news_at = news_days * DAY + rng.choice([8.0, 13.5, 14.0, 18.0], len(news_days)) * 3600
        self.news_code = rng.choice(len(self.symbols), len(news_days), p=self.popular)
        self.news_up = rng.random(len(news_days)) < 0.5
        for at, code, up in zip(self.news_at, self.news_code, self.news_up, strict=True):
            steps[code, int(at // 60) + 1 : int(at // 60) + 4] += (1 if up else -1) * rng.uniform(5e-4, 2e-3)
        self.path = np.cumsum(steps, axis=1)
        self.frames: dict[str, list[pd.DataFrame]] = {}
        self.truth = Truth()
        self.count = 0

    def account(self) -> str:
        """A fresh id that tells nothing."""
        self.count += 1
        return f"{(self.count * 104_729) % 9_999_991:07d}"

    def price(self, code: Ints, at: Floats) -> Floats:
        """Logarithm of the price."""
        minute = np.clip(at / 60, 0, self.path.shape[1] - 1.001)
        base = minute.astype(int)
        return np.asarray(self.path[code, base] + (self.path[code, base + 1] - self.path[code, base]) * (minute - base))

    def touched(self, code: int, at: float, stop: float, target: float, buy: bool) -> float:
        """When the path first touches a stop or a target (distances of log price) after an instant."""
        start = float(self.price(np.array([code]), np.array([at]))[0])
        first = int(at // 60) + 1
        path = self.path[code, first : first + int(LONGEST_S // 60)]
        moved = (path - start) * (1 if buy else -1)
        hits = np.flatnonzero((moved >= target) | (moved <= -stop))
        if not len(hits):
            return at + LONGEST_S
        k = int(hits[0])
        before = moved[k - 1] if k else 0.0
        level = target if moved[k] >= target else -stop
        share = (level - before) / (moved[k] - before) if moved[k] != before else 1.0
        begin = max((first + k - 1) * 60.0, at)
        return float(begin + share * ((first + k) * 60.0 - begin))

    def closes(self, code: Ints, at: Floats, buy: Flags, stop: float, target: float) -> Floats:
        """Exits by stop and target."""
        rows = zip(code.tolist(), at.tolist(), buy.tolist(), strict=True)
        return np.array([self.touched(c, t, stop, target, b) for c, t, b in rows])

    def add(
        self, account: str, code: Ints, buy: Flags, at: Floats, end: Floats, lots: Floats | float, magic: int = 0
    ) -> None:
        """Keeps trades of an account that begin within the period."""
        table = {"code": code, "buy": buy, "at": at, "end": np.maximum(end, at + 1), "lots": lots, "magic": magic}
        frame = pd.DataFrame(table)
        frame = frame[(frame["at"] >= 0) & (frame["at"] < self.h.days * DAY)]
        if len(frame):
            self.frames.setdefault(account, []).append(frame)

    def moments(self, count: int) -> Floats:
        """Instants drawn with the market's mood and a person's own hours and weeks."""
        rng = self.rng
        hour, width = rng.uniform(7, 18), rng.uniform(1, 4)
        first = rng.uniform(0, 0.6) * self.h.days if rng.random() < 0.3 else 0.0
        last = max(rng.uniform(0.5, 1) * self.h.days, first + 5) if rng.random() < 0.3 else float(self.h.days)
        at = rng.uniform(first, min(last, self.h.days), 8 * count) // 1 * DAY
        at = np.clip(at + (rng.normal(hour, width, 8 * count) % 24) * 3600, 0, self.h.days * DAY - 60)
        weight = self.mood[(at / 60).astype(int)] + 1e-9
        return np.sort(rng.choice(at, count, replace=False, p=weight / weight.sum()))

    def person(self, account: str, count: int, hours: Floats | None = None) -> None:
        """Someone who follows trends or fades them, with stops and targets or by feel."""
        rng = self.rng
        at = self.moments(count) if hours is None else hours
        own = rng.choice(len(self.symbols), min(3, len(self.symbols)), replace=False, p=self.popular)
        code = rng.choice(own, len(at), p=rng.dirichlet(np.ones(len(own))))
        trend = self.price(code, at) > self.price(code, np.maximum(at - rng.choice([600, 3600]), 0))
        buy = np.where(
            rng.random(len(at)) < rng.uniform(0.3, 0.9), trend ^ (rng.random() < 0.4), rng.random(len(at)) < 0.5
        )
        stop = rng.choice([5e-4, 1e-3, 2e-3])
        end = self.closes(code, at, buy, stop, stop * rng.choice([1, 2, 3]))
        by_feel = rng.random(len(at)) < rng.random()
        end = np.where(by_feel, at + rng.lognormal(np.log(rng.choice([200, 1200, 5000])), 1, len(at)), end)
        lots = rng.choice([0.01, 0.1, 0.5, 1]) * np.where(rng.random() < 0.5, 1, rng.integers(1, 5, len(at)))
        self.add(account, code, buy, at, end, lots)

    def crossings(self, code: int, bar: int, fast: int, slow: int) -> tuple[Floats, Flags]:
        """Bar openings at which a fast mean crosses a slow one."""
        closes = self.path[code, ::bar]
        mean = np.convolve(closes, np.ones(fast) / fast, "full")[: len(closes)]
        base = np.convolve(closes, np.ones(slow) / slow, "full")[: len(closes)]
        above = mean > base
        turns = np.flatnonzero(above[1:] != above[:-1]) + 1
        turns = turns[turns > slow]
        at = turns * bar * 60.0
        live = self.mood[np.minimum(turns * bar, len(self.mood) - 1)] > 0.2
        return np.asarray(at[live]), np.asarray(above[turns][live])

    def family(self) -> None:
        """Buyers of one expert advisor: own latency, settings, hours, weeks and perhaps magic numbers."""
        rng = self.rng
        bar = int(rng.choice([1, 5, 15, 60]))
        code = int(rng.choice(len(self.symbols), p=self.popular))
        fast, slow = int(rng.integers(3, 9)), int(rng.integers(12, 40))
        at, up = self.crossings(code, bar, fast, slow)
        thin = np.sort(rng.choice(len(at), min(len(at), int(rng.integers(30, 200))), replace=False))
        stop, target = rng.choice([5e-4, 1e-3, 2e-3]), rng.choice([1e-3, 2e-3, 4e-3])
        by_signal, varied, magic = rng.random() < 0.3, rng.random() < 0.5, int(rng.integers(0, 9999))
        speed, unrest = rng.uniform(0.05, 1.0), rng.uniform(0.05, 1.5)
        offset = 0.0 if rng.random() < 0.6 else float(rng.uniform(1, 59))  # acts at a second of its own, not at the bar
        ids = []
        for _ in range(int(np.exp(rng.uniform(np.log(2), np.log(max(self.h.family_most, 3)))))):
            account = self.account()
            ids.append(account)
            mine = np.asarray(at[thin]), np.asarray(up[thin])
            if varied and rng.random() < 0.5:
                all_at, all_up = self.crossings(code, bar, fast, slow + int(rng.integers(-2, 3)))
                some = np.isin(all_at, mine[0]) | (rng.random(len(all_at)) < 0.1)
                mine = all_at[some], all_up[some]
            first, last = np.sort(rng.uniform(0, self.h.days, 2)) if rng.random() < 0.3 else (0, self.h.days)
            on = (mine[0] >= first * DAY) & (mine[0] <= last * DAY) & (rng.random(len(mine[0])) < rng.uniform(0.7, 1))
            opened, buy = mine[0][on], mine[1][on]
            opened = (
                opened
                + offset
                + speed * rng.lognormal(0, 0.8)
                + rng.exponential(unrest * rng.uniform(0.1, 1), len(opened))
            )
            codes = np.full(len(opened), code)
            if by_signal:
                after = np.searchsorted(at, opened)
                end = np.append(at, self.h.days * DAY)[after] + offset + rng.exponential(unrest, len(opened))
            else:
                own = rng.uniform(0.9, 1.1) if varied else 1.0
                end = self.closes(codes, opened, buy, stop * own, target * own)
            lots = np.round(
                rng.choice([0.1, 0.3, 1]) * (1 if rng.random() < 0.5 else rng.uniform(0.7, 1.4, len(opened))), 2
            )
            self.add(
                account, codes, buy, opened, end, lots, magic if rng.random() < 0.5 else int(rng.integers(0, 9999))
            )
            if rng.random() < 0.4:
                self.person(account, int(rng.integers(5, 60)))
        self.truth.shared.append({"kind": "robot", "accounts": ids})

    def room(self) -> None:
        """Readers of one channel: human delays of their own, exits by the channel's stop and target, or by hand."""
        rng = self.rng
        at = self.moments(int(rng.integers(20, 110)))
        code = rng.choice(rng.choice(len(self.symbols), 2, replace=False), len(at))
        buy = rng.random(len(at)) < 0.5
        stop, target = rng.choice([1e-3, 2e-3]), rng.choice([1e-3, 2e-3, 4e-3])
        told = self.closes(code, at, buy, stop, target)
        ids = []
        keen, pace = rng.uniform(0.2, 0.8), rng.uniform(4, 60)
        for _ in range(int(np.exp(rng.uniform(np.log(3), np.log(max(self.h.room_most, 4)))))):
            account = self.account()
            on = rng.random(len(at)) < np.clip(keen + rng.normal(0, 0.2), 0.1, 1)
            n = int(on.sum())
            machine = rng.random() < 0.12
            late = rng.uniform(0.5, 3) + rng.exponential(0.4, n)
            if not machine:
                late = rng.lognormal(np.log(pace * rng.uniform(0.4, 2.5)), rng.uniform(0.3, 0.9), n)
            end = told[on] + rng.exponential(0.3, n)  # the channel's target, hit on every account at once
            hand = rng.random(n) < rng.uniform(0.1, 1.0)
            end = np.where(hand, at[on] + late + rng.lognormal(7.2, 1.1, n), end)
            self.add(
                account,
                code[on],
                buy[on],
                at[on] + late,
                end,
                np.round(rng.choice([0.1, 0.5]) * rng.integers(1, 4, n), 2),
            )
            ids.append(account)
            if rng.random() < 0.8:
                self.person(account, int(rng.lognormal(np.log(self.h.entries), 0.7)) + 3)
        if rng.random() < 0.3:
            account = self.account()
            self.add(account, code, buy, at - rng.uniform(0.5, 6), told, 1.0)
            ids.append(account)
        self.truth.shared.append({"kind": "room", "accounts": ids})

    def news_crowd(self, ids: NDArray[Any]) -> None:
        """Some click when the number is out, some have orders waiting that the jump triggers."""
        rng = self.rng
        for account in ids:
            on = rng.random(len(self.news_at)) < rng.uniform(0.2, 0.95)
            n = int(on.sum())
            waits = rng.random() < 0.3
            late = (
                rng.uniform(0.2, 2) + rng.exponential(0.2, n) if waits else rng.exponential(rng.uniform(2, 15), n) + 0.5
            )
            buy = np.where(
                rng.random(n) < (0.98 if waits else rng.uniform(0.5, 0.95)), self.news_up[on], ~self.news_up[on]
            )
            at = self.news_at[on] + late
            stop = rng.choice([1e-3, 2e-3])
            self.add(
                str(account), self.news_code[on], buy, at, self.closes(self.news_code[on], at, buy, stop, stop), 0.5
            )

    def levels(self, ids: NDArray[Any]) -> None:
        """Orders that wait at round prices are all filled when the path gets there."""
        rng = self.rng
        events: dict[int, Floats] = {}
        for code in range(len(self.symbols)):
            grid = np.floor(self.path[code] / rng.choice([5e-3, 1e-2]))
            events[code] = np.flatnonzero(grid[1:] != grid[:-1]) * 60.0 + rng.uniform(
                0, 60, int((grid[1:] != grid[:-1]).sum())
            )
        for account in ids:
            code = int(rng.choice(len(self.symbols), p=self.popular))
            at = events[code][rng.random(len(events[code])) < rng.uniform(0.05, 0.4)]
            after = np.full(len(at), code)
            up = self.price(after, at + 60) > self.price(after, at - 60)
            buy = up ^ (rng.random() < 0.5)
            opened = at + rng.exponential(0.2, len(at))
            stop = rng.choice([5e-4, 1e-3, 2e-3])
            self.add(
                str(account), after, buy, opened, self.closes(after, opened, buy, stop, stop * rng.choice([1, 2])), 0.2
            )

    def bar_robots(self, ids: NDArray[Any]) -> None:
        """Robots of strangers, each with an indicator of its own on the same bars."""
        rng = self.rng
        for account in ids:
            bar = int(rng.choice([1, 5, 60]))
            code = int(rng.choice(len(self.symbols), p=self.popular))
            at, up = self.crossings(code, bar, int(rng.integers(2, 12)), int(rng.integers(13, 60)))
            keep = np.sort(rng.choice(len(at), min(len(at), int(rng.integers(30, 250))), replace=False))
            at, buy = at[keep] + rng.exponential(rng.uniform(0.05, 1.5), len(keep)), up[keep] ^ (rng.random() < 0.4)
            stop = rng.choice([5e-4, 1e-3, 2e-3])
            codes = np.full(len(at), code)
            self.add(
                str(account),
                codes,
                buy,
                at,
                self.closes(codes, at, buy, stop, 2 * stop),
                0.1,
                int(rng.integers(1, 999)),
            )

    def grid(self, account: str) -> None:
        """Layers at equal distances of price from a start of its own."""
        rng = self.rng
        code = int(rng.choice(len(self.symbols), p=self.popular))
        starts = self.moments(25)
        for begin in starts:
            first = int(begin // 60)
            path = self.path[code, first : first + 240] - self.path[code, first]
            steps = np.flatnonzero(np.diff(np.floor(path / rng.uniform(3e-4, 6e-4))))
            at = begin + steps * 60.0 + rng.uniform(0, 60, len(steps))
            self.add(
                account,
                np.full(len(at), code),
                np.full(len(at), rng.random() < 0.5),
                at,
                np.full(len(at), begin + 15_000),
                0.02,
                5,
            )

    def household(self) -> None:
        """Two who live together and trade at the same hours, each by their own mind."""
        rng = self.rng
        at = self.moments(int(rng.integers(20, 90)))
        for _ in range(2):
            near = np.sort(at + rng.normal(0, 1800, len(at)))
            self.person(self.account(), len(near), np.clip(near, 0, self.h.days * DAY - 60))

    def everything(self, account: str) -> pd.DataFrame:
        """All trades of an account so far."""
        return pd.concat(self.frames[account]).sort_values("at")

    def follow(self, leader: str, relation: str, same: bool) -> str:
        """A new account behind a leader: by software or by hand, all of it or a third, always or for some weeks."""
        rng = self.rng
        account, source = self.account(), self.everything(leader)
        few = rng.random() < 0.2
        if rng.random() < 0.25 and len(source) > 60:
            first, last = np.sort(rng.uniform(source["at"].min(), source["at"].max(), 2))
            part = source[(source["at"] >= first) & (source["at"] <= last)]
            source = part if len(part) >= 20 else source
        if few:
            some = np.sort(rng.choice(len(source), min(len(source), int(rng.integers(8, 15))), replace=False))
            source = source.iloc[some]
        elif rng.random() < self.h.partial:
            source = source[rng.random(len(source)) < 0.35]
            few = len(source) < 15
        n = len(source)
        by_hand = rng.random() < 0.4
        lag = np.exp(rng.uniform(np.log(4), np.log(110))) if by_hand else np.exp(rng.uniform(np.log(0.1), np.log(20)))
        spread = rng.uniform(0.1, 0.3) if by_hand else rng.uniform(0.01, 0.15)
        lags = lag * rng.lognormal(0, spread, n)
        at, end = source["at"].to_numpy() + lags, source["end"].to_numpy()
        if rng.random() < 0.35:
            end = end + rng.exponential(rng.choice([20, 120, 400]), n)
        else:
            end = end + lag * rng.lognormal(0, spread, n)
        lots = source["lots"].to_numpy() * rng.choice([0.5, 1, 3])
        if rng.random() < 0.4:
            lots = np.round(rng.uniform(0.1, 2, n), 2)
        buy = source["buy"].to_numpy(dtype=bool)
        self.add(account, source["code"].to_numpy(), buy if relation == "copy" else ~buy, at, end, lots)
        if rng.random() < 0.5 or few:
            self.person(account, int(rng.integers(10, 90)))
        self._planted(leader, account, relation, lags, few, same, True)
        return account

    def _planted(
        self, leader: str, follower: str, relation: str, lags: Floats, few: bool, same: bool, ordered: bool
    ) -> None:
        """Writes a pair into the truth."""
        self.truth.pairs.append(
            {
                "leader": leader,
                "follower": follower,
                "relation": relation,
                "lag_ms": float(np.median(lags)) * 1000 if len(lags) else 0.0,
                "followed": len(lags),
                "few": few,
                "same_owner": same,
                "ordered": ordered,
            }
        )

    def ring(self, strangers: list[str]) -> None:
        """A leader with followers, perhaps a follower's follower."""
        rng = self.rng
        leader = str(rng.choice(strangers)) if strangers and rng.random() < 0.3 else self.account()
        if leader not in self.frames:
            self.person(leader, int(rng.integers(30, 180)))
        if len(self.everything(leader)) < 20:
            self.person(leader, 40)
        same = bool(rng.random() < 0.25)
        members = {leader}
        for _ in range(int(rng.integers(1, self.h.followers_most + 1))):
            relation = "mirror" if rng.random() < self.h.mirrors else "copy"
            above = leader if rng.random() < 0.9 or len(members) == 1 else str(rng.choice(sorted(members)))
            if len(self.everything(above)) < 20:
                above = leader
            members.add(self.follow(above, relation, same))
        self.truth.rings.append(members)

    def hands(self) -> None:
        """One person at two screens: either account may be first."""
        rng = self.rng
        relation = "mirror" if rng.random() < 0.7 else "copy"
        one, other = self.account(), self.account()
        self.person(one, int(rng.integers(20, 80)))
        source = self.everything(one)
        n = len(source)
        apart = rng.lognormal(np.log(rng.uniform(1, 15)), 0.5, n) * np.where(rng.random(n) < 0.5, 1, -1)
        end = source["end"].to_numpy() + rng.normal(0, 10, n)
        buy = source["buy"].to_numpy(dtype=bool)
        self.add(
            other,
            source["code"].to_numpy(),
            buy if relation == "copy" else ~buy,
            source["at"].to_numpy() + apart,
            end,
            source["lots"].to_numpy(),
        )
        self._planted(one, other, relation, np.abs(apart), False, False, False)
        self.truth.rings.append({one, other})

    def build(self) -> Firm:
        """The whole firm."""
        h, rng = self.h, self.rng
        ids = [self.account() for _ in range(h.people)]
        for account in ids:
            self.person(account, max(3, int(rng.lognormal(np.log(h.entries), 0.8))))
        everyone = np.array(ids, dtype=object)
        for share, act in (
            (h.news_share, self.news_crowd),
            (h.bar_share, self.bar_robots),
            (h.level_share, self.levels),
        ):
            act(rng.choice(everyone, int(share * len(ids)), replace=False))
        for account in rng.choice(everyone, h.grids, replace=False):
            self.grid(str(account))
        for _ in range(h.households):
            self.household()
        for _ in range(h.families):
            self.family()
        for _ in range(h.rooms):
            self.room()
        for _ in range(h.leaders):
            self.ring(ids)
        for _ in range(h.two_hands if h.leaders else 0):
            self.hands()
        return self.finish()

    def finish(self) -> Firm:
        """Trades as the platforms' clocks saw them, with what the search may know of accounts and news."""
        rng, h = self.rng, self.h
        accounts = sorted(self.frames)
        platform = rng.choice(len(PLATFORMS), len(accounts), p=[0.5, 0.3, 0.2])
        skew = np.array([0.0, rng.uniform(-h.skew_s, h.skew_s), rng.uniform(-h.skew_s, h.skew_s)])
        step = np.array([1e-3, 1.0 if rng.random() < h.coarse else 1e-3, 1e-3])
        table = pd.concat([self.everything(a).assign(account_id=a) for a in accounts], ignore_index=True)
        table = table.iloc[rng.permutation(len(table))].reset_index(drop=True)
        place = platform[np.searchsorted(np.array(accounts), table["account_id"].to_numpy(dtype=str))]

        def clock(seconds: Floats) -> pd.Series:
            seen = np.floor((seconds + skew[place]) / step[place]) * step[place]
            return pd.Series(START + pd.to_timedelta(seen, unit="s")).astype("datetime64[us, UTC]")

        code, at, end = table["code"].to_numpy(), table["at"].to_numpy(), table["end"].to_numpy()
        trades = pd.DataFrame(
            {
                "account_id": table["account_id"],
                "trade_id": [f"t{i}" for i in range(len(table))],
                "instrument": np.array(self.symbols)[code],
                "side": np.where(table["buy"].astype(bool), "buy", "sell"),
                "lots": table["lots"].astype(float),
                "opened_at": clock(at),
                "closed_at": clock(end),
                "open_price": 100 * np.exp(self.price(code, at)),
                "close_price": 100 * np.exp(self.price(code, end)),
                "magic": table["magic"],
            }
        )
        names = pd.DataFrame(
            {
                "account_id": accounts,
                "platform": np.array(PLATFORMS)[platform],
                "server": "live-1",
                "step_s": step[platform],
            }
        )
        names["ahead_s"] = (skew - step / 2)[platform]
        owned = {p["follower"]: p["leader"] for p in self.truth.pairs if p["same_owner"]}
        news = pd.DataFrame(
            {"occurs_at": START + pd.to_timedelta(self.news_at, unit="s"), "impact": "high", "currency": "USD"}
        )
        return Firm(trades, {a: f"o-{owned.get(a, a)}" for a in accounts}, news, self.truth, names)


def make_market_firm(seed: int, habits: Habits | None = None) -> Firm:
    """One market firm; the same seed gives the same firm."""
    return _Market(habits or draw_habits(seed), seed).build()
