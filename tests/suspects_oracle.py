"""What the pass that clears trades must keep, told account by account in plain words and with no thought of speed."""

from __future__ import annotations

from itertools import pairwise

from models import suspects
from models.suspects import NEARLY, Given

Kept = tuple[list[int], list[int]]


def tell(given: Given) -> Kept:
    """What each trade is kept for, and each account."""
    kept, flagged = [0] * len(given.trades), [0] * len(given.limits)
    for a in range(len(given.limits)):
        account = Account(given, a)
        for n, reasons in account.trades_kept().items():
            kept[n] |= reasons
        flagged[a] = sum(bit for bit, holds in account.reasons().items() if holds)
    return kept, flagged


class Account:
    """One account of a firm, its limits and its trades in order of opening."""

    def __init__(self, given: Given, a: int) -> None:
        self.given, self.a, self.limits, self.t = given, a, given.limits[a], given.trades
        self.mine = range(given.starts[a], given.starts[a + 1])
        self.closed = [n for n in self.mine if self.t.closed[n]]

    # --- trades ---

    def trades_kept(self) -> dict[int, int]:
        """What each trade is kept for by itself, by those beside it, and by its idea."""
        kept = {n: self.alone(n) for n in self.mine}
        for n in self.mine:
            layers, reasons = self.stack(n)
            against = [m for m in self.beside(n) if self.stand_against(n, m)]
            hedged = against and max(self.together(n, m) for m in against) >= self.limits["overlap_us"]
            for m in [n, *layers]:
                kept[m] |= reasons
            for m in [n, *against] if hedged else []:
                kept[m] |= suspects.HEDGING
        for idea in self.ideas():
            if sum(self.lost(n) for n in idea) > self.limits["idea_size"] * NEARLY:
                for n in idea:
                    kept[n] |= suspects.IDEA
        return kept

    def alone(self, n: int) -> int:
        """What a trade is kept for by itself."""
        limits, t, given = self.limits, self.t, self.given
        life = (t.opened[n], t.held[n])
        stop = t.stop[n]
        suspicious = (
            bool(t.closed[n] and life[1] - life[0] < limits["held_us"])
            or bool(limits["stops"] and (stop != stop or stop * t.value[n] > limits["stop_size"] * NEARLY))
            or bool(limits["bars"] >= 0 and given.bars[limits["bars"], t.code[n]])
        )
        over = [at for name in ("weekend", "overnight") for at in self.listed(given.cutoffs, limits[name])]
        executed = [life] if t.deals[n] > 2 else [(life[0],) * 2, *([(life[1],) * 2] if t.closed[n] else [])]
        spans = list(zip(*given.news, strict=True)) if limits["news"] else []
        near_news = any(first <= until and since <= last for first, last in spans for since, until in executed)
        met = near_news or t.lots[n] > limits["lots"] * NEARLY
        cutoff = any(life[0] <= at <= life[1] for at in over)
        alone = suspects.ALONE | suspects.MET if met else suspects.ALONE if suspicious else 0
        return alone | (suspects.CUTOFF if cutoff else 0)

    def listed(self, instants: suspects.Instants, place: int) -> list[int]:
        """The instants of one list, none where a stage has no such list."""
        return [] if place < 0 else list(instants.at[instants.offsets[place] : instants.offsets[place + 1]])

    def beside(self, n: int) -> list[int]:
        """Trades opened before another that were open when it opened."""
        return [m for m in self.mine if m < n and self.t.held[m] >= self.t.opened[n]]

    def together(self, n: int, m: int) -> int:
        """How long a trade was open beside an earlier one."""
        return int(min(self.t.held[n], self.t.held[m]) - self.t.opened[n])

    def stand_against(self, n: int, m: int) -> bool:
        """Whether two trades oppose each other: in one line, the other way round or in instruments that may oppose."""
        line = self.given.lines[self.limits["lines"]]
        same = self.t.market[n] == self.t.market[m]
        if line[self.t.market[n]] != line[self.t.market[m]]:
            return False
        return bool(self.t.sold[n] != self.t.sold[m] or (self.limits["opposed"] and not same))

    def stack(self, n: int) -> tuple[list[int], int]:
        """The trades that a trade was stacked upon, and what for all of them are kept."""
        t, limits = self.t, self.limits
        layers = [m for m in self.beside(n) if t.market[m] == t.market[n] and t.sold[m] == t.sold[n]]
        tied = [m for m in layers if t.opened[m] == t.opened[n] or max(t.openings[m], t.openings[n]) > 1]
        worse = [m for m in layers if (t.price[n] > t.price[m] if t.sold[n] else t.price[n] < t.price[m])]
        losing = bool(tied or worse)
        more = [m for m in layers if t.lots[n] > t.lots[m] * limits["added"] * NEARLY]
        added = more or (tied and limits["added"] < float("inf"))
        grid = len(layers) + 1 > limits["layers"] and (losing or not limits["losing"])
        return layers, (suspects.GRID if grid else 0) | (suspects.ADDED if losing and added else 0)

    def ways(self) -> list[list[int]]:
        """Trades by market and direction."""
        ways: dict[tuple[int, bool], list[int]] = {}
        for n in self.mine:
            ways.setdefault((int(self.t.market[n]), bool(self.t.sold[n])), []).append(n)
        return list(ways.values())

    def ideas(self) -> list[list[int]]:
        """Trades one way that met, or that followed upon a loss within the merging time."""
        ideas = []
        for way in self.ways():
            idea = [way[0]]
            for place, n in enumerate(way[1:], 1):
                ended = max(self.t.held[m] for m in way[:place])
                lost = any(self.loss(m) > 0 for m in way[:place] if self.t.held[m] == ended)
                if self.t.opened[n] <= ended + (self.limits["idea_merge_us"] if lost else 0):
                    idea.append(n)
                else:
                    ideas.append(idea)
                    idea = [n]
            ideas.append(idea)
        return ideas

    def loss(self, n: int) -> float:
        """What a closed trade lost."""
        return max(-self.t.net[n], 0.0) if self.t.closed[n] else 0.0

    def lost(self, n: int) -> float:
        """What a trade may have lost at any of its closes: all its losing deals where there are several."""
        closes = self.t.deals[n] - self.t.openings[n]
        return self.t.losses[n] if closes > (1 if self.t.closed[n] else 0) else self.loss(n)

    # --- accounts ---

    def reasons(self) -> dict[int, bool]:
        """What an account is kept for, and whether it is."""
        return {
            suspects.LOTS: self.uneven(),
            suspects.LOSSES: any(self.raised(n) for n in self.mine),
            suspects.EXPOSURE: any(self.exposed(n) for n in self.mine),
            suspects.MARGIN: any(self.tied_up(n) for n in self.mine),
            suspects.BUSY: self.busiest() > self.limits["day_trades"],
            suspects.SYMBOL: self.worst_day() > self.limits["day_size"] * NEARLY,
            suspects.IDLE: self.rested() >= self.limits["idle_us"],
            suspects.SHARE: self.short_as_a_whole(),
        }

    def uneven(self) -> bool:
        """Whether an entry lies far from the average of enough entries."""
        entries = []
        for way in self.ways():
            entry = [way[0]]
            for m, n in pairwise(way):
                if self.t.opened[n] <= self.t.opened[m] + self.limits["entry_merge_us"]:
                    entry.append(n)
                else:
                    entries.append(entry)
                    entry = [n]
            entries.append(entry)
        lots, all_lots = ([sum(self.t.lots[n] for n in entry) for entry in entries], sum(self.t.lots[self.mine]))
        high, low = all_lots * self.limits["entry_high"] * NEARLY, all_lots * self.limits["entry_low"]
        far = [one for one in lots if one > 0 and (one * len(lots) > high or one * len(lots) * NEARLY < low)]
        return len(entries) >= self.limits["entries"] and bool(far)

    def raised(self, n: int) -> bool:
        """Whether a trade followed upon a row of losses with more lots than the least of them allows."""
        t, limits = self.t, self.limits
        ended = [m for m in self.closed if t.market[m] == t.market[n] and t.held[m] <= t.opened[n]]
        row: list[int] = []
        for m in sorted(ended, key=lambda m: t.held[m]):
            if t.net[m] < 0:
                row.append(m)
            elif row and t.held[row[-1]] < t.held[m]:
                row = []
        recent = [m for m in row if t.held[m] >= t.opened[n] - limits["within_us"]]
        enough = bool(recent) and len(recent) >= limits["losses"]
        return enough and bool(t.lots[n] >= min(t.lots[m] for m in recent) * limits["multiple"] * NEARLY)

    def exposed(self, n: int) -> bool:
        """Whether too many lots were open when a trade opened."""
        at_once = [n, *self.beside(n)]
        if self.limits["per_market"]:
            at_once = [m for m in at_once if self.t.market[m] == self.t.market[n]]
        return bool(sum(self.t.lots[m] for m in at_once) > self.limits["exposure"] * NEARLY)

    def tied_up(self, n: int) -> bool:
        """Whether what was open when a trade opened may have tied up too much margin."""
        worth = sum(self.t.value[m] * self.t.price[m] for m in [n, *self.beside(n)])
        allowed = self.limits["margin"] * self.limits["leverage"] * max(self.given.least[self.a], 0)
        return bool(100 * worth > allowed * NEARLY)

    def day(self, instant: int) -> int:
        """Which firm day an instant is in: an instant on a reset is of the day that begins."""
        return sum(reset <= instant for reset in self.listed(self.given.clocks, self.limits["clock"]))

    def busiest(self) -> int:
        """The most openings of a day, and all later executions that open a trade further."""
        days = [self.day(self.t.opened[n]) for n in self.mine]
        most = max((days.count(day) for day in days), default=0)
        return most + sum(int(self.t.openings[n]) - 1 for n in self.mine)

    def worst_day(self) -> float:
        """The largest loss of a day in one instrument, with all whose day is not known."""
        days: dict[tuple[int, int], float] = {}
        anywhere = 0.0
        for n in self.mine:
            opened, held = self.day(self.t.opened[n]), self.day(self.t.held[n])
            for day in {opened, held} if self.t.closed[n] else {opened}:
                key = (int(self.t.market[n]), day)
                days[key] = days.get(key, 0.0) + self.t.losses[n]
            in_one_day = self.t.closed[n] and opened == held
            if self.t.deals[n] > (2 if self.t.closed[n] else 1) and not in_one_day:
                anywhere += self.t.losses[n]
        return max(days.values(), default=0.0) + anywhere

    def rested(self) -> int:
        """The longest time without an opening."""
        opened = [self.t.opened[n] for n in self.mine]
        moments = [self.given.opened[self.a], *opened, self.given.until[self.a]]
        return int(max(later - earlier for earlier, later in pairwise(moments)))

    def short_as_a_whole(self) -> bool:
        """Whether too many trades, or too much of what they gained, were short, or held for too short on average."""
        limits, t = self.limits, self.t
        held = {n: t.held[n] - t.opened[n] for n in self.closed}
        won = [n for n in self.closed if t.net[n] > 0]
        short = [n for n in self.closed if held[n] < limits["short_us"]]
        gains, short_gains = (sum(max(t.net[n], 0.0) for n in trades) for trades in (self.closed, short))
        many = (
            len(short) * 100 > limits["short_share"] * len(held) * NEARLY
            or short_gains * 100 > limits["short_profit"] * gains * NEARLY
            or sum(held.values()) * NEARLY < limits["average_us"] * len(held)
            or sum(held[n] for n in won) * NEARLY < limits["winner_us"] * len(won)
        )
        return len(held) >= limits["shares_from"] and bool(many)
