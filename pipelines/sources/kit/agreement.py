"""Whether the orders, deals and positions of one report tell the same story.

The three tables repeat each other: an order's filled volume is its deals', a position begins with the deal of the order
that it is named after and ends with the deals that closed it. Whoever changes or takes out one row has to change all.
"""

from collections import defaultdict
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from pipelines.sources.kit.checks import NAMED_CELLS_MAX, compare, remark
from pipelines.sources.kit.positions import Position
from pipelines.sources.kit.statement import Check

Deal = dict[str, Any]
NAMED_SHARE_MIN = 0.5


def table_checks(
    deals: list[Deal], positions: list[Position], filled: Mapping[str, Decimal], dealt: Mapping[str, Decimal]
) -> list[Check]:
    """Name what contradicts between the tables of a hedging account; ``dealt`` is the volume of each order's deals."""
    found = order_checks(filled, dealt) + _position_checks(deals, positions)
    return found[:NAMED_CELLS_MAX] or [
        remark("tables", "exact", f"{len(filled)} orders, {len(positions)} positions", "")
    ]


def order_checks(filled: Mapping[str, Decimal], dealt: Mapping[str, Decimal]) -> list[Check]:
    """Name the filled orders whose deals are missing or have another volume."""
    if not dealt:
        return []
    found = []
    for ticket, volume in filled.items():
        where = f"order {ticket}, Volume"
        if volume and ticket not in dealt:
            found.append(
                remark("orders", "does_not_add_up", where, "the order was filled and its deal is not in the file")
            )
        elif volume and dealt[ticket] != volume:
            found.append(compare("filled volume", volume, dealt[ticket], where))
    return found


def _position_checks(deals: list[Deal], positions: list[Position]) -> list[Check]:
    """Name the positions that do not begin or end as their deals do, and the closings that no position shows."""
    begun, ended = _by_position(deals, "in"), _by_position(deals, "out", "out_by")
    known = sum(position.ticket in begun for position in positions)
    if not deals or not known or known < NAMED_SHARE_MIN * len(positions):
        return []
    first_at = min(deal["executed_at"] for deal in deals)
    found: list[Check] = []
    for position in positions:
        opening, closing = begun.get(position.ticket, []), ended.get(position.ticket, [])
        if not opening and position.opened_at >= first_at:
            found.append(_missing(position, "opening"))
        found += _beginning(position, opening)
        if position.began_earlier:
            found += _last_part(position, deals)
        elif position.closed_at is not None:
            found += _ending(position, closing) if closing else [_missing(position, "closing")]
    return found + _not_shown(deals, positions)


def _by_position(deals: list[Deal], *entries: str) -> dict[str, list[Deal]]:
    """Return the deals of some entries by the position they belong to."""
    found: dict[str, list[Deal]] = defaultdict(list)
    for deal in deals:
        if deal["entry"] in entries and deal["position_id"]:
            found[deal["position_id"]].append(deal)
    return dict(found)


def _missing(position: Position, what: str) -> Check:
    """Name a position one of whose deals the file does not hold."""
    why = f"its {what} deal is not in the file or is of another time, side or volume"
    return remark("positions", "does_not_add_up", f"position {position.ticket}", why)


def _beginning(position: Position, deals: list[Deal]) -> list[Check]:
    """Compare a position's opening with its deals."""
    if not deals:
        return []
    found = _price_check(position, "opening price", position.open_price, deals)
    if position.closed_at is not None:
        found += _volume_check(position, deals)
    first = min(deal["executed_at"] for deal in deals)
    if first != position.opened_at:
        why = f"printed {position.opened_at:%Y.%m.%d %H:%M:%S}, its deal {first:%Y.%m.%d %H:%M:%S}"
        found.append(remark("opening time", "does_not_add_up", f"position {position.ticket}, Time", why))
    return found


def _ending(position: Position, deals: list[Deal]) -> list[Check]:
    """Compare a position's closing with its deals."""
    return _price_check(position, "closing price", position.price, deals) + _volume_check(position, deals)


def _last_part(position: Position, deals: list[Deal]) -> list[Check]:
    """Look for the deal that ended a position of which an unknown part was closed before the file."""
    ended = any(
        deal["executed_at"] == position.closed_at and deal["position_id"] in (position.ticket, None) for deal in deals
    )
    return [] if ended or position.closed_at is None else [_missing(position, "closing")]


def _volume_check(position: Position, deals: list[Deal]) -> list[Check]:
    """Compare a closed position's volume with that of its deals."""
    volume = sum((Decimal(deal["volume"]) for deal in deals), Decimal(0))
    if volume == position.volume:
        return []
    return [compare("position volume", position.volume, volume, f"position {position.ticket}, Volume")]


def _price_check(position: Position, name: str, printed: Decimal, deals: list[Deal]) -> list[Check]:
    """Compare a printed price with the mean of the deals', weighed by volume; a mean may be rounded."""
    volume = sum((Decimal(deal["volume"]) for deal in deals), Decimal(0))
    mean = sum((Decimal(deal["volume"]) * Decimal(deal["price"]) for deal in deals), Decimal(0)) / volume
    digits = max(-int(Decimal(deal["price"]).as_tuple().exponent) for deal in deals)
    allowed = Decimal(0) if len(deals) == 1 else Decimal(10) ** -digits
    if abs(mean - printed) <= allowed:
        return []
    return [compare(name, printed, round(mean, digits), f"position {position.ticket}, Price")]


def _not_shown(deals: list[Deal], positions: list[Position]) -> list[Check]:
    """Name the closings whose position no table shows, but those of a position that was opened before the file."""
    shown = {position.ticket for position in positions}
    earlier = {(position.symbol, position.side) for position in positions if position.began_earlier}
    other = {"buy": "sell", "sell": "buy"}
    lost = [
        deal
        for deal in deals
        if deal["entry"] in ("out", "out_by")
        and deal["position_id"] not in shown
        and (deal["symbol"], other[deal["side"]]) not in earlier
    ]
    why = "the position that it closed is in no table of the file"
    return [remark("positions", "does_not_add_up", f"deal {deal['deal_id']}", why) for deal in lost]
