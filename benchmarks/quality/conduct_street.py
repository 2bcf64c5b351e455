"""A further family of whole firms: other markets, sizes and payout habits, and every abuse done another way.

Written from the definitions of the trade (domain reference, 2.4 to 2.15), never from the detectors. Prices have quiet
and wild weeks and jump; people mix what they do: a latency hunter trades ordinarily in between, a martingale changes
instruments, a grid lies on both sides, an all-in is entered in slices.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.quality.conduct_feeds import DAY, Account, Course, Firm, People, Style, make

CASH = (
    ("GER40.cash", 23_500.0, 1.0, 0.011),
    ("XAGUSDm", 38.0, 5_000.0, 0.018),
    ("EURJPYm", 163.0, 613.0, 0.007),
    ("AUDCADm", 0.91, 72_000.0, 0.006),
    ("US30.cash", 44_000.0, 1.0, 0.010),
)
MICROS = (("MYMU6", 44_500.0, 0.5, 0.010), ("M2KU6", 2_250.0, 5.0, 0.014), ("MBTU6", 98_000.0, 0.1, 0.03))
STREETS = (
    Style("cash", 80, 300, 10, CASH, 4.5, 9.0, (9.0,), "Europe/London", "22:00", 50_000, "EUR", commission=1.5),
    Style(
        "micros",
        70,
        260,
        10,
        MICROS,
        3.0,
        6.0,
        (6.0, 4.0),
        "America/Chicago",
        "17:00",
        150_000,
        commission=0.7,
        lacks=frozenset({"country", "take_profit", "comment", "quotes"}),
        lot=1.0,
    ),
)
RESET_UTC = {"cash": 21, "micros": 22}


class Street(Course):
    """A price whose unrest comes in spells of days, with jumps that no release explains."""

    def __init__(self, style: Style, symbol: tuple[str, float, float, float], news: list[float], rng: Any) -> None:
        super().__init__(style, symbol, news, rng)
        moved = np.diff(np.log(self.price), prepend=np.log(self.level))
        spells = np.exp(0.5 * np.repeat(rng.standard_normal(len(moved) // 2880 + 1), 2880)[: len(moved)])
        jumps = (rng.random(len(moved)) < 1 / 2000) * rng.standard_t(4, len(moved)) * self.sigma * 4
        self.price = self.level * np.exp(np.cumsum(moved * spells + jumps * (moved != 0)))


class StreetFirm(Firm):
    """A firm on such prices."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.paths = [Street(self.style, symbol, self.news, self.rng) for symbol in self.style.symbols]


