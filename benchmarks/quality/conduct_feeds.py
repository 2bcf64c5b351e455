"""Whole firms as feed folders, for measuring conduct through the commands: one market path per symbol that everybody
trades on, a rulebook and clock of each firm's own, sparse columns, planted abuse and its innocent look-alikes.

Nothing is shared with the demo firm or with `conduct_firms`: results follow from the path and the instant, accounts end
when their own floor is met, and what a feed leaves out (stops, sign-ins, reasons, position ids) differs by firm.
"""

from __future__ import annotations

import datetime as dt
import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

Row = dict[str, Any]
START = dt.datetime(2026, 4, 6, tzinfo=dt.UTC)
DAY, MINUTE = 86_400.0, 60.0


@dataclass(frozen=True)
class Style:
    """What differs between firms.

    Attributes:
        symbols: name on the platform, level, money per unit of price and lot, usual daily move (share).
        lacks: optional columns and datasets that its feeds do not carry.
        steps: stages before the funded one.
    """

    name: str
    days: int
    people: int
    each: int
    symbols: tuple[tuple[str, float, float, float], ...]
    daily: float | None
    total: float
    targets: tuple[float, ...]
    zone: str
    reset: str
    balance: float
    currency: str = "USD"
    lacks: frozenset[str] = frozenset()
    commission: float = 0.0
    lot: float = 0.01


FX = (
    ("EURUSD", 1.13, 100_000.0, 0.006),
    ("GBPUSD", 1.31, 100_000.0, 0.007),
    ("XAUUSD", 3300.0, 100.0, 0.012),
    ("USDJPY", 148.0, 676.0, 0.007),
    ("NAS100", 21_000.0, 1.0, 0.014),
)
SUFFIXED = tuple((f"{name}.pro", level, unit, move) for name, level, unit, move in FX)
FUTURES = (
    ("MESM6", 5_600.0, 5.0, 0.010),
    ("MNQM6", 20_500.0, 2.0, 0.014),
    ("MGCM6", 3_300.0, 10.0, 0.012),
    ("MCLM6", 68.0, 100.0, 0.02),
)
CRYPTO = (("BTCUSD", 82_000.0, 1.0, 0.025), ("ETHUSD", 1_900.0, 10.0, 0.035), ("EURUSD", 1.13, 100_000.0, 0.006))

STYLES = (
    Style("full", 90, 420, 10, FX, 5.0, 10.0, (8.0, 5.0), "Europe/Prague", "00:00", 100_000, commission=3.0),
    Style(
        "bare",
        60,
        360,
        10,
        SUFFIXED,
        4.0,
        8.0,
        (8.0,),
        "America/New_York",
        "17:00",
        25_000,
        lacks=frozenset({"logins", "stop_loss", "take_profit", "reason", "magic", "quotes", "comment"}),
    ),
    Style(
        "netted",
        75,
        360,
        10,
        FUTURES,
        None,
        4.0,
        (6.0,),
        "America/Chicago",
        "17:00",
        50_000,
        commission=2.0,
        lacks=frozenset({"position_id", "stop_loss", "take_profit", "reason", "magic", "quotes", "comment"}),
        lot=1.0,
    ),
    Style(
        "crypto",
        120,
        320,
        10,
        CRYPTO,
        3.0,
        6.0,
        (10.0,),
        "Asia/Dubai",
        "00:00",
        10_000,
        "EUR",
        lacks=frozenset({"device_id", "magic", "comment", "quotes"}),
    ),
    Style(
        "short",
        35,
        420,
        10,
        FX,
        5.0,
        10.0,
        (10.0, 5.0),
        "UTC",
        "21:00",
        200_000,
        lacks=frozenset({"country", "quotes", "take_profit"}),
    ),
)


