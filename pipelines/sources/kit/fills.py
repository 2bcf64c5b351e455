"""Single fills without a result: paired first in, first out, and priced by the contract's size."""

from collections import defaultdict, deque
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from pipelines.sources.kit.ledger import Ledger
from pipelines.sources.kit.statement import RowProblem
from pipelines.sources.symbols import instrument

FLAT_NOTE = "profits are reckoned first in, first out, from a flat account before the first fill"


@dataclass(frozen=True)
class Fill:
    """One execution: ``at`` is a clock reading, volume in lots or contracts, ``commission`` signed as in our deals.

    ``position`` groups the fills of one position where the platform names it, else the symbol's fills are netted.
    """

    fill_id: str
    at: datetime
    side: str
    symbol: str
    volume: Decimal
    price: Decimal
    commission: Decimal | None = None
    position: str | None = None

    @property
    def units(self) -> Decimal:
        """The money value of one price point of one lot, nothing where it is unknown."""
        found = instrument(self.symbol)
        return (found.units if found else None) or Decimal(0)

    def priced(self) -> "Fill":
        """Return the fill, or raise RowProblem: without a contract size there is no profit."""
        if not self.units:
            raise RowProblem("symbol", self.symbol, "its contract size is unknown, so its profit cannot be reckoned")
        return self


def land_fills(ledger: Ledger, fills: list[Fill]) -> None:
    """Add a deal per fill, two for a fill that closes one position and opens the next, in time order."""
    ledger.facts["profits"] = FLAT_NOTE
    books: dict[str, _Book] = defaultdict(_Book)
    unique = {fill.fill_id: fill for fill in fills}
    for fill in sorted(unique.values(), key=lambda fill: (fill.at, len(fill.fill_id), fill.fill_id)):
        books[fill.position or fill.symbol].add(ledger, fill)


class _Book:
    """The open parts of one position, oldest first."""

    def __init__(self) -> None:
        """Start flat."""
        self.open: deque[Fill] = deque()
        self.name = ""

    def add(self, ledger: Ledger, fill: Fill) -> None:
        """Close what the fill closes, open what is left of it."""
        rest = fill
        if self.open and self.open[0].side != fill.side:
            profit, left = self._close(fill)
            closed = fill.volume - left
            reverses = bool(left)
            share = fill.commission if not reverses else _share(fill.commission, closed / fill.volume)
            self._deal(ledger, fill, "out", closed, profit, share, f"{fill.fill_id}-out" if reverses else fill.fill_id)
            if not reverses:
                return
            paid = None if fill.commission is None or share is None else fill.commission - share
            rest = replace(fill, volume=left, commission=paid, fill_id=f"{fill.fill_id}-in")
        if not self.open:
            self.name = fill.position or f"{fill.symbol}-{fill.fill_id}"
        self.open.append(rest)
        self._deal(ledger, rest, "in", rest.volume, Decimal(0), rest.commission, rest.fill_id)

    def _close(self, fill: Fill) -> tuple[Decimal, Decimal]:
        """Take the oldest parts off against a fill; return the profit and what is left of the fill."""
        profit, left = Decimal(0), fill.volume
        sign = 1 if fill.side == "sell" else -1
        while left and self.open:
            oldest = self.open.popleft()
            taken = min(left, oldest.volume)
            profit += (fill.price - oldest.price) * sign * taken * fill.units
            left -= taken
            if oldest.volume > taken:
                self.open.appendleft(replace(oldest, volume=oldest.volume - taken))
        return profit, left

    def _deal(
        self, ledger: Ledger, fill: Fill, entry: str, volume: Decimal, profit: Decimal, paid: Decimal | None, name: str
    ) -> None:
        """Add one deal."""
        ledger.trade(
            name,
            fill.at,
            position_id=self.name,
            entry=entry,
            side=fill.side,
            symbol=fill.symbol,
            volume=f"{volume:f}",
            price=f"{fill.price:f}",
            profit=f"{profit.quantize(Decimal('0.01')):f}",
            commission=None if paid is None else f"{paid:f}",
        )


def _share(amount: Decimal | None, part: Decimal) -> Decimal | None:
    """Return a part of an amount to the cent."""
    return None if amount is None else (amount * part).quantize(Decimal("0.01"))