class StreetPeople(People):
    """The same kinds of people, who do everything in another way."""

    def __init__(self, style: Style, seed: int) -> None:
        super().__init__(style, seed)
        self.firm = StreetFirm(style, np.random.default_rng(seed))
        self.rng = self.firm.rng

    def habit(self, name: str) -> dict[str, Any]:
        """An ordinary habit; whoever stakes boldly stays below half of what a day allows."""
        held = super().habit(name)
        return held | {"risk": min(held["risk"], 0.2 * self.allowance)}

    def stake(self, account: Account, at: float, share: float, won: bool, minutes: float, slices: int = 1) -> None:
        """One idea that wins or loses a share of the balance, entered in slices within seconds."""
        path, side = self.any_path(), int(self.rng.choice((-1, 1)))
        distance = path.level * path.sigma * self.rng.uniform(12, 40)
        entry, lots = path.at(at), self.firm.lots(path, share / slices, distance)
        out = entry + side * distance * (self.rng.uniform(0.9, 2.0) if won else -1)
        for k in range(slices):
            self.firm.position(account, at + 4 * k, path, side, lots, minutes * 60, stop=distance, entry=entry,
                               exit_price=out)  # fmt: skip

    def quickly(self, account: Account, at: float, path: Course, hold: float, won: bool, ends: str = "") -> None:
        """One position of moments for about the spread."""
        side, entry = int(self.rng.choice((-1, 1))), path.at(at)
        edge = path.spread * self.rng.uniform(0.4, 2.0) * (1 if won else -1)
        lots = self.firm.lots(path, 0.0006, 2 * path.spread)
        self.firm.position(account, at, path, side, lots, hold, entry=entry, exit_price=entry + side * edge)
        if ends:
            self.firm.rows["deals"][-1]["reason"] = "sl" if not won else "tp"

    def moved_by_dollars(self) -> Course:
        """A symbol that a release about the dollar moves by its name."""
        known = [path for path in self.firm.paths if path.name[:3] in ("XAG", "US3", "MYM", "M2K", "MBT")]
        return known[int(self.rng.integers(len(known)))]

    # --- planted ----------------------------------------------------------------------------------------------------

    def latency_arbitrage(self) -> None:
        """Bursts of stale quotes within an hour of the session, ordinary trades in between."""
        account, r = self.someone(0.3), self.rng
        path, hold, wins = self.any_path(), float(r.uniform(0.2, 5)), r.uniform(0.83, 0.96)
        hour = r.uniform(7, 14)
        for midnight in list(self.day_of(account))[: int(r.integers(5, 18))]:
            for _ in range(int(r.integers(4, 15))):
                at = midnight + (hour + r.uniform(0, 1)) * 3600
                self.quickly(account, at, path, hold * float(np.exp(0.3 * r.standard_normal())), r.random() < wins)
            if r.random() < 0.4:
                self.stake(account, midnight + 17 * 3600, 0.003, r.random() < 0.5, r.uniform(20, 90))
        self.firm.plant("latency_arbitrage", account.account_id, f"{hold:.1f} s")

    def tick_scalping(self) -> None:
        """Most positions last seconds, the rest some minutes; wins and losses even out."""
        account, r = self.someone(0.3), self.rng
        path, share, hold = self.any_path(), r.uniform(0.7, 0.9), r.uniform(6, 30)
        for midnight in list(self.day_of(account))[: int(r.integers(5, 15))]:
            for _ in range(int(r.integers(8, 40))):
                long = r.random() > share
                seconds = r.uniform(90, 900) if long else hold * float(np.exp(0.5 * r.standard_normal()))
                self.quickly(account, self.hour(midnight, 7), path, seconds, r.random() < 0.55)
        self.firm.plant("tick_scalping", account.account_id, f"{share:.2f} at {hold:.0f} s")

    def news_straddling(self) -> None:
        """Both sides are filled around the release, or one by the first jump; the loser is cut at once."""
        account, r = self.someone(0.1), self.rng
        both, done = r.random() < 0.5, 0
        for at in self.firm.news:
            if at < account.opened + DAY or r.random() < 0.2:
                continue
            path = self.moved_by_dollars()
            side = int(np.sign(path.price[int(at / 60) + 1] - path.price[int(at / 60)]) or 1)
            lots = self.firm.lots(path, 0.003, path.level * path.sigma * 12)
            self.firm.position(account, at + r.uniform(0.1, 3), path, side, lots, r.uniform(40, 900), opened_by="other")
            if both:
                self.firm.position(account, at + r.uniform(0.1, 5), path, -side, lots, r.uniform(3, 30),
                                   opened_by="other")  # fmt: skip
            done += account.ended is None
        if r.random() < 0.5:
            self.trade(account, self.habit("day") | {"a_day": 0.5}, account.opened)
        if done >= 5:
            self.firm.plant("news_straddling", account.account_id, f"{'both' if both else 'one'} {done}")

    def all_in(self) -> None:
        """The day's allowance in slices of one idea, stop at the floor, target in one go."""
        account, r = self.someone(0.8), self.rng
        slices, ideas = int(r.choice((1, 3, 5))), int(r.integers(1, 4))
        for midnight in list(self.day_of(account))[:ideas]:
            self.stake(account, self.hour(midnight), self.allowance * r.uniform(0.8, 1.0), r.random() < 0.4,
                       r.uniform(10, 400), slices)  # fmt: skip
        self.firm.plant("all_in", account.account_id, f"{slices} slices, {ideas} ideas")

    def martingale(self) -> None:
        """Doubled after each loss, on whichever instrument comes next; back to the base after a win."""
        account, r = self.someone(0.3), self.rng
        factor, step, raised = r.uniform(1.6, 2.1), 0, 0
        for midnight in self.day_of(account):
            at = midnight + 8 * 3600
            for _ in range(int(r.integers(2, 5))):
                path, at = self.any_path(), at + r.uniform(10, 80) * 60
                distance, won = path.level * path.sigma * 10, r.random() < 0.45
                base = max(self.firm.lots(path, 0.0008, distance), self.style.lot)
                lots = round(round(base * factor**step / self.style.lot) * self.style.lot, 2)
                side, entry = int(r.choice((-1, 1))), path.at(at)
                out = entry + side * distance * (1 if won else -1)
                at, result = self.firm.position(account, at, path, side, lots, r.uniform(5, 60) * 60, entry=entry,
                                                exit_price=out)  # fmt: skip
                raised += result < 0
                step = min(step + 1, 5) if result < 0 else 0
        if raised >= 6:
            self.firm.plant("martingale", account.account_id, f"x{factor:.1f}, {raised}")

    def grid(self) -> None:
        """Layers at even distances on both sides of a price; each side closes together."""
        account, r = self.someone(0.3), self.rng
        path, baskets = self.any_path(), 0
        gap = path.level * path.sigma * r.uniform(4, 8)
        lots = max(self.firm.lots(path, 0.0005, gap * 4), self.style.lot)
        for midnight in list(self.day_of(account))[::2]:
            at, middle, layers = self.hour(midnight, 4), path.at(self.hour(midnight, 4)), int(r.integers(5, 9))
            baskets += account.ended is None
            for side in (1, -1):
                for k in range(layers):
                    entry = middle - side * (k + 1) * gap * (1 + 0.03 * r.standard_normal())
                    out = middle - side * gap * (layers / 2 - 0.6)
                    begun = at + (k + r.uniform(0, 1)) * 420 + (side < 0) * 1800
                    self.firm.position(account, begun, path, side, lots, at + 3 * 3600 - begun, entry=entry,
                                       exit_price=out)  # fmt: skip
        if baskets > 1:
            self.firm.plant("grid", account.account_id, f"both sides {baskets}")

    def payout_gaming(self) -> None:
        """Days won by a tick with the smallest lot, a winner cut over the reset, or the rest burnt once paid."""
        account, r = self.someone(0.05, "funded"), self.rng
        variant, path = str(r.choice(("flips", "split", "burnt"))), self.any_path()
        distance = path.level * path.sigma * 25
        big = max(self.firm.lots(path, 0.009, distance), 12 * self.style.lot)
        days = list(self.day_of(account))[: int(r.integers(10, 14))]
        for k, midnight in enumerate(days):
            at, side = self.hour(midnight, 6), int(r.choice((-1, 1)))
            entry = path.at(at)
            if variant == "flips" and k % 5:
                self.firm.position(account, at, path, side, self.style.lot, r.uniform(5, 90), entry=entry,
                                   exit_price=entry + side * path.spread * 1.5)  # fmt: skip
            elif variant == "split" and k % 3 == 0 and midnight % (7 * DAY) < 4 * DAY:
                reset = midnight + RESET_UTC[self.style.name] * 3600
                begun, won = reset - r.uniform(1, 4) * 3600, entry + side * distance * r.uniform(0.5, 1.0)
                for out in (-r.uniform(30, 900), r.uniform(30, 1200)):
                    self.firm.position(account, begun + r.uniform(0, 20), path, side, big, reset + out - begun,
                                       entry=entry, exit_price=won)  # fmt: skip
            else:
                out = entry + side * distance * (0.8 if r.random() < 0.65 else -0.5)
                self.firm.position(account, at, path, side, big, r.uniform(15, 150) * 60, entry=entry, exit_price=out)
        if account.balance < self.style.balance * 1.02:
            at = days[-1] + 18 * 3600
            entry = path.at(at)
            self.firm.position(account, at, path, 1, 2 * big, 3600, entry=entry, exit_price=entry + distance * 2)
        if not self.firm.pay(account, days[-1] + DAY):
            return
        if variant == "burnt":
            for midnight in list(self.day_of(account)):
                if midnight > days[-1] + 2 * DAY:
                    self.stake(account, self.hour(midnight), self.allowance * r.uniform(0.4, 0.7), False, 60)
        if variant != "burnt" or account.ended is not None:
            self.firm.plant("payout_gaming", account.account_id, variant)

    # --- look-alikes ------------------------------------------------------------------------------------------------

    def quick_hands(self) -> None:
        """Stops and targets met at once in wild minutes; or a handful of quick winners among ordinary trades."""
        account, r = self.someone(0.3), self.rng
        wild, path = r.random() < 0.5, self.any_path()
        for midnight in list(self.day_of(account))[:12]:
            for _ in range(int(r.integers(1, 4)) if wild else int(r.random() < 0.4)):
                hold = r.uniform(15, 400) if wild else r.uniform(2, 20)
                self.quickly(account, self.hour(midnight), path, hold, r.random() < (0.45 if wild else 0.8),
                             ends="market" if wild else "")  # fmt: skip
            for _ in range(int(r.integers(1, 4))):
                self.stake(account, self.hour(midnight), 0.002, r.random() < 0.5, r.uniform(6, 60))
        self.firm.alike[account.account_id] = "wild minutes" if wild else "a few quick winners"

    def averager(self) -> None:
        """Adds to winners, never to losers; sizes grow with success."""
        account, r = self.someone(0.3), self.rng
        size = 0.002
        for midnight in self.day_of(account):
            for _ in range(int(r.integers(1, 4))):
                before = account.balance
                self.stake(account, self.hour(midnight), size, r.random() < 0.5, r.uniform(10, 100))
                size = min(size * 1.6, 0.008) if account.balance > before else 0.002
        self.firm.alike[account.account_id] = "raises after wins"

    def single_swing(self) -> None:
        """A beginner who loses the account in two or three days by many trades too large."""
        account, r = self.someone(0.8), self.rng
        for midnight in list(self.day_of(account))[:4]:
            for _ in range(int(r.integers(3, 7))):
                self.stake(account, self.hour(midnight), self.allowance * r.uniform(0.12, 0.3), r.random() < 0.35,
                           r.uniform(5, 120))  # fmt: skip
        self.firm.alike[account.account_id] = "beginner"

    def unlucky_funded(self) -> None:
        """Sizes by conviction over one order of magnitude, paid, breached weeks later at the same sizes."""
        account, r = self.someone(0.05, "funded"), self.rng

        def spell(days: list[float], luck: float) -> None:
            for midnight in days:
                for _ in range(int(r.integers(1, 4))):
                    size = 0.006 * float(np.exp(-r.uniform(0, 2.2)))
                    self.stake(account, self.hour(midnight), size, r.random() < luck, r.uniform(10, 300))

        days = list(self.day_of(account))
        spell(days[:11], 0.62)
        if self.firm.pay(account, days[11]):
            spell(days[13:], 0.32)
            self.firm.alike[account.account_id] = "unlucky_funded"


def make_street(style: Style, seed: int) -> Firm:
    """A firm as `conduct_feeds.make` makes one, of these people."""
    return make(style, seed, StreetPeople)