class Course:
    """A symbol's price by minute, the same for everybody: a random walk with sessions and news."""

    def __init__(self, style: Style, symbol: tuple[str, float, float, float], news: list[float], rng: Any) -> None:
        self.name, self.level, self.unit, move = symbol
        minutes = style.days * 1440 + 2
        hour = (np.arange(minutes) / 60) % 24
        busy = 0.6 + 0.9 * np.exp(-(((hour - 14) / 4) ** 2))
        weekday = (np.arange(minutes) // 1440) % 7
        open_now = np.ones(minutes) if "BTC" in self.name or "ETH" in self.name else (weekday < 5).astype(float)
        self.sigma = move / np.sqrt(1440)
        steps = rng.standard_normal(minutes) * busy * open_now * self.sigma
        for at in news:
            place = int(at / MINUTE)
            steps[place + 1] += rng.choice((-1, 1)) * rng.uniform(4, 12) * self.sigma
        self.price = self.level * np.exp(np.cumsum(steps))
        self.spread = self.level * self.sigma * 0.25
        self.rng = rng

    def at(self, second: float) -> float:
        """The middle price at an instant (seconds since the start), with the flicker of a tick."""
        place = min(max(second / MINUTE, 0.0), len(self.price) - 2.001)
        low, part = int(place), place - int(place)
        flicker = self.rng.standard_normal() * self.sigma * 0.2 * self.level * min(1, 4 * part * (1 - part))
        return float(self.price[low] * (1 - part) + self.price[low + 1] * part + flicker)

    def ends(
        self, second: float, until: float, side: int, entry: float, stop: float | None, gain: float | None
    ) -> tuple[float, float, str]:
        """When, where and why a position ends: at its stop or target when the path gets there, else when it is time."""
        low, high = int(second / MINUTE) + 1, int(until / MINUTE) + 1
        if (stop or gain) and high > low:
            moved = (self.price[low:high] - entry) * side
            hit = np.flatnonzero((moved <= -(stop or np.inf)) | (moved >= (gain or np.inf)))
            if len(hit):
                lost = moved[hit[0]] < 0
                at = min((low + hit[0]) * MINUTE - self.rng.uniform(0, 50), until)
                return (
                    max(at, second + 1),
                    entry + side * (-(stop or 0) if lost else (gain or 0)),
                    "sl" if lost else "tp",
                )
        return until, self.at(until) - side * self.spread / 2, "client"


@dataclass
class Account:
    """An account as its generator knows it: balance, floors and whether it still trades."""

    account_id: str
    trader_id: str
    challenge_id: str
    stage: str
    opened: float
    balance: float
    day: int = -1
    day_balance: float = 0.0
    ended: float | None = None
    passed: bool = False
    last: float = 0.0


@dataclass
class Firm:
    """A firm under construction: rows of its feeds, its market, and the truth."""

    style: Style
    rng: np.random.Generator
    rows: dict[str, list[Row]] = field(default_factory=dict)
    planted: dict[str, dict[str, str]] = field(default_factory=dict)
    alike: dict[str, str] = field(default_factory=dict)
    accounts: list[Account] = field(default_factory=list)
    count: int = 0

    def __post_init__(self) -> None:
        days = [day for day in range(1, self.style.days) if day % 7 < 5 and self.rng.random() < 0.45]
        self.news = [day * DAY + float(self.rng.choice((12.5, 14.0, 18.0))) * 3600 for day in days]
        self.paths = [Course(self.style, symbol, self.news, self.rng) for symbol in self.style.symbols]
        for k, at in enumerate(self.news):
            self.add("news", event_id=f"ev{k}", occurs_at=self.iso(at), currency="USD", impact="high", title="release")
            if k % 3 == 0:
                self.add(
                    "news",
                    event_id=f"lo{k}",
                    occurs_at=self.iso(at + 7200),
                    currency="USD",
                    impact="low",
                    title="minor",
                )
        self.add("desks", desk_id="main", name="Main", currency=self.style.currency, time_zone=self.style.zone)

    @property
    def end(self) -> float:
        """Seconds of history."""
        return self.style.days * DAY - 3600

    def iso(self, second: float) -> str:
        """An instant as feeds write it."""
        return (START + dt.timedelta(seconds=round(second, 3))).isoformat(timespec="milliseconds")

    def add(self, dataset: str, **row: Any) -> None:
        """One row of a feed."""
        self.rows.setdefault(dataset, []).append(row)

    def number(self) -> int:
        """The next running number."""
        self.count += 1
        return self.count

    def trader(self, country: str | None = None, **more: Any) -> str:
        """A person with papers, who signs in from home."""
        trader_id = f"u{self.number():05d}"
        home = country or str(self.rng.choice(("DE", "GB", "IN", "NG", "BR", "VN", "ZA", "US", "FR", "AE")))
        born = dt.date(1970, 1, 1) + dt.timedelta(days=int(self.rng.integers(0, 12_500)))
        self.add(
            "traders",
            trader_id=trader_id,
            full_name=f"Person {trader_id}",
            email=f"{trader_id}@mail{trader_id[-1]}.com",
            country=home,
            kyc_status="verified",
            kyc_document=more.pop("document", f"doc-{trader_id}"),
            date_of_birth=born.isoformat(),
            registered_at=self.iso(0),
            **more,
        )
        return trader_id

    def home_of(self, trader_id: str) -> str:
        """The country of someone's papers."""
        return str(next(row["country"] for row in reversed(self.rows["traders"]) if row["trader_id"] == trader_id))

    def buy(self, trader_id: str, at: float, stage: str = "evaluation_1", challenge_id: str | None = None) -> Account:
        """A challenge with its first account, or the next account of one."""
        n = self.number()
        account_id, bought = f"acc{n:06d}", challenge_id is None
        challenge = challenge_id or f"ch{n:06d}"
        if bought:
            fee = round(self.style.balance * 0.005, 2)
            self.add(
                "challenges",
                challenge_id=challenge,
                trader_id=trader_id,
                desk_id="main",
                product="plan",
                purchased_at=self.iso(at - 600),
                fee=fee,
                currency="USD",
                instrument=f"card-{trader_id}",
            )
            self.add(
                "payments",
                payment_id=f"pay{n}",
                trader_id=trader_id,
                challenge_id=challenge,
                kind="purchase",
                instrument=f"card-{trader_id}",
                amount=fee,
                currency="USD",
                occurred_at=self.iso(at - 600),
            )
        account = Account(account_id, trader_id, challenge, stage, at, self.style.balance, last=at)
        self.accounts.append(account)
        self.add(
            "accounts",
            account_id=account_id,
            challenge_id=challenge,
            trader_id=trader_id,
            desk_id="main",
            stage=stage,
            platform="other" if "position_id" in self.style.lacks else "mt5",
            login=str(9_000_000 + n),
            server="Live-03",
            currency=self.style.currency,
            initial_balance=self.style.balance,
            opened_at=self.iso(at),
        )
        self.add(
            "deals",
            account_id=account_id,
            deal_id=f"{self.number()}",
            kind="balance",
            executed_at=self.iso(at),
            profit=self.style.balance,
        )
        return account

    def sign_in(self, trader_id: str, at: float, country: str | None = None, device: str | None = None) -> None:
        """One sign-in."""
        place = zlib.crc32(f"{trader_id} {country}".encode()) % 60_000
        self.add(
            "logins",
            trader_id=trader_id,
            occurred_at=self.iso(at),
            ip=f"81.{place // 250}.{place % 250}.{self.rng.integers(2, 250)}",
            device_id=device or f"dev-{trader_id}",
            country=country or self.home_of(trader_id),
        )

    def live_in(
        self, trader_id: str, start: float, end: float, country: str | None = None, device: str | None = None
    ) -> None:
        """Sign-ins every few days."""
        at = start + self.rng.uniform(0, 2) * 3600
        while at < min(end, self.end):
            self.sign_in(trader_id, at, country, device)
            at += self.rng.exponential(2.5) * DAY + 600

    def lots(self, path: Course, share: float, distance: float) -> float:
        """Lots that lose a share of the initial balance over a distance, on the grid."""
        step = self.style.lot
        return max(round(round(share * self.style.balance / (distance * path.unit) / step) * step, 2), step)

    def position(
        self,
        account: Account,
        at: float,
        path: Course,
        side: int,
        lots: float,
        hold: float,
        *,
        stop: float | None = None,
        gain: float | None = None,
        robot: int | None = None,
        entry: float | None = None,
        exit_price: float | None = None,
        parts: int = 1,
        opened_by: str = "client",
    ) -> tuple[float, float]:
        """One position on the path; gives when it closed and its net profit. Ended accounts trade no more."""
        if account.ended is not None or at >= self.end:
            return at, 0.0
        at = max(at, account.opened + 60)
        price = path.at(at) + side * path.spread / 2 if entry is None else entry
        until, out, why = path.ends(at, min(at + hold, self.end), side, price, stop, gain)
        if exit_price is not None:
            until, out, why = min(at + hold, self.end), exit_price, "client"
        digits = 2 if path.level > 500 else 5 if path.level < 10 else 3
        price, out = round(price, digits), round(out, digits)
        n, cost = self.number(), -round(self.style.commission * lots, 2)
        word = {1: "buy", -1: "sell"}
        base: Row = {"account_id": account.account_id, "position_id": f"p{n}", "kind": "trade", "symbol": path.name}
        base |= {"magic": robot, "comment": "ea" if robot else None}
        self.add(
            "deals",
            deal_id=str(n),
            **base,
            entry="in",
            side=word[side],
            volume=lots,
            price=price,
            executed_at=self.iso(at),
            profit=0,
            commission=cost,
            stop_loss=round(price - side * stop, digits) if stop else None,
            take_profit=round(price + side * gain, digits) if gain else None,
            reason="expert" if robot else opened_by,
        )
        profit, left = 0.0, lots
        for k in range(parts):
            piece = left if k == parts - 1 else round(max(round(lots / parts / self.style.lot), 1) * self.style.lot, 2)
            if piece <= 0 or piece > left:
                continue
            left = round(left - piece, 2)
            money = round((out - price) * side * piece * path.unit, 2)
            profit += money
            when = until + 9 * k
            self.add(
                "deals",
                deal_id=str(self.number()),
                **base,
                entry="out",
                side=word[-side],
                volume=piece,
                price=out,
                executed_at=self.iso(when),
                profit=money,
                commission=0,
                reason="expert" if robot and why == "client" else why,
            )
        self.settle(account, until, profit + cost)
        return until, profit + cost

    def settle(self, account: Account, at: float, result: float) -> None:
        """Books a result and ends the account at its floor or target."""
        held, day = self.style, int(at // DAY)
        if day != account.day:
            account.day, account.day_balance = day, account.balance
        account.balance += result
        account.last = max(account.last, at)
        floor = held.balance * (1 - held.total / 100)
        if held.daily:
            floor = max(floor, account.day_balance - held.balance * held.daily / 100)
        if account.balance < floor:
            account.ended = at
        step = {"evaluation_1": 0, "evaluation_2": 1}.get(account.stage)
        if (
            step is not None
            and step < len(held.targets)
            and account.balance >= held.balance * (1 + held.targets[step] / 100)
        ):
            account.ended, account.passed = at, True

    def onward(self, account: Account) -> Account:
        """The next stage of a passed account."""
        stage = "evaluation_2" if account.stage == "evaluation_1" and len(self.style.targets) > 1 else "funded"
        return self.buy(account.trader_id, account.last + 6 * 3600, stage, account.challenge_id)

    def pay(self, account: Account, at: float) -> bool:
        """A payout of what was gained, when there is something."""
        gained = account.balance - self.style.balance
        if gained < self.style.balance * 0.004 or account.ended is not None or at + 2 * DAY > self.end:
            return False
        n, amount = self.number(), round(gained, 2)
        self.add(
            "payouts",
            payout_id=f"po{n}",
            account_id=account.account_id,
            requested_at=self.iso(at),
            amount=amount,
            method="bank",
            destination=f"iban-{account.trader_id}",
        )
        self.add(
            "settlements",
            settlement_id=f"st{n}",
            payout_id=f"po{n}",
            destination=f"iban-{account.trader_id}",
            amount=round(amount * 0.8, 2),
            fee=0,
            currency=self.style.currency,
            settled_at=self.iso(at + 0.7 * DAY),
            status="settled",
        )
        self.add(
            "deals",
            account_id=account.account_id,
            deal_id=str(self.number()),
            kind="balance",
            executed_at=self.iso(at + 0.5 * DAY),
            profit=-amount,
        )
        account.balance = self.style.balance
        return True

    def plant(self, kind: str, subject: str, variant: str = "") -> None:
        """Notes a planted subject and how."""
        self.planted.setdefault(kind, {})[subject] = variant

    def write(self, folder: Path) -> None:
        """Feed, rulebook and truth; whoever has rested for a month is inactive, planted or not."""
        for account in self.accounts:
            if account.ended is None and self.end - account.last > 30 * DAY:
                self.planted.setdefault("inactivity", {}).setdefault(account.account_id, "rests")
        feed, terms = folder / "feed", folder / "products"
        feed.mkdir(parents=True, exist_ok=True)
        terms.mkdir(exist_ok=True)
        for dataset, rows in self.rows.items():
            if dataset in self.style.lacks:
                continue
            frame = pd.DataFrame(rows).drop(columns=list(self.style.lacks), errors="ignore")
            frame.dropna(axis=1, how="all").to_csv(feed / f"{dataset}.csv", index=False)
        (terms / "plan.toml").write_text(self.rulebook(), encoding="utf-8")
        truth = {"planted": self.planted, "alike": self.alike}
        (folder / "truth.json").write_text(json.dumps(truth, indent=1), encoding="utf-8")

    def rulebook(self) -> str:
        """The firm's product."""
        held = self.style
        terms = f'max_loss = {{ mode = "static", base = "initial", percent = {held.total} }}\n'
        if held.daily:
            terms += f'daily_loss = {{ reference = "balance", base = "initial", percent = {held.daily} }}\n'
        calendar = "crypto" if held.name == "crypto" else "fx"
        text = 'id = "plan"\nname = "Plan"\n[[versions]]\nversion = 1\neffective_from = 2000-01-01T00:00:00Z\n'
        text += f'clock = {{ zone = "{held.zone}", reset = "{held.reset}", calendar = "{calendar}" }}\n'
        for step, target in enumerate(held.targets):
            following = f"evaluation_{step + 2}" if step + 1 < len(held.targets) else "funded"
            text += f"[versions.stages.evaluation_{step + 1}]\n{terms}"
            text += f'profit_target = {{ percent = {target}, basis = "closed" }}\nnext_stage = "{following}"\n'
        text += f"[versions.stages.funded]\n{terms}split = {{ percent = 80 }}\n"
        return text + "payout = { first_after_days = 10, cycle_days = 10, minimum = 20 }\n"


class People:
    """Everybody in a firm: ordinary habits, look-alikes, planted ones."""

    def __init__(self, style: Style, seed: int) -> None:
        self.firm = Firm(style, np.random.default_rng(seed))
        self.rng, self.style = self.firm.rng, style

    # --- ordinary habits: each yields nothing and fills one account ------------------------------------------------

    def day_of(self, account: Account) -> Iterator[float]:
        """Midnights of the days on which an account may trade."""
        first = int(account.opened // DAY) + 1
        for day in range(first, self.style.days):
            weekend = day % 7 >= 5 and self.style.name != "crypto"
            if account.ended is None and not weekend:
                yield day * DAY

    def habit(self, name: str) -> dict[str, Any]:
        """Numbers of a person's habit."""
        r = self.rng
        held: dict[str, Any] = {
            "day": {
                "a_day": r.uniform(0.6, 4),
                "hold": np.exp(r.uniform(np.log(8), np.log(300))) * 60,
                "risk": r.uniform(0.002, 0.012),
            },
            "swing": {"a_day": r.uniform(0.2, 1), "hold": r.uniform(0.6, 4) * DAY, "risk": r.uniform(0.004, 0.018)},
            "scalp": {
                "a_day": r.uniform(5, 22),
                "hold": np.exp(r.uniform(np.log(2.0), np.log(9))) * 60,
                "risk": r.uniform(0.0008, 0.003),
            },
            "robot": {
                "a_day": r.uniform(3, 12),
                "hold": np.exp(r.uniform(np.log(5), np.log(200))) * 60,
                "risk": r.uniform(0.001, 0.004),
            },
            "bold": {"a_day": r.uniform(0.5, 2), "hold": r.uniform(20, 400) * 60, "risk": r.uniform(0.012, 0.022)},
        }[name]
        held |= {
            "hours": r.uniform(2, 9),
            "first": r.uniform(0, 14),
            "sizing": str(r.choice(("risk", "fixed", "mood"))),
            "stops": r.random() < 0.7,
            "skill": r.choice((0.0, 0.06, 0.16), p=(0.6, 0.25, 0.15)),
            "symbols": [
                self.firm.paths[i]
                for i in r.choice(
                    len(self.firm.paths), size=int(r.integers(1, min(3, len(self.firm.paths)) + 1)), replace=False
                )
            ],
            "robot": int(r.integers(1000, 9999)) if name == "robot" else None,
            "revenge": r.choice((0, 0.12)),
            "name": name,
        }
        return held

    def trade(
        self, account: Account, habit: dict[str, Any], start: float, days: float = 1e9, scale: float = 1.0
    ) -> None:
        """Ordinary trading of an account by a habit until it ends."""
        r, lost = self.rng, False
        fixed: dict[str, float] = {}
        for midnight in self.day_of(account):
            if midnight < start or midnight > start + days * DAY:
                continue
            for hour in sorted(habit["first"] + r.uniform(0, habit["hours"], r.poisson(habit["a_day"]))):
                path = habit["symbols"][int(r.integers(len(habit["symbols"])))]
                at = midnight + hour * 3600
                hold = habit["hold"] * float(np.exp(0.7 * r.standard_normal()))
                distance = path.level * path.sigma * float(np.sqrt(max(habit["hold"], 120) / 60)) * r.uniform(0.8, 1.6)
                risk = habit["risk"] * scale
                if habit["sizing"] == "mood":
                    risk *= float(r.choice((0.5, 1.0, 1.0, 2.0)))
                lots = self.firm.lots(path, risk, distance)
                if habit["sizing"] == "fixed":
                    lots = fixed.setdefault(path.name, lots)
                if lost and r.random() < habit["revenge"]:
                    lots = round(lots * 1.5 / self.style.lot) * self.style.lot
                ahead = path.price[min(int((at + hold) / 60), len(path.price) - 1)] - path.price[int(at / 60)]
                side = int(np.sign(ahead) or 1) if r.random() < 0.5 + habit["skill"] else -int(np.sign(ahead) or 1)
                stop = distance if habit["stops"] else None
                gain = distance * r.uniform(0.8, 2.5) if habit["stops"] and r.random() < 0.6 else None
                parts = 3 if lots >= 3 * self.style.lot and r.random() < 0.06 else 1
                _, result = self.firm.position(
                    account,
                    at,
                    path,
                    side,
                    round(lots, 2),
                    hold,
                    stop=stop,
                    gain=gain,
                    robot=habit["robot"],
                    parts=parts,
                )
                lost = result < 0

    def career(self, name: str, start: float | None = None, calmer: bool = True, wish: float = 0.35) -> str:
        """An ordinary trader's way: evaluation, next stages, payouts, perhaps another challenge."""
        r, firm = self.rng, self.firm
        trader_id = firm.trader()
        at = start if start is not None else float(r.uniform(0, 0.7) * self.style.days) * DAY
        firm.live_in(trader_id, at, firm.end)
        for _ in range(4):
            habit = self.habit(name)
            account = firm.buy(trader_id, at)
            while True:
                scale = float(r.uniform(0.4, 1.0)) if calmer and account.stage == "funded" else 1.0
                if account.stage == "funded":
                    begun = account.opened
                    while account.ended is None and begun < firm.end:
                        self.trade(account, habit, begun, 12, scale)
                        begun += 13 * DAY
                        firm.pay(account, begun)
                else:
                    self.trade(account, habit, account.opened, scale=scale)
                if not account.passed or account.last > firm.end - 3 * DAY:
                    break
                account = firm.onward(account)
            if account.ended is None or r.random() > wish:
                return trader_id
            at = account.ended + r.exponential(6) * DAY + 3600
            if at > firm.end - 5 * DAY:
                return trader_id
        return trader_id

    def ordinary(self) -> None:
        """Someone ordinary."""
        self.career(str(self.rng.choice(("day", "day", "day", "swing", "scalp", "robot", "bold"))))

    def someone(self, latest: float = 0.4, stage: str = "evaluation_1") -> Account:
        """A new person with one account, who signs in from home."""
        at = float(self.rng.uniform(0, latest) * self.style.days) * DAY
        trader_id = self.firm.trader()
        self.firm.live_in(trader_id, at, self.firm.end)
        return self.firm.buy(trader_id, at, stage)

    def hour(self, midnight: float, width: float = 9) -> float:
        """An instant of a day's session."""
        return midnight + (7 + float(self.rng.uniform(0, width))) * 3600

    def any_path(self) -> Course:
        """A symbol."""
        return self.firm.paths[int(self.rng.integers(len(self.firm.paths)))]

    # --- look-alikes ------------------------------------------------------------------------------------------------

    def quick_hands(self) -> None:
        """A manual scalper, minutes rather than seconds, and one whose partial closes look like many short trades."""
        account = self.someone()
        habit = self.habit("scalp") | {"hold": float(self.rng.uniform(100, 240)), "robot": None}
        self.trade(account, habit, account.opened, 20)
        self.firm.alike[account.account_id] = "quick_hands"

    def retries(self) -> None:
        """An honest retry, three or four times, weeks apart."""
        trader_id, at = self.firm.trader(), float(self.rng.uniform(0, 10)) * DAY
        self.firm.live_in(trader_id, at, self.firm.end)
        for _ in range(int(self.rng.integers(2, 4))):
            account = self.firm.buy(trader_id, at)
            self.trade(account, self.habit("bold") | {"skill": -0.1}, at)
            if account.ended is None:
                break
            at = account.ended + float(self.rng.uniform(2, 12)) * DAY
            if at > self.firm.end - 6 * DAY:
                break
        self.firm.alike[trader_id] = "retries"

    def traveller(self) -> None:
        """Away for one or two stays, home before and after; some always through a tunnel's changing exits."""
        account, r = self.someone(), self.rng
        for _ in range(int(r.integers(1, 3))):
            start = float(r.uniform(0.2, 0.7)) * self.style.days * DAY
            country = str(r.choice(("ES", "TH", "TR", "PT", "MX")))
            self.firm.live_in(account.trader_id, start, start + r.uniform(3, 12) * DAY, country)
        self.trade(account, self.habit("day"), account.opened)
        self.firm.alike[account.trader_id] = "traveller"

    def scale_in(self) -> None:
        """Planned entries: two or three thirds of a position, with the market or against it."""
        account, r = self.someone(), self.rng
        against = r.random() < 0.5
        for midnight in self.day_of(account):
            if r.random() < 0.5:
                continue
            path, at, side = self.any_path(), self.hour(midnight), int(r.choice((-1, 1)))
            hold = r.uniform(60, 300) * 60
            for part in range(int(r.integers(2, 4))):
                shift = -side if against else side
                price = path.at(at) + shift * part * path.level * path.sigma * 8 * r.uniform(0.7, 1.3)
                lots = self.firm.lots(path, 0.002, path.level * path.sigma * 40)
                self.firm.position(
                    account, at + part * r.uniform(3, 25) * 60, path, side, lots, hold, entry=price if against else None
                )
        self.firm.alike[account.account_id] = "scale_in"

    def averager(self) -> None:
        """Buys the same lot again at odd moments while it holds: averaging by the calendar, not by distance."""
        account, r = self.someone(), self.rng
        path, side = self.any_path(), int(r.choice((-1, 1)))
        lots = self.firm.lots(path, 0.0015, path.level * path.sigma * 40)
        days = list(self.day_of(account))
        for week in range(0, len(days) - 5, 6):
            end = days[week + 4] + 15 * 3600
            for midnight in days[week : week + 4]:
                at = self.hour(midnight)
                self.firm.position(account, at, path, side, lots, end - at)
        self.firm.alike[account.account_id] = "averager"

    def newsman(self) -> None:
        """Trades releases with a view: one side, by a limit order or a minute or two around the release."""
        account, r = self.someone(0.15), self.rng
        for at in self.firm.news:
            if r.random() < 0.6 and at > account.opened:
                path, side = self.any_path(), int(r.choice((-1, 1)))
                offset = float(r.choice((r.uniform(-500, -20), r.uniform(0.5, 40), r.uniform(20, 280))))
                distance = path.level * path.sigma * 10
                self.firm.position(
                    account,
                    at + offset,
                    path,
                    side,
                    self.firm.lots(path, 0.003, distance),
                    r.uniform(3, 60) * 60,
                    stop=distance,
                )
        self.trade(account, self.habit("day") | {"a_day": 0.8}, account.opened)
        self.firm.alike[account.account_id] = "newsman"

    def holder_over_news(self) -> None:
        """Old positions whose targets are met in a release."""
        account, r = self.someone(0.15), self.rng
        for at in self.firm.news:
            if r.random() < 0.6 and at - account.opened > DAY:
                path, side = self.any_path(), int(r.choice((-1, 1)))
                begun = at - r.uniform(1, 20) * 3600
                self.firm.position(
                    account,
                    begun,
                    path,
                    side,
                    self.firm.lots(path, 0.003, path.level * path.sigma * 30),
                    at + r.uniform(1, 60) - begun,
                )
        self.firm.alike[account.account_id] = "holder_over_news"

    def hedger(self) -> None:
        """Both sides at once as a habit, on any day."""
        account, r = self.someone(), self.rng
        for midnight in self.day_of(account):
            path, at = self.any_path(), self.hour(midnight)
            for k, side in enumerate((1, -1)):
                self.firm.position(
                    account,
                    at + k * r.uniform(1, 60),
                    path,
                    side,
                    self.firm.lots(path, 0.002, path.level * path.sigma * 20),
                    r.uniform(10, 200) * 60,
                )
        self.firm.alike[account.account_id] = "hedger"

    def single_swing(self) -> None:
        """One trade a day, a wide stop, an ordinary risk; a few trades in all."""
        account, r = self.someone(0.8), self.rng
        for midnight in list(self.day_of(account))[: int(r.integers(1, 12))]:
            path = self.any_path()
            distance = path.level * path.sigma * r.uniform(40, 90)
            share = min(r.uniform(0.006, 0.015), 0.3 * self.allowance)
            stop = distance if r.random() < 0.8 else None
            self.firm.position(
                account,
                self.hour(midnight),
                path,
                int(r.choice((-1, 1))),
                self.firm.lots(path, share, distance),
                r.uniform(4, 40) * 3600,
                stop=stop,
                gain=2 * distance,
            )
        self.firm.alike[account.account_id] = "single_swing"

    def unlucky_funded(self) -> None:
        """Funded, paid, and breached some time later at the usual size; sometimes soon."""
        account, r = self.someone(0.1, "funded"), self.rng
        habit = self.habit("day") | {"skill": 0.25, "risk": r.uniform(0.003, 0.008), "a_day": 3.0}
        self.trade(account, habit, account.opened, 12)
        if self.firm.pay(account, account.opened + 14 * DAY):
            self.trade(account, habit | {"skill": -0.3, "risk": habit["risk"] * 1.3}, account.opened + 15 * DAY)
            self.firm.alike[account.account_id] = "unlucky_funded"

    def new_machine(self) -> None:
        """A new computer at about the time of funding, the same hand; smaller sizes."""
        r, firm = self.rng, self.firm
        trader_id = firm.trader()
        at = float(r.uniform(0, 6)) * DAY
        habit = self.habit(str(r.choice(("day", "robot")))) | {"skill": 0.3, "risk": 0.008}
        account = firm.buy(trader_id, at)
        self.trade(account, habit, at)
        moved = account.last
        while account.passed and account.stage != "funded":
            account = firm.onward(account)
            self.trade(account, habit, account.opened, scale=0.5 if account.stage == "funded" else 1.0)
        firm.live_in(trader_id, at, moved, device=f"old-{trader_id}")
        firm.live_in(trader_id, moved, firm.end, device=f"new-{trader_id}")
        if account.stage == "funded":
            firm.alike[account.account_id] = "new_machine"

    def disputed_once(self) -> None:
        """A payment disputed long after, on an account that still runs or ran out weeks ago."""
        account, r = self.someone(0.2), self.rng
        self.trade(account, self.habit("day") | {"risk": 0.003}, account.opened)
        when = (account.ended or account.opened) + float(r.uniform(22, 50)) * DAY
        if when < self.firm.end:
            self.chargeback(account, when)
            self.firm.alike[account.trader_id] = "disputed_once"

    def several(self) -> None:
        """Two to four calm accounts at once."""
        r, trader_id = self.rng, self.firm.trader()
        self.firm.live_in(trader_id, 0, self.firm.end)
        for k in range(int(r.integers(2, 5))):
            account = self.firm.buy(trader_id, (2 + 6 * k) * DAY)
            self.trade(account, self.habit("day"), account.opened)
        self.firm.alike[trader_id] = "several"

    # --- planted ----------------------------------------------------------------------------------------------------

    @property
    def allowance(self) -> float:
        """What may be lost in a day (share), or in all."""
        return (self.style.daily or self.style.total) / 100

    def latency_arbitrage(self) -> None:
        """Stale quotes, moments, hardly a loser."""
        account, r = self.someone(), self.rng
        hold, wins = float(np.exp(r.uniform(np.log(0.3), np.log(8)))), r.uniform(0.82, 0.97)
        paths = [self.any_path() for _ in range(int(r.integers(1, 3)))]
        for midnight in list(self.day_of(account))[: int(r.integers(3, 14))]:
            for _ in range(int(r.integers(5, 22))):
                path, at, side = paths[int(r.integers(len(paths)))], self.hour(midnight), int(r.choice((-1, 1)))
                entry = path.at(at)
                edge = path.spread * (r.uniform(0.6, 3) if r.random() < wins else -r.uniform(0.4, 1.5))
                lots = self.firm.lots(path, 0.0008, 2 * path.spread)
                self.firm.position(
                    account,
                    at,
                    path,
                    side,
                    lots,
                    hold * np.exp(0.35 * r.standard_normal()),
                    entry=entry,
                    exit_price=entry + side * edge,
                )
        self.firm.plant("latency_arbitrage", account.account_id)

    def tick_scalping(self) -> None:
        """Dozens a day, held for seconds."""
        account, r = self.someone(), self.rng
        hold, a_day = float(np.exp(r.uniform(np.log(5), np.log(38)))), int(r.integers(10, 50))
        wins = r.uniform(0.45, 0.7)
        paths = [self.any_path() for _ in range(int(r.integers(1, 3)))]
        for midnight in list(self.day_of(account))[: int(r.integers(4, 16))]:
            for _ in range(r.poisson(a_day)):
                path, at, side = paths[int(r.integers(len(paths)))], self.hour(midnight), int(r.choice((-1, 1)))
                entry = path.at(at)
                edge = path.spread * r.uniform(0.2, 1.6) * (1 if r.random() < wins else -1)
                self.firm.position(
                    account,
                    at,
                    path,
                    side,
                    self.firm.lots(path, 0.0004, 2 * path.spread),
                    hold * np.exp(0.55 * r.standard_normal()),
                    entry=entry,
                    exit_price=entry + side * edge,
                )
        self.firm.plant("tick_scalping", account.account_id, f"{hold:.0f} s")

    def news_straddling(self) -> None:
        """Brackets around releases: both filled, or one filled within seconds on the side of the move."""
        account, r = self.someone(0.05), self.rng
        variant = str(r.choice(("both", "one")))
        path, done = self.any_path(), 0
        for at in self.firm.news:
            if at < account.opened + 3600 or r.random() < 0.25:
                continue
            place = int(at / 60)
            move = int(np.sign(path.price[place + 1] - path.price[place]) or 1)
            distance = path.level * path.sigma * 3
            lots = self.firm.lots(path, 0.002, distance)
            if variant == "both":
                early = r.random() < 0.5
                for side in (move, -move):
                    offset = -r.uniform(5, 240) if early else r.uniform(0.2, 20)
                    hold = r.uniform(2, 20) * 60 if side == move else r.uniform(3, 60)
                    self.firm.position(account, at + offset, path, side, lots, hold, stop=distance)
            else:
                self.firm.position(
                    account, at + r.uniform(0.1, 4), path, move, lots, r.uniform(1, 15) * 60, stop=distance
                )
            done += 1
        if r.random() < 0.5:
            self.trade(account, self.habit("day") | {"a_day": 0.4}, account.opened)
        if done >= 4:
            self.firm.plant("news_straddling", account.account_id, variant)

    def all_in(self) -> None:
        """The day's allowance on one idea, one to three times, with or without a stop."""
        account, r = self.someone(0.8), self.rng
        variant, ideas = str(r.choice(("stop", "none"))), int(r.integers(1, 4))
        for midnight in list(self.day_of(account))[:ideas]:
            path = self.any_path()
            distance = path.level * path.sigma * r.uniform(15, 50)
            share = self.allowance * r.uniform(0.75, 1.05)
            lots = self.firm.lots(path, share, distance)
            won = r.random() < 0.4
            side = int(r.choice((-1, 1)))
            at = self.hour(midnight)
            entry = path.at(at)
            gain = distance * r.uniform(1.0, 2.0)
            out = entry + side * (gain if won else -distance)
            n = self.firm.position(
                account,
                at,
                path,
                side,
                lots,
                r.uniform(5, 300) * 60,
                stop=distance if variant == "stop" else None,
                gain=gain if variant == "stop" else None,
                entry=entry,
                exit_price=out,
            )
            if n[1] == 0:
                break
        self.firm.plant("all_in", account.account_id, f"{variant} {ideas}")

    def martingale(self) -> None:
        """Each loss answered by a larger position until one wins."""
        account, r = self.someone(), self.rng
        factor, cap = r.uniform(1.5, 2.5), int(r.integers(4, 8))
        path = self.any_path()
        distance = path.level * path.sigma * r.uniform(5, 20)
        base = max(self.firm.lots(path, 0.0004, distance), self.style.lot)
        step = raised = 0
        for midnight in self.day_of(account):
            at = midnight + 8 * 3600
            for _ in range(int(r.integers(2, 6))):
                at += r.uniform(5, 90) * 60
                lots = max(round(round(base * factor**step / self.style.lot) * self.style.lot, 2), self.style.lot)
                at, result = self.firm.position(
                    account, at, path, int(r.choice((-1, 1))), lots, 4 * 3600, stop=distance, gain=distance
                )
                raised += result < 0
                step = min(step + 1, cap) if result < 0 else 0
        if raised >= 5:
            self.firm.plant("martingale", account.account_id, f"x{factor:.1f}, {raised}")

    def grid(self) -> None:
        """Layers at even distances against the market: closed together, or each at its own target."""
        account, r = self.someone(), self.rng
        variant = str(r.choice(("basket", "own_targets")))
        path = self.any_path()
        gap, lots = (
            path.level * path.sigma * r.uniform(3, 9),
            self.firm.lots(path, 0.0006, path.level * path.sigma * 20),
        )
        growth, baskets = float(r.choice((1.0, 1.0, 1.3))), 0
        for midnight in self.day_of(account):
            if r.random() < 0.5:
                continue
            baskets += 1
            at, side, layers = self.hour(midnight, 4), int(r.choice((-1, 1))), int(r.integers(4, 10))
            first = path.at(at)
            times = at + np.cumsum(r.uniform(2, 25, layers)) * 60
            end = times[-1] + r.uniform(5, 60) * 60
            for k in range(layers):
                entry = first - side * k * gap * (1 + 0.04 * r.standard_normal())
                out = first - side * (layers / 2 - 0.8) * gap if variant == "basket" else entry + side * gap
                close = end if variant == "basket" else end + (layers - k) * r.uniform(2, 8) * 60
                size = max(round(round(lots * growth**k / self.style.lot) * self.style.lot, 2), self.style.lot)
                self.firm.position(account, times[k], path, side, size, close - times[k], entry=entry, exit_price=out)
        if baskets > 1:
            self.firm.plant("grid", account.account_id, f"{variant} {baskets}")
            if growth > 1:  # a position that grows against the market is a martingale too
                self.firm.plant("martingale", account.account_id, f"grid x{growth}")

    def payout_gaming(self) -> None:
        """Fillers for days, a winner cut over the reset, or the account thrown away once it has paid."""
        account, r = self.someone(0.05, "funded"), self.rng
        variant = str(r.choice(("fillers", "split", "burnt")))
        path = self.any_path()
        distance = path.level * path.sigma * 25
        big = self.firm.lots(path, 0.008, distance)
        hour = (
            float(self.style.reset[:2])
            - {"Europe/Prague": 2, "America/New_York": -4, "America/Chicago": -5, "Asia/Dubai": 4, "UTC": 0}[
                self.style.zone
            ]
        )
        days = list(self.day_of(account))[:11]
        for k, midnight in enumerate(days):
            at, side = self.hour(midnight), int(r.choice((-1, 1)))
            entry = path.at(at)
            if variant == "fillers" and k not in (1, 4):
                self.firm.position(account, at, path, side, self.style.lot, r.uniform(10, 200))
            elif variant == "split" and k % 3 == 1 and midnight % (7 * DAY) < 4 * DAY:
                reset = midnight + (hour % 24) * 3600
                begun = reset - r.uniform(1, 5) * 3600
                entry = path.at(begun)
                for out in (-r.uniform(60, 600), r.uniform(60, 900)):
                    self.firm.position(
                        account,
                        begun + r.uniform(0, 5),
                        path,
                        side,
                        big,
                        reset + out - begun,
                        entry=entry,
                        exit_price=entry + side * distance * 0.6,
                    )
            else:
                won = r.random() < 0.65
                self.firm.position(
                    account,
                    at,
                    path,
                    side,
                    big,
                    r.uniform(20, 200) * 60,
                    entry=entry,
                    exit_price=entry + side * distance * (0.7 if won else -0.5),
                )
        asked = days[-1] + DAY
        if account.balance < self.style.balance * 1.02:
            at = days[-1] + 17 * 3600
            entry = path.at(at)
            self.firm.position(account, at, path, 1, 2 * big, 3600, entry=entry, exit_price=entry + distance * 2)
        if not self.firm.pay(account, asked):
            return
        if variant == "burnt":
            for midnight in list(self.day_of(account)):
                if midnight > asked + DAY:
                    at, side = self.hour(midnight), int(r.choice((-1, 1)))
                    entry = path.at(at)
                    self.firm.position(
                        account,
                        at,
                        path,
                        side,
                        big * 4,
                        3600,
                        entry=entry,
                        exit_price=entry - side * distance * r.uniform(0.5, 1),
                    )
        if variant != "burnt" or account.ended is not None:
            self.firm.plant("payout_gaming", account.account_id, variant)
        if variant == "burnt" and 0.6 * self.allowance < 0.032 * 0.75:
            self.firm.plant("all_in", account.account_id, "burnt")

    def account_passing(self) -> None:
        """One hand until funded, another afterwards: device, country and manner change together."""
        r, firm = self.rng, self.firm
        trader_id = firm.trader()
        at = float(r.uniform(0, 6)) * DAY
        service = f"service-{int(r.integers(4))}"
        first, second = self.habit("robot"), self.habit("day")
        first |= {"skill": 0.35, "risk": 0.008, "hold": r.uniform(5, 25) * 60, "symbols": [self.firm.paths[0]]}
        second |= {
            "hold": r.uniform(3, 20) * 3600,
            "symbols": [self.firm.paths[-1]],
            "first": (first["first"] + 9) % 14,
            "a_day": 1.5,
            "risk": 0.004,
        }
        account = firm.buy(trader_id, at)
        self.trade(account, first, at)
        while account.passed and account.stage != "funded":
            moved = account.last
            account = firm.onward(account)
            self.trade(account, second if account.stage == "funded" else first, account.opened)
        if account.stage == "funded" and account.opened < firm.end - 8 * DAY:
            firm.live_in(trader_id, at, moved, country=str(r.choice(("PK", "UA"))), device=service)
            firm.live_in(trader_id, account.opened, firm.end)
            firm.plant("account_passing", account.account_id)

    def kyc_mismatch(self) -> None:
        """Papers that others handed in too; or a hand abroad works, alone or while their owner looks in at home."""
        r, firm = self.rng, self.firm
        at = float(r.uniform(0, 0.3)) * self.style.days * DAY
        if {"country", "logins", "device_id"} & self.style.lacks or r.random() < 0.3:
            document = f"shared-{firm.number()}"
            for country in ("NG", "GB"):
                trader_id = firm.trader(country, document=document)
                firm.live_in(trader_id, at, firm.end)
                self.trade(firm.buy(trader_id, at), self.habit("day"), at)
                firm.plant("kyc_mismatch", trader_id, "papers")
            return
        trader_id = firm.trader("GB")
        begun = len(firm.rows["logins"])
        firm.live_in(trader_id, at, firm.end, str(r.choice(("PK", "NG"))), f"hand-{trader_id}")
        alone = r.random() < 0.5
        own = np.random.default_rng(zlib.crc32(trader_id.encode()))
        for row in firm.rows["logins"][begun:]:
            if not alone and own.random() < 0.5:
                later = dt.datetime.fromisoformat(row["occurred_at"]) + dt.timedelta(minutes=own.uniform(2, 45))
                firm.sign_in(trader_id, (later - START).total_seconds())
        self.trade(firm.buy(trader_id, at), self.habit("day"), at)
        firm.plant("kyc_mismatch", trader_id, "places")

    def chargeback(self, account: Account, at: float) -> None:
        """A disputed payment."""
        fee = round(self.style.balance * 0.005, 2)
        self.firm.add(
            "payments",
            payment_id=f"cb{self.firm.number()}",
            trader_id=account.trader_id,
            challenge_id=account.challenge_id,
            kind="chargeback",
            instrument=f"card-{account.trader_id}",
            amount=fee,
            currency="USD",
            occurred_at=self.firm.iso(at),
        )

    def burn(self, account: Account, start: float, size: float = 0.45) -> float:
        """Loses an account within a few days by large stakes; gives when."""
        r = self.rng
        for midnight in [start, *self.day_of(account)]:
            if account.ended is not None:
                break
            path = self.any_path()
            distance = path.level * path.sigma * 20
            at = max(self.hour(midnight) if midnight != start else start + 1800, account.last + 600)
            entry, side = path.at(at), int(r.choice((-1, 1)))
            out = -1 if r.random() < 0.75 else 0.6
            self.firm.position(
                account,
                at,
                path,
                side,
                self.firm.lots(path, self.allowance * size, distance),
                r.uniform(10, 120) * 60,
                entry=entry,
                exit_price=entry + side * out * distance,
            )
        return account.ended or account.last

    def chargeback_abuse(self) -> None:
        """Disputed within days of the breach, or once a payout has come."""
        r = self.rng
        variant = str(r.choice(("breach", "payout", "twice")))
        if variant == "payout":
            account = self.someone(0.05, "funded")
            habit = self.habit("day") | {"skill": 0.3, "risk": 0.004}
            self.trade(account, habit, account.opened, 12)
            asked = account.opened + 14 * DAY
            if not self.firm.pay(account, asked) or asked + 9 * DAY > self.firm.end:
                return
            self.chargeback(account, asked + r.uniform(2, 9) * DAY)
        else:
            account = self.someone(0.3)
            for again in range(2 if variant == "twice" else 1):
                if again:
                    account = self.firm.buy(account.trader_id, account.last + 2 * DAY)
                ended = self.burn(account, account.opened + 3600)
                if account.ended is None or ended + 10 * DAY > self.firm.end:
                    return
                self.chargeback(account, ended + r.uniform(0.5, 9) * DAY)
                self.firm.plant("chargeback_abuse", account.trader_id, variant)
        self.firm.plant("chargeback_abuse", account.trader_id, variant)

    def challenge_farming(self) -> None:
        """Evaluations in bulk, each at large stakes, side by side."""
        r, trader_id = self.rng, self.firm.trader()
        size = float(r.choice((r.uniform(0.35, 0.5), r.uniform(0.78, 0.98))))
        begun = float(r.uniform(0, 8)) * DAY
        self.firm.live_in(trader_id, begun, self.firm.end)
        for _ in range(int(r.integers(5, 12))):
            account = self.firm.buy(trader_id, begun + r.uniform(0, 12) * DAY)
            self.burn(account, account.opened + r.uniform(1, 20) * 3600, size)
            if size > 0.7:
                self.firm.plant("all_in", account.account_id, "farm")
        self.firm.plant("challenge_farming", trader_id)

    def recurring_breaches(self) -> None:
        """Bought, breached within days, bought again at once."""
        r, trader_id = self.rng, self.firm.trader()
        at = float(r.uniform(0, 6)) * DAY
        self.firm.live_in(trader_id, at, self.firm.end)
        done = 0
        for _ in range(int(r.integers(5, 10))):
            account = self.firm.buy(trader_id, at)
            ended = self.burn(account, at + 3600, r.uniform(0.2, 0.5))
            if account.ended is None:
                break
            done += not account.passed
            if ended > self.firm.end - 3 * DAY:
                break
            at = ended + r.uniform(0.05, 2) * DAY
        if done >= 4:
            self.firm.plant("recurring_breaches", trader_id, str(done))

    def inactivity(self) -> None:
        """Traded for a week, then nothing for over a month."""
        if self.style.days < 50:
            return
        account = self.someone(0.15)
        self.trade(account, self.habit("day") | {"risk": 0.002, "skill": 0.02}, account.opened, 6)
        if account.ended is None and self.firm.end - account.last > 32 * DAY:
            self.firm.plant("inactivity", account.account_id)


PLANTED = (
    "latency_arbitrage",
    "tick_scalping",
    "news_straddling",
    "all_in",
    "martingale",
    "grid",
    "payout_gaming",
    "account_passing",
    "kyc_mismatch",
    "chargeback_abuse",
    "challenge_farming",
    "recurring_breaches",
    "inactivity",
)
ALIKE = (
    "quick_hands",
    "retries",
    "traveller",
    "scale_in",
    "averager",
    "newsman",
    "holder_over_news",
    "hedger",
    "single_swing",
    "unlucky_funded",
    "new_machine",
    "disputed_once",
    "several",
)


def make(style: Style, seed: int, kind: type[People] = People) -> Firm:
    """A firm with so many of each planted kind and look-alike, and ordinary people around them."""
    people = kind(style, seed)
    makers: list[Callable[[], None]] = [getattr(people, name) for name in (*PLANTED, *ALIKE)]
    for one in makers:
        for _ in range(style.each):
            one()
    for _ in range(style.people):
        people.ordinary()
    return people.firm
