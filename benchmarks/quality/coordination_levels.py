"""Made-up firms on unquiet prices with public levels: orders that wait there, small robot families, pupils, copiers.

Everybody acts on one price path per instrument, whose volatility clusters and jumps at news. Highs and lows of the day
before and of the night, the first half hour of London and round prices are levels that many watch: their orders wait
there with stops and targets of a few common sizes. Robots of two to six accounts (some of fourteen) enter at bars or
as a band is touched, with settings of their own or one for all; teachers tell their pupils prices; signals reach a few.
Copiers follow .1 to 120 s behind, wholly, in part or eight to fourteen times, on brokers whose clocks differ by up to
3 s; rings of three to five lead by turns.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.quality.coordination_firms import Firm, Truth
from models.compiled import compiled

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Moves = dict[str, Any]

START = pd.Timestamp("2026-03-02", tz="UTC")
INSTRUMENTS = ("EURUSD", "GBPUSD", "USDJPY", "XAUUSD", "US100", "GER40", "BTCUSD", "AUDUSD")
LIKED = np.array([0.2, 0.12, 0.1, 0.24, 0.16, 0.08, 0.05, 0.05])
DAY, STEP = 86_400, 5
PER_DAY = DAY // STEP
UNIT = 0.008  # a usual day's move of the logarithm of a price
HOURS = np.array([3, 3, 2, 2, 2, 2, 3, 6, 10, 10, 8, 7, 7, 10, 12, 11, 9, 6, 4, 3, 3, 2, 2, 2], dtype=float)
BUFFERS = np.array([0.0, 0.01, 0.02, 0.04]) * UNIT
STOPS, TARGETS = np.array([0.1, 0.15, 0.2, 0.3]) * UNIT, np.array([1.0, 1.5, 2.0, 3.0])
# platform, server, seconds ahead, step of the clock, share
BROKERS = (
    ("mt5", "one", 0.0, 0.001, 0.35),
    ("mt5", "two", 0.0, 0.001, 0.2),
    ("mt4", "main", 0.4, 1.0, 0.15),
    ("ctrader", "main", -0.7, 0.001, 0.12),
    ("dxtrade", "main", 2.6, 0.001, 0.1),
    ("tradelocker", "main", -3.0, 0.001, 0.08),
)


@compiled
def _leave(path: Floats, at: float, low: float, high: float, until: float) -> float:
    """When a path first leaves (low, high) after a time, between its points; NaN if not by then."""
    i = int(at / STEP) + 1
    before, when = path[i - 1] + (path[i] - path[i - 1]) * (at / STEP - (i - 1)), at
    while when < until and i < len(path):
        here, now = path[i], i * float(STEP)
        if here >= high or here <= low:
            level = high if here >= high else low
            part = 0.0 if here == before else (level - before) / (here - before)
            found = when + (now - when) * min(max(part, 0.0), 1.0)
            return found if found <= until else np.nan
        before, when = here, now
        i += 1
    return np.nan


@compiled
def _leave_all(paths: Floats, code: Ints, at: Floats, low: Floats, high: Floats, until: Floats) -> Floats:
    """When each of many leaves its range."""
    out = np.empty(len(at))
    for k in range(len(at)):
        out[k] = _leave(paths[code[k]], at[k], low[k], high[k], until[k])
    return out


@compiled
def _varied(shocks: Floats, slow: float, quick: float) -> Floats:
    """Logarithm of the volatility: one part that lasts days and one that lasts an hour."""
    out = np.empty(len(shocks))
    a = b = 0.0
    for i in range(len(shocks)):
        a, b = slow * a + shocks[i, 0], quick * b + shocks[i, 1]
        out[i] = a + b
    return out


class _Street:
    """Builds one firm."""

    def __init__(self, seed: int, accounts: int, days: int, guilty: bool) -> None:
        self.rng = np.random.default_rng(seed)
        self.days, self.size, self.guilty = days, accounts, guilty
        self.truth = Truth()
        self.moves: dict[str, Moves] = {}
        self.manner: dict[str, str] = {}
        self.owner: dict[str, str] = {}
        self.group: dict[str, str] = {}
        self.news_at = np.sort(
            self.rng.choice(days, days + days // 2) * DAY
            + self.rng.choice([12.5, 13.5, 15.0, 8.0], days + days // 2) * 3600
        )
        self.news_at = np.unique(self.news_at)
        self.paths = np.array([self._path() for _ in INSTRUMENTS])
        self.breaks = self._breaks()

    def _path(self) -> Floats:
        """Logarithms of an instrument's price every few seconds: volatility by the hour, in clusters, and at news."""
        rng, n = self.rng, self.days * PER_DAY
        slow, quick = np.exp(-STEP / (3 * DAY)), np.exp(-STEP / 3600)
        shocks = rng.normal(size=(n, 2)) * np.array([0.35 * np.sqrt(1 - slow**2), 0.5 * np.sqrt(1 - quick**2)])
        usual = np.repeat(np.sqrt(HOURS / HOURS.mean()), 3600 // STEP)
        scale = np.tile(usual, self.days) * np.exp(_varied(shocks, slow, quick))
        moves = rng.standard_t(5, n) * np.sqrt(3 / 5) * scale * UNIT / np.sqrt(PER_DAY)
        for at in self.news_at:
            i = int(at / STEP)
            moves[i : i + 360] *= 1.0 + 2.5 * np.exp(-np.arange(360) / 60)[: len(moves[i : i + 360])]
            moves[i : i + 3] += rng.normal(0, 0.1) * UNIT
        return np.asarray(np.cumsum(moves))

    def price(self, code: Ints, at: Floats) -> Floats:
        """Logarithms of prices at any moment."""
        place = np.clip(at / STEP, 0, self.paths.shape[1] - 1.001)
        i = place.astype(np.int64)
        return np.asarray(self.paths[code, i] + (self.paths[code, i + 1] - self.paths[code, i]) * (place - i))

    def _breaks(self) -> pd.DataFrame:
        """The first break of every public level of a day, as orders with each of the buffers meet it."""
        rows = []
        for code in range(len(INSTRUMENTS)):
            path, spacing = self.paths[code], 0.35 * UNIT
            for day in range(1, self.days):
                p = day * PER_DAY
                before, night = path[p - PER_DAY : p], path[p : p + 7 * 720]
                range_ = path[p + 8 * 720 : p + 8 * 720 + 360]
                above = np.ceil(path[p + 7 * 720] / spacing) * spacing
                for kind, high, low, since in (
                    ("day", before.max(), before.min(), 7.0),
                    ("night", night.max(), night.min(), 7.0),
                    ("opening", range_.max(), range_.min(), 8.51),
                    ("round", above, above - spacing, 7.0),
                    ("round", above + spacing, above - 2 * spacing, 7.0),
                ):
                    rows.append((code, day, kind, True, high, day * DAY + since * 3600))
                    rows.append((code, day, kind, False, low, day * DAY + since * 3600))
        table = pd.DataFrame(rows, columns=["code", "day", "kind", "up", "level", "since"])
        codes, from_ = table["code"].to_numpy(dtype=np.int64), table["since"].to_numpy(dtype=np.float64)
        end = table["day"].to_numpy() * DAY + 20.0 * 3600
        for k, buffer in enumerate(BUFFERS):
            level = table["level"].to_numpy() + np.where(table["up"], buffer, -buffer)
            here = self.price(codes, from_)
            open_ = np.where(table["up"], here < level, here > level)
            low, high = np.where(table["up"], -np.inf, level), np.where(table["up"], level, np.inf)
            met = _leave_all(self.paths, codes, from_, low, high, end)
            table[f"met{k}"] = np.where(open_, met, np.nan)
        return table

    def account(self, manner: str, owner: str | None = None, group: str = "") -> str:
        """A new account."""
        name = f"A{len(self.manner):05d}"
        self.manner[name], self.owner[name], self.group[name] = manner, owner or f"o-{name}", group
        return name

    def add(self, name: str, code: Any, at: Floats, end: Floats, buy: Any, lots: Any, magic: int = 0) -> None:
        """Adds trades to an account, those that lie within the period."""
        keep = (at > 60) & (at < self.days * DAY - 4 * DAY / 24) & np.isfinite(at) & (end > at)
        new = {
            "code": np.broadcast_to(code, at.shape)[keep].astype(np.int64),
            "at": at[keep],
            "end": np.minimum(end[keep], self.days * DAY - 10.0),
            "buy": np.broadcast_to(buy, at.shape)[keep].astype(bool),
            "lots": np.broadcast_to(lots, at.shape)[keep].astype(float),
            "magic": np.full(keep.sum(), magic),
        }
        old = self.moves.get(name)
        self.moves[name] = new if old is None else {k: np.concatenate([old[k], new[k]]) for k in new}

    def out(self, code: Any, at: Floats, buy: Any, stop: Any, target: Any, longest: Any = DAY / 2) -> Floats:
        """When stop or target is reached, or patience ends."""
        code, buy = np.broadcast_to(code, at.shape).astype(np.int64), np.broadcast_to(buy, at.shape).astype(bool)
        at = np.clip(at, 0, self.days * DAY - 2.0 * STEP)
        here = self.price(code, at)
        low = here - np.where(buy, stop, target)
        high = here + np.where(buy, target, stop)
        until = np.broadcast_to(at + longest, at.shape).astype(float)
        found = _leave_all(self.paths, code, at, low, high, until)
        return np.asarray(np.where(np.isnan(found), until, found))

    def lots(self, count: int) -> Floats:
        """Sizes: always one, one of three, or any."""
        rng = self.rng
        base = rng.choice([0.1, 0.2, 0.5, 1.0, 2.0])
        how = rng.choice(["fixed", "steps", "varied"])
        if how == "fixed":
            return np.full(count, base)
        if how == "steps":
            return np.asarray(base * rng.choice([1.0, 2.0, 3.0], count))
        return np.asarray(np.round(base * rng.lognormal(0, 0.5, count) + 0.01, 2))

    def moments(self, count: int) -> Floats:
        """Moments of people, by the hours in which markets are lively."""
        rng = self.rng
        hour = rng.choice(24, count, p=HOURS / HOURS.sum())
        return np.asarray(rng.integers(0, self.days, count) * DAY + (hour + rng.random(count)) * 3600.0)

    def liked(self, count: int) -> Ints:
        """Different instruments, those that are liked more often."""
        return np.asarray(self.rng.choice(len(INSTRUMENTS), count, replace=False, p=LIKED))

    def quick(self, count: int) -> Floats:
        """Seconds from a touched price to the fill of a waiting order."""
        rng = self.rng
        return np.asarray(
            0.02 + rng.lognormal(np.log(0.06), 0.7, count) + (rng.random(count) < 0.1) * rng.exponential(0.4, count)
        )

    def _trades(self, count: int) -> Moves:
        """Trades of a person who decides alone."""
        rng = self.rng
        codes, at = rng.choice(self.liked(int(rng.integers(1, 4))), count), self.moments(count)
        holds = rng.lognormal(np.log(rng.choice([120, 900, 3600, 10800])), rng.uniform(0.5, 1.1), count)
        trend = np.sign(self.price(codes, at) - self.price(codes, np.maximum(at - 1800, 0)))
        buy = (trend > 0) == (rng.random(count) < rng.uniform(0.3, 0.7))
        end = at + holds
        if rng.random() < 0.6:
            stop = rng.choice(STOPS)
            end = np.minimum(end, self.out(codes, at, buy, stop, stop * rng.choice(TARGETS)))
        return {"code": codes, "at": at, "end": np.maximum(end, at + 2), "buy": buy, "lots": self.lots(count)}

    def person(self, manner: str = "person", owner: str | None = None) -> str:
        """Somebody who decides alone, and now and then hedges a trade in the same account."""
        rng, name = self.rng, self.account(manner, owner)
        own = self._trades(int(rng.lognormal(np.log(55), 0.5)) + 8)
        self.add(name, **own)
        if rng.random() < 0.12:
            k = rng.random(len(own["at"])) < 0.3
            n = int(k.sum())
            at, end = own["at"][k] + rng.exponential(15, n) + 1, own["end"][k] + 5
            self.add(name, own["code"][k], at, end, ~own["buy"][k], self.lots(n))
        return name

    def breakout(self, owner: str | None = None, like: Any = None) -> str:
        """Orders that wait at public levels, or a hand that is as quick as it is."""
        rng, name = self.rng, self.account("breakout", owner)
        own = like or (
            self.liked(int(rng.integers(1, 4))),
            set(rng.choice(["day", "night", "opening", "round"], rng.integers(1, 3), replace=False)),
            rng.choice(4, p=[0.45, 0.25, 0.2, 0.1]),
            rng.choice(STOPS),
            rng.choice(TARGETS),
            rng.random() < 0.7,
        )
        codes, kinds, buffer, stop, target, waits = own
        took = self.breaks[self.breaks["code"].isin(codes) & self.breaks["kind"].isin(kinds)]
        met = took[f"met{buffer}"].to_numpy()
        took, met = took[np.isfinite(met)], met[np.isfinite(met)]
        some = rng.random(len(met)) < rng.uniform(0.15, 0.7)
        took, met = took[some], met[some]
        late = self.quick(len(met)) if waits else rng.lognormal(np.log(rng.uniform(3, 12)), 0.6, len(met))
        code, buy = took["code"].to_numpy(), took["up"].to_numpy()
        end = self.out(code, met, buy, stop, stop * target, 10 * 3600.0) + self.quick(len(met))
        by_hand = rng.random(len(met)) < rng.choice([0.0, 0.0, 0.3, 0.8])
        end = np.where(by_hand, np.minimum(end, met + rng.lognormal(np.log(1500), 0.8, len(met))), end)
        self.add(name, code, met + late, np.maximum(end, met + late + 0.5), buy, self.lots(len(met)))
        return name

    def _bar_signals(self, code: int, bar: int, fast: int, slow: int) -> tuple[Floats, NDArray[np.bool_]]:
        """Openings of bars at which one average has crossed another, and whether upwards."""
        closes = self.paths[code][bar // STEP - 1 :: bar // STEP]
        total = np.concatenate([[0.0], np.cumsum(closes)])
        quick, long = ((total[k:] - total[:-k])[slow - k :] / k for k in (fast, slow))
        above = quick > long
        turn = np.flatnonzero(above[1:] != above[:-1]) + slow
        return np.asarray((turn + 1) * float(bar)), np.asarray(above[turn - slow + 1], dtype=bool)

    def _band_signals(self, code: int, width: float, minutes: int) -> tuple[Floats, NDArray[np.bool_]]:
        """When the price leaves a band about its average, as it ticks."""
        path = self.paths[code]
        k = minutes * 60 // STEP
        total = np.concatenate([[0.0], np.cumsum(path)])
        squares = np.concatenate([[0.0], np.cumsum((path - path.mean()) ** 2)])
        mean = (total[k:] - total[:-k]) / k
        spread = np.sqrt(np.maximum((squares[k:] - squares[:-k]) / k - (mean - path.mean()) ** 2, 1e-12))
        z = (path[k - 1 :] - mean) / spread
        at, buy = [], []
        for side in (1, -1):
            over = side * z > width
            i = np.flatnonzero(over[1:] & ~over[:-1])
            part = (width - side * z[i]) / np.maximum(side * (z[i + 1] - z[i]), 1e-9)
            at.append((i + k - 1 + part) * STEP)
            buy.append(np.full(len(i), side < 0))
        times, sides = np.concatenate(at), np.concatenate(buy)
        order = np.argsort(times)
        times, sides = times[order], sides[order]
        kept, last = [], -1e9
        for j, t in enumerate(times):
            if t - last > 2700:
                kept.append(j)
                last = t
        return times[kept], sides[kept]

    def robots(self, size: int) -> list[str]:
        """Accounts of people who run one robot, each with a machine and perhaps settings of its own."""
        rng = self.rng
        at_bars, one_setting, one_exit = rng.random() < 0.55, rng.random() < 0.5, rng.random() < 0.5
        code, bar = int(rng.choice(len(INSTRUMENTS), p=LIKED)), int(rng.choice([300, 900, 3600], p=[0.3, 0.5, 0.2]))
        fast, slow = int(rng.integers(4, 12)), int(rng.integers(18, 50))
        width, minutes = rng.uniform(2.2, 3.0), int(rng.choice([30, 60, 120]))
        stop, target = rng.choice(STOPS), rng.choice(TARGETS)
        one_magic = rng.random() < 0.4
        kind = f"{'bar' if at_bars else 'tick'} {'same' if one_setting else 'own'}"
        kind = f"robots {kind} {'sameexit' if one_exit else 'ownexit'} {size} {len(self.manner)}"
        on = rng.random(self.days * DAY // 900 + 1)  # the hours in which the robot acts at all are those of its maker
        members: list[str] = []
        share = rng.uniform(0.5, 1.0)
        wanted = rng.uniform(25, 120)
        for _ in range(size):
            name = self.account("robot", group=kind)
            if at_bars:
                f, s = (fast, slow) if one_setting else (fast + rng.integers(-1, 2), slow + rng.integers(-4, 5))
                at, buy = self._bar_signals(code, bar, int(f), int(s))
            else:
                at, buy = self._band_signals(code, width if one_setting else width * rng.uniform(0.96, 1.04), minutes)
            keep = on[(at // 900).astype(int)] < wanted / max(len(at), 1)
            keep &= rng.random(len(at)) < min(1.0, share * rng.uniform(0.85, 1.15))
            at, buy = at[keep], buy[keep]
            late = rng.lognormal(np.log(rng.choice([0.08, 0.2, 0.5, 1.2])), rng.uniform(0.15, 0.5), len(at))
            own_stop, own_target = (stop, target) if one_exit else (rng.choice(STOPS), rng.choice(TARGETS))
            end = self.out(code, at + (0 if one_exit else late), buy, own_stop, own_stop * own_target, 8 * 3600.0)
            end = end + self.quick(len(at))
            magic = 7000 + len(members) * (not one_magic) + int(rng.integers(0, 2)) * (not one_magic) * 50
            self.add(name, code, at + late, np.maximum(end, at + late + 0.5), buy, self.lots(len(at)), magic)
            members.append(name)
        self.truth.shared.append({"kind": "robots", "accounts": members})
        return members

    def school(self) -> list[str]:
        """A teacher who tells prices; pupils whose orders wait there, or who read and decide."""
        rng = self.rng
        inside = rng.random() < 0.5
        code = self.liked(2)
        count = int(rng.uniform(0.8, 2.0) * self.days)
        told = np.sort(self.moments(count))
        codes = rng.choice(code, count)
        up = rng.random(count) < 0.5
        away = rng.uniform(0.05, 0.2, count) * UNIT
        here = self.price(codes, told)
        level = here + np.where(up, away, -away)
        touched = _leave_all(
            self.paths, codes, told, np.where(up, -np.inf, level), np.where(up, level, np.inf), told + 4 * 3600
        )
        buy = up == (rng.random() < 0.6)  # breaks or bounces
        stop, target = rng.choice(STOPS), rng.choice(TARGETS)
        met = np.isfinite(touched)
        codes, touched, buy = codes[met], touched[met], buy[met]
        told_end = self.out(codes, touched, buy, stop, stop * target, 8 * 3600.0)
        school, members = f"school {len(self.manner)}", list[str]()
        for k in range(int(rng.integers(4, 15))):
            teacher = k == 0 and inside
            name = self.account("teacher" if teacher else "pupil", group=school)
            some = rng.random(len(touched)) < (0.95 if teacher else rng.uniform(0.25, 0.75))
            waits = rng.random() < 0.5
            late = (
                self.quick(some.sum())
                if waits or teacher
                else rng.lognormal(np.log(rng.uniform(10, 40)), 0.7, some.sum())
            )
            at, side = touched[some] + late, buy[some]
            end = told_end[some] + self.quick(some.sum())
            if not teacher and rng.random() < 0.6:
                own_stop = rng.choice(STOPS)
                end = self.out(codes[some], at, side, own_stop, own_stop * rng.choice(TARGETS), 8 * 3600.0)
            self.add(name, codes[some], at, np.maximum(end, at + 1), side, self.lots(some.sum()))
            members.append(name)
        self.truth.shared.append({"kind": "school", "accounts": members})
        return members

    def signals(self) -> list[str]:
        """A public signal of which some accounts of the firm read: by hand, or by machines where there are many."""
        rng = self.rng
        size = int(rng.choice([3, 5, 8, 14, 25]))
        bots = size >= 8 and rng.random() < 0.5
        count = int(rng.uniform(0.6, 2.0) * self.days)
        told, codes = np.sort(self.moments(count)), rng.choice(self.liked(2), count)
        buy = rng.random(count) < 0.5
        stop, target = rng.choice(STOPS), rng.choice(TARGETS)
        told_end = self.out(codes, told, buy, stop, stop * target, 8 * 3600.0)
        kind = f"signals {'bots' if bots else 'people'} {size} {len(self.manner)}"
        members: list[str] = []
        for _ in range(size):
            name = self.account("reader", group=kind)
            some = rng.random(count) < (rng.uniform(0.6, 1.0) if bots else rng.uniform(0.2, 0.7))
            n = int(some.sum())
            late = (
                rng.uniform(0.8, 4) * rng.lognormal(0, 0.2, n)
                if bots
                else rng.lognormal(np.log(rng.uniform(12, 50)), 0.65, n)
            )
            at = told[some] + late
            end = told_end[some] + (rng.uniform(0.8, 4) * rng.lognormal(0, 0.2, n) if bots else self.quick(n))
            if not bots and rng.random() < 0.5:
                own_stop = rng.choice(STOPS)
                end = self.out(codes[some], at, buy[some], own_stop, own_stop * rng.choice(TARGETS), 8 * 3600.0)
            self.add(name, codes[some], at, np.maximum(end, at + 1), buy[some], self.lots(n))
            members.append(name)
        self.truth.shared.append({"kind": "signals", "accounts": members})
        return members

    def news_scalper(self) -> str:
        """Orders on both sides of the price before the numbers, or a quick hand after them."""
        rng, name = self.rng, self.account("news")
        at = self.news_at[rng.random(len(self.news_at)) < rng.uniform(0.2, 0.8)]
        code = rng.choice(self.liked(2), len(at))
        here = self.price(code, at - 5)
        away = rng.choice([0.03, 0.05, 0.08]) * UNIT
        if rng.random() < 0.5:
            met = _leave_all(self.paths, code, at - 5, here - away, here + away, at + 600)
            late = self.quick(len(at))
        else:
            met, late = at, rng.lognormal(np.log(rng.uniform(2, 10)), 0.5, len(at))
        fine = np.isfinite(met)
        code, here, met, late = code[fine], here[fine], met[fine], late[fine]
        buy = self.price(code, met + 1) > here
        end = self.out(code, met + late, buy, rng.choice(STOPS) / 2, rng.choice(STOPS), rng.choice([60, 300, 1800]))
        self.add(name, code, met + late, end + self.quick(len(end)), buy, self.lots(len(end)))
        self.trades_besides(name, int(rng.integers(5, 30)))
        return name

    def trades_besides(self, name: str, count: int) -> None:
        """Gives an account trades of its own as well."""
        if count:
            self.add(name, **self._trades(count))

    def _taken(self, lead: Moves, relation: str, part: str) -> Ints:
        """Which of a leader's trades are followed: all, some, a time of them, or eight to fourteen; by time."""
        rng = self.rng
        order = np.argsort(lead["at"])
        since, until = 0.0, self.days * float(DAY)
        if part != "few" and rng.random() < 0.3:
            since = rng.uniform(0, 0.5) * until
            until = since + rng.uniform(0.4, 0.6) * self.days * DAY
        order = order[(lead["at"][order] >= since) & (lead["at"][order] <= until)]
        if relation == "mirror" and rng.random() < 0.3:  # who reverses skips what comes after a loss
            won = (self.price(lead["code"], lead["end"]) > self.price(lead["code"], lead["at"])) == lead["buy"]
            order = order[np.concatenate([[True], won[order][:-1]])]
        order = order[rng.random(len(order)) < {"all": 1.0, "most": 0.7, "third": 0.35, "few": 1.0}[part]]
        if part == "few" and len(order):
            count = int(rng.integers(8, 15))
            if rng.random() < 0.5:  # one after the other, or here and there
                first = int(rng.integers(0, max(len(order) - count, 0) + 1))
                order = order[first : first + count]
            else:
                order = np.sort(rng.choice(order, min(count, len(order)), replace=False))
        return order

    def _lateness(self, lag: float, loose: float, count: int) -> Floats:
        """Lags about a usual one, of one of three shapes."""
        rng = self.rng
        noise = {
            "normal": rng.normal(0, 1, count),
            "gamma": (rng.gamma(4, 1, count) - 4) / 2,
            "even": rng.uniform(-1.7, 1.7, count),
        }[str(rng.choice(["normal", "gamma", "even"]))]
        return np.asarray(np.maximum(lag * (1 + loose * noise), 0.03))

    def _left(self, lead: Moves, order: Ints, at: Floats, buy: Any, late: Floats) -> Floats:
        """When a follower closes: as late as it opened, some time off, or by stops of its own."""
        rng = self.rng
        leaves = rng.choice(["copied", "shifted", "own"], p=[0.6, 0.25, 0.15])
        end = lead["end"][order] + late
        if leaves == "shifted":
            end = end + rng.uniform(-0.2, 0.3, len(order)) * (lead["end"][order] - lead["at"][order])
        elif leaves == "own":
            stop = rng.choice(STOPS)
            end = self.out(lead["code"][order], at, buy, stop, stop * rng.choice(TARGETS))
        return np.asarray(np.maximum(end, at + 0.5))

    def follow(
        self,
        leader: str,
        manner: str = "copier",
        relation: str = "",
        owner: str | None = None,
        part: str = "",
    ) -> str:
        """An account that copies or mirrors another; a stranger where there is too little to follow."""
        rng, lead = self.rng, self.moves[leader]
        relation = relation or str(rng.choice(["copy", "mirror"], p=[0.65, 0.35]))
        part = part or str(rng.choice(["all", "most", "third", "few"], p=[0.3, 0.2, 0.25, 0.25]))
        order = self._taken(lead, relation, part)
        n = len(order)
        if n < 8:
            return self.person()
        name = self.account(manner, owner)
        lag, loose = float(np.exp(rng.uniform(np.log(0.1), np.log(120.0)))), float(rng.choice([0.02, 0.05, 0.1, 0.2]))
        at = lead["at"][order] + self._lateness(lag, loose, n)
        buy = lead["buy"][order] == (relation == "copy")
        end = self._left(lead, order, at, buy, self._lateness(lag, loose, n))
        lots = {
            "scaled": lead["lots"][order] * rng.choice([0.5, 1.0, 2.0]),
            "fixed": np.full(n, 0.5),
            "random": self.lots(n),
        }[str(rng.choice(["scaled", "fixed", "random"]))]
        self.add(name, lead["code"][order], at, end, buy, np.round(lots, 2))
        self.trades_besides(name, int(rng.choice([0, 0, 10, 40])))
        self._told(leader, name, relation, owner is not None, n, 1000 * lag)
        return name

    def _told(
        self, leader: str, follower: str, relation: str, same_owner: bool, followed: int, lag_ms: float | None
    ) -> None:
        """Adds a pair to the truth; without a lag neither leads."""
        self.truth.pairs.append(
            {
                "leader": leader,
                "follower": follower,
                "relation": relation,
                "same_owner": same_owner,
                "few": followed <= 14,
                "ordered": lag_ms is not None,
                "lag_ms": lag_ms or 0.0,
                "followed": followed,
            }
        )

    def ring(self) -> None:
        """A few who trade as one, now behind the one and now behind the other."""
        rng, size = self.rng, int(self.rng.integers(3, 6))
        members = [self.account("ring") for _ in range(size)]
        count = int(rng.integers(40, 90))
        at, codes, buy = self.moments(count), rng.choice(self.liked(3), count), rng.random(count) < 0.5
        stop = rng.choice(STOPS)
        end = self.out(codes, at, buy, stop, stop * rng.choice(TARGETS))
        first = rng.integers(0, size, count)
        typical = rng.uniform(2, 12)
        for k, name in enumerate(members):
            some = rng.random(count) < 0.8
            n = int(some.sum())
            late = np.where(first[some] == k, 0.0, typical * rng.lognormal(0, 0.3, n))
            out = end[some] + np.where(first[some] == k, 0.0, typical * rng.lognormal(0, 0.3, n))
            self.add(name, codes[some], at[some] + late, np.maximum(out, at[some] + late + 1), buy[some], self.lots(n))
            self.trades_besides(name, int(rng.choice([0, 15])))
        for i, a in enumerate(members):
            for b in members[:i]:
                self._told(b, a, "copy", False, int(0.64 * count), None)
        self.truth.rings.append(set(members))

    def build(self) -> Firm:
        """Draws everybody: robots, schools, signals, breakouts, news, twins, people, and copiers if there are any."""
        rng, n = self.rng, self.size
        while len(self.manner) < 0.12 * n:
            self.robots(int(rng.choice([2, 3, 4, 5, 6, 14], p=[0.25, 0.25, 0.2, 0.15, 0.1, 0.05])))
        while len(self.manner) < 0.18 * n:
            self.school()
        while len(self.manner) < 0.26 * n:
            self.signals()
        for _ in range(int(0.2 * n)):
            self.breakout()
        for _ in range(int(0.06 * n)):
            self.news_scalper()
        for _ in range(int(0.02 * n)):  # two accounts of one owner who trades them apart
            one = self.person("twin")
            self.person("twin", self.owner[one])
        while len(self.manner) < 0.92 * n:
            self.person()
        if self.guilty:
            self.copiers(int(0.05 * n))
        while len(self.manner) < n:
            self.person()
        return self.finish()

    def copiers(self, count: int) -> None:
        """Copiers of all kinds of leaders, some in chains, rings without a leader, and people who copy themselves."""
        rng = self.rng
        by = {
            m: [a for a, x in self.manner.items() if x == m and len(self.moves[a]["at"]) >= 20]
            for m in set(self.manner.values())
        }
        kinds = ["person", "breakout", "news", "robot", "teacher", "reader"]
        shares = np.array([0.6, 0.2, 0.04, 0.08, 0.04, 0.04])
        used: set[str] = set()
        last = ""
        for _ in range(count):
            pool = [a for a in by.get(str(rng.choice(kinds, p=shares)), []) if a not in used]
            pool = pool or [a for a in by["person"] if a not in used]
            leader = pool[int(rng.integers(len(pool)))]
            used.add(leader)
            last = self.follow(leader)
            if rng.random() < 0.2:
                self.follow(leader)
            if rng.random() < 0.12 and self.manner[last] == "copier":
                chained = self.follow(last, "chained", "copy")
                self.truth.rings.append({leader, last, chained})
        for _ in range(max(count // 12, 1)):
            self.ring()
        for _ in range(max(count // 8, 1)):  # copying between own accounts, which is allowed
            pool = [a for a in by["person"] if a not in used]
            leader = pool[int(rng.integers(len(pool)))]
            used.add(leader)
            self.follow(leader, "own_copy", "copy", self.owner[leader], "all")

    def finish(self) -> Firm:
        """Trades as their brokers show them, accounts, owners and news."""
        rng = self.rng
        names = sorted(self.moves)
        broker = {
            a: int(k)
            for a, k in zip(names, rng.choice(len(BROKERS), len(names), p=[b[4] for b in BROKERS]), strict=True)
        }
        frame = pd.concat([pd.DataFrame(self.moves[a]).assign(account_id=a) for a in names], ignore_index=True)
        of = frame["account_id"].map(broker).to_numpy()
        ahead, step = np.array([b[2] for b in BROKERS])[of], np.array([b[3] for b in BROKERS])[of]

        def clock(seconds: Floats) -> pd.Series:
            day = np.floor(seconds / DAY)
            real = seconds + 2 * DAY * np.floor(day / 5)  # no weekends
            shown = np.floor((real + ahead) / step + 1e-6) * step
            return pd.Series(START + pd.to_timedelta(np.round(shown * 1000), unit="ms")).astype("datetime64[us, UTC]")

        code, at, end = frame["code"].to_numpy(), frame["at"].to_numpy(), frame["end"].to_numpy()
        worth = np.array([1.1, 1.27, 150.0, 2900.0, 21000.0, 18000.0, 60000.0, 0.66])[code]
        trades = pd.DataFrame(
            {
                "account_id": frame["account_id"],
                "trade_id": [f"t{i}" for i in range(len(frame))],
                "instrument": np.array(INSTRUMENTS)[code],
                "side": np.where(frame["buy"], "buy", "sell"),
                "lots": np.round(frame["lots"], 2),
                "opened_at": clock(at),
                "closed_at": clock(end),
                "open_price": worth * np.exp(self.price(code, at)),
                "close_price": worth * np.exp(self.price(code, end)),
                "stop_loss": np.nan,
                "take_profit": np.nan,
                "magic": frame["magic"],
                "open_reason": np.where(frame["magic"] > 0, "expert", "client"),
            }
        ).sort_values("opened_at", ignore_index=True)
        accounts = pd.DataFrame(
            {
                "account_id": names,
                "platform": [BROKERS[broker[a]][0] for a in names],
                "server": [BROKERS[broker[a]][1] for a in names],
                "step_s": [BROKERS[broker[a]][3] for a in names],
                "manner": [self.manner[a] for a in names],
                "group": [self.group[a] for a in names],
            }
        )
        real = self.news_at + 2 * DAY * np.floor(np.floor(self.news_at / DAY) / 5)
        news = pd.DataFrame({"occurs_at": START + pd.to_timedelta(real, unit="s"), "impact": "high", "currency": "USD"})
        owners = {a: self.owner[a] for a in names}
        return Firm(trades, owners, news, self.truth, accounts)


def make_levels_firm(seed: int, accounts: int = 1500, days: int = 50, guilty: bool = True) -> Firm:
    """A firm on prices with public levels; the same seed gives the same firm."""
    return _Street(seed, accounts, days, guilty).build()
