"""Which position a deal belongs to, where a report prints the two in separate tables.

In a hedging account the position's ticket is the order that opened it. A closing deal names no position: it is tied by
symbol, opposite side, time and volume, several closing deals of one position by adding up to its row to the cent. In a
netting account a symbol has one position from flat to flat.
"""

from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

Deal = dict[str, Any]
Key = tuple[Any, ...]
TRIES_MAX = 20_000
CANDIDATES_MAX = 24
_OTHER = {"buy": "sell", "sell": "buy"}


@dataclass
class Position:
    """One row of the positions table; ``closed_at`` is None while it is open, ``volume`` then what is left of it."""

    ticket: str
    symbol: str
    side: str
    volume: Decimal
    opened_at: datetime
    closed_at: datetime | None = None
    price: Decimal = Decimal(0)
    commission: Decimal = Decimal(0)
    swap: Decimal = Decimal(0)
    profit: Decimal = Decimal(0)
    stop_loss: str | None = None
    take_profit: str | None = None
    open_price: Decimal = Decimal(0)
    tied: bool = False
    began_earlier: bool = False


def tie(deals: list[Deal], positions: list[Position], *, netting: bool) -> None:
    """Set position_id on every trade deal for which it can be decided; the others keep None."""
    trades = [deal for deal in deals if deal["kind"] == "trade"]
    if netting:
        _tie_netting(trades, positions)
        return
    for deal in trades:
        if deal["entry"] == "in":
            deal["position_id"] = deal["order"]
    _Closings(trades, positions).tie()


def _tie_netting(trades: list[Deal], positions: list[Position]) -> None:
    """Follow each symbol's net volume; a position is named after the order that opened it from flat.

    One that was begun before the file has the number that the tables give it, until it ends: how large it was is not
    known, so its end cannot be reckoned.
    """
    earlier = _Earlier(trades, positions)
    held: dict[str, tuple[str, Decimal]] = {}
    for deal in trades:
        ticket = earlier.of(deal)
        if ticket:
            deal["position_id"] = ticket
            continue
        signed = Decimal(deal["volume"]) * (1 if deal["side"] == "buy" else -1)
        name, net = held.get(deal["symbol"], ("", Decimal(0)))
        if not net and deal["entry"] == "in":
            name = deal["order"] or deal["deal_id"]
        deal["position_id"] = name or None
        held[deal["symbol"]] = (name, net + signed)


class _Earlier:
    """The netting positions that were begun before the file, by symbol, until they end."""

    def __init__(self, trades: list[Deal], positions: list[Position]) -> None:
        """Find each symbol's position that was open when the file begins, and what any instant's reversal opened."""
        first_at = min((deal["executed_at"] for deal in trades), default=datetime.max)
        self.open = {position.symbol: position for position in positions if position.opened_at < first_at}
        self.rows = {(position.symbol, position.opened_at): position for position in positions}
        self.closed: set[str] = set()

    def of(self, deal: Deal) -> str | None:
        """The ticket of the earlier position that a deal, in order of time, belongs to."""
        symbol, at = deal["symbol"], deal["executed_at"]
        position = self.open.get(symbol)
        if position is None:
            return None
        ends_at = position.closed_at or datetime.max
        if at > ends_at or (deal["entry"] == "in" and symbol in self.closed):
            del self.open[symbol]
            return None
        if at == ends_at and deal["entry"] == "inout":
            # a reversal ends the row and not the position
            after = self.rows.get((symbol, at))
            self.open[symbol] = replace(position, closed_at=after.closed_at if after else None)
        elif at == ends_at and deal["entry"] != "in":
            self.closed.add(symbol)
        return position.ticket


