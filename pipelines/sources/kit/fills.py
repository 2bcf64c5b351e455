"""Single fills without a result: paired first in, first out, and priced by the contract's size."""

from collections import defaultdict, deque
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal

from pipelines.sources.kit.ledger import Ledger
from pipelines.sources.kit.statement import Ask, RowProblem, SourceRefusal
from pipelines.sources.symbols import instrument

FLAT_NOTE = "profits are reckoned first in, first out, from a flat account before the first fill"


def money_of(ask: Ask) -> str:
    """Return the currency in which profits are reckoned: the account's, US dollars where nobody named it."""
    return (ask.currency or "USD").upper()


@dataclass(frozen=True)
class Fill:
    """One execution: ``at`` is a clock reading, volume in lots or contracts, ``commission`` signed as in our deals.

    ``position`` groups the fills of one position where the platform names it, else the symbol's fills are netted. A
    result ``is_converted`` at the closing price where the account's currency is the pair's first. ``place``
    orders the fills of one instant whose ids are not numbered in order.
    """

    fill_id: str
    at: datetime
    side: str
    symbol: str
    volume: Decimal
    price: Decimal
    commission: Decimal | None = None
    position: str | None = None
    is_converted: bool = False
    place: int = field(default=0, compare=False)

    @property
    def units(self) -> Decimal:
        """The money value of one price point of one lot, nothing where it is unknown."""
        found = instrument(self.symbol)
        return (found.units if found else None) or Decimal(0)

    def priced(self, currency: str) -> "Fill":
        """Return the fill, or raise RowProblem: without a contract size, or a rate into the currency, no profit."""
        found = instrument(self.symbol)
        if found is None or not found.units:
            raise RowProblem("symbol", self.symbol, "its contract size is unknown, so its profit cannot be reckoned")
        is_converted = found.asset_class == "fx" and found.name.startswith(currency)
        if currency != found.quote and not is_converted:
            why = f"its result is in {found.quote} and the account in {currency}, so its profit cannot be reckoned"
            raise RowProblem("symbol", self.symbol, why)
        return replace(self, is_converted=is_converted)


def land_fills(ledger: Ledger, fills: list[Fill]) -> None:
    """Add a deal per fill, two for a fill that closes one position and opens the next, in time order."""
    ledger.facts |= {"profits": FLAT_NOTE, "is_newest_first": bool(fills) and fills[0].at > fills[-1].at}
    books: dict[str, _Book] = defaultdict(_Book)
    unique: dict[str, Fill] = {}
    for fill in fills:
        if unique.setdefault(fill.fill_id, fill) != fill:
            raise SourceRefusal(
                f"the file holds two different rows with the id {fill.fill_id}: export it again from the platform"
            )
    ledger.repeated_rows += len(fills) - len(unique)
    for fill in sorted(unique.values(), key=in_order):
        books[fill.position or fill.symbol].add(ledger, fill)


def in_order(fill: Fill) -> tuple[datetime, int, int, str]:
    """Return what fills are sorted by."""
    return fill.at, fill.place, len(fill.fill_id), fill.fill_id


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
            worth = (fill.price - oldest.price) * sign * taken * fill.units
            profit += worth / fill.price if fill.is_converted else worth
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