class _Closings:
    """The closing deals of a hedging account and the positions they close."""

    def __init__(self, trades: list[Deal], positions: list[Position]) -> None:
        """Sort the deals by what they can belong to."""
        self.positions = positions
        self.first_at = min((deal["executed_at"] for deal in trades), default=datetime.min)
        self.openings: dict[str, Deal] = {}
        for deal in trades:
            if deal["entry"] == "in":  # an order may be filled in parts
                opening = self.openings.setdefault(deal["order"], deal | {"volume": Decimal(0)})
                opening["volume"] += Decimal(deal["volume"])
        self.closings = [deal for deal in trades if deal["entry"] != "in"]

    def tie(self) -> None:
        """Tie whole closings first, the surest before the others, then closings in parts, then what is left."""
        self._tie_whole(_closing_with_money, lambda p: (*_end_of(p), p.price, p.swap, p.profit))
        self._tie_whole(_closing, _end_of)
        self._tie_parts()
        self._tie_left()
        self._tie_earlier()

    def _tie_whole(self, deal_key: Callable[[Deal], Key], position_key: Callable[[Position], Key]) -> None:
        """Tie each position to the one deal that closed it, if one did."""
        found: dict[Key, deque[Deal]] = defaultdict(deque)
        for deal in self._free():
            found[deal_key(deal)].append(deal)
        for position in self.positions:
            deals = found.get(position_key(position))
            if deals and not position.tied:
                _assign(position, [deals.popleft()])

    def _free(self) -> list[Deal]:
        """Return the closing deals that belong to no position yet."""
        return [deal for deal in self.closings if deal["position_id"] is None]

    def _tie_parts(self) -> None:
        """Tie the several deals that closed a position, or those that reduced one still open."""
        free: dict[Key, list[Deal]] = defaultdict(list)
        for deal in self._free():
            free[deal["symbol"], _OTHER[deal["side"]]].append(deal)
        waiting = [position for position in self.positions if not position.tied]
        for position in sorted(waiting, key=lambda position: position.closed_at or datetime.max):
            closed = self._closed_volume(position)
            near = [deal for deal in free[position.symbol, position.side] if _may_close(deal, position)]
            chosen = _adding_up(near[-CANDIDATES_MAX:], closed, position) if closed else None
            if chosen:
                _assign(position, chosen)

    def _closed_volume(self, position: Position) -> Decimal | None:
        """Return how much of a position was closed; None when its opening lies outside the file."""
        if position.closed_at is not None:
            return position.volume
        opening = self.openings.get(position.ticket)
        return opening["volume"] - position.volume if opening else None

    def _tie_left(self) -> None:
        """Tie a deal that is left where exactly one opening of its size is left to close."""
        tied = {position.ticket for position in self.positions}
        left: dict[Key, list[Deal]] = defaultdict(list)
        for order, opening in self.openings.items():
            if order not in tied:
                left[opening["symbol"], opening["side"], opening["volume"]].append(opening)
        for deal in self._free():
            fitting = left[deal["symbol"], _OTHER[deal["side"]], Decimal(deal["volume"])]
            if len(fitting) == 1 and fitting[0]["executed_at"] <= deal["executed_at"]:
                deal["position_id"] = fitting.pop()["order"]

    def _tie_earlier(self) -> None:
        """Tie a deal that is left to the one position it may have reduced of those opened before the file.

        How much of them was closed before is not known, so nothing can add up.
        """
        for position in self.positions:
            begun = position.ticket in self.openings or position.opened_at >= self.first_at
            position.began_earlier = not (begun or position.tied)
        for deal in self._free():
            fitting = [position for position in self.positions if position.began_earlier and _reduces(deal, position)]
            ending = [position for position in fitting if position.closed_at == deal["executed_at"]] or fitting
            if len(ending) == 1:
                deal["position_id"] = ending[0].ticket


def _reduces(deal: Deal, position: Position) -> bool:
    """Tell whether a deal may have closed a part of a position."""
    fits = (deal["symbol"], _OTHER[deal["side"]]) == (position.symbol, position.side)
    return fits and _may_close(deal, position) and Decimal(deal["volume"]) <= position.volume


def _assign(position: Position, deals: list[Deal]) -> None:
    """Give the deals to the position."""
    position.tied = True
    for deal in deals:
        deal["position_id"] = position.ticket


def _end_of(position: Position) -> Key:
    """Return what a position has in common with the one deal that closed it."""
    return (position.symbol, position.side, position.closed_at, position.volume)


def _closing(deal: Deal) -> Key:
    """Return what a closing deal has in common with the position it closed whole."""
    return (deal["symbol"], _OTHER[deal["side"]], deal["executed_at"], Decimal(deal["volume"]))


def _closing_with_money(deal: Deal) -> Key:
    """Return the same with price, swap and profit, which tell equal positions apart."""
    return (*_closing(deal), Decimal(deal["price"]), Decimal(deal["swap"]), Decimal(deal["profit"]))


def _may_close(deal: Deal, position: Position) -> bool:
    """Tell whether a deal lies within the life of a position and is still free."""
    ended = position.closed_at or datetime.max
    return deal["position_id"] is None and bool(position.opened_at <= deal["executed_at"] <= ended)


def _adding_up(deals: list[Deal], volume: Decimal, position: Position) -> list[Deal] | None:
    """Return the deals whose volumes add up, and whose money adds up to the position's row; None when none do."""
    tries = 0
    stack: list[tuple[int, Decimal, list[Deal]]] = [(0, Decimal(0), [])]
    while stack and tries < TRIES_MAX:
        tries += 1
        index, reached, chosen = stack.pop()
        if reached == volume and chosen and _fits(chosen, position):
            return chosen
        if index == len(deals) or reached >= volume:
            continue
        stack.append((index + 1, reached, chosen))
        stack.append((index + 1, reached + Decimal(deals[index]["volume"]), [*chosen, deals[index]]))
    return None


def _fits(deals: list[Deal], position: Position) -> bool:
    """Tell whether the deals end when the position ends and carry its swap and profit."""
    if position.closed_at is None:
        return True
    if deals[-1]["executed_at"] != position.closed_at:
        return False
    return all(
        sum((Decimal(deal[name]) for deal in deals), Decimal(0)) == getattr(position, name)
        for name in ("swap", "profit")
    )
