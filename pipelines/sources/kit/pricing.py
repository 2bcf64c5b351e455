"""Whether each profit is what its own prices and size are worth: the check that is left where no totals are printed.

Three ways to know the worth of a price point, tried in this order: it is the contract's size (quoted in the account's
currency), the contract's size over the closing price (the account's currency is the pair's first), or, for other pairs,
what the trades of the same quote currency near in time earned per point.
"""

from collections import defaultdict
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from statistics import median
from typing import Any, NamedTuple

from pipelines.sources.kit.checks import NAMED_CELLS_MAX, remark
from pipelines.sources.kit.statement import Check
from pipelines.sources.symbols import instrument

TRADES_MIN = 10
KNOWN_TRADES_MIN = 3
AGREEING_SHARE_MIN = 0.9
FEW_AGREEING_SHARE_MIN = 0.6
ROUND_SHARE_MAX = 0.002
SPREAD_SHARE = 0.001
NEAR_TRADES = 8
RATE_SHARE_MAX = 0.1


class Priced(NamedTuple):
    """One closing: how many price points times lots it gained, what it is said to have gained, and how exactly."""

    deal_id: str
    symbol: str
    at: datetime
    points: float
    profit: float
    step: float
    has_cents: bool
    close_price: float

    @property
    def cents(self) -> float:
        """What rounding may take or add."""
        return 0.02 if self.has_cents else 1.1

    @property
    def has_moved(self) -> bool:
        """Whether the price moved far enough to tell the worth of a point."""
        return abs(self.points) > 5 * self.step


Odd = list[tuple[Priced, float]]


def price_checks(deals: list[dict[str, Any]]) -> list[Check]:
    """Name the closings whose profit is not what their prices and size are worth.

    A symbol is judged when ten closings are there and nine in ten agree on one round worth of a point, or when three
    are there and most agree on the size that the reference table knows. Pairs of foreign currencies are judged
    together, to a tenth. Half a price step and two cents are allowed for rounding.
    """
    by_symbol: dict[str, list[Priced]] = defaultdict(list)
    for priced in _closings(deals):
        by_symbol[priced.symbol].append(priced)
    judged, odd = 0, list[tuple[Priced, float]]()
    foreign: dict[str, list[Priced]] = defaultdict(list)
    for symbol, rows in by_symbol.items():
        found = _of_symbol(symbol, rows)
        if found is None:
            known = instrument(symbol)
            if known and known.asset_class == "fx":
                foreign[known.quote] += rows
            continue
        judged, odd = judged + len(rows), odd + found
    for rows in foreign.values():
        found = _of_quote(rows)
        if found is not None:
            judged, odd = judged + len(rows), odd + found
    verdict = "exact" if judged else "not_printed"
    named = [_named(row, worth) for row, worth in odd]
    return named[:NAMED_CELLS_MAX] or [remark("profit by price", verdict, f"{judged} closings reckoned again", "")]


def _closings(deals: list[dict[str, Any]]) -> list[Priced]:
    """Return every closing whose position has one opening price, that of the order it is named after if it has one."""
    opened: dict[str, set[str]] = defaultdict(set)
    begun = set()
    for deal in deals:
        name = deal.get("position_id")
        if name and deal.get("entry") in ("in", "inout"):
            opened[name].add(deal["price"])
            begun |= {name} if deal.get("order") in (None, name) else set()
    found = []
    for deal in deals:
        prices = opened.get(deal.get("position_id") or "", set())
        if deal.get("entry") in ("out", "out_by") and len(prices) == 1 and deal["position_id"] in begun:
            found.append(_priced(deal, next(iter(prices))))
    return found


def _priced(deal: dict[str, Any], open_price: str) -> Priced:
    """Return what a closing gained in points times lots; a long is closed by a sell."""
    lots = float(deal["volume"]) * (1 if deal["side"] == "sell" else -1)
    digits = max(-int(Decimal(price).as_tuple().exponent) for price in (open_price, deal["price"]))
    close_price = float(deal["price"])
    points, step = (close_price - float(open_price)) * lots, abs(lots) * 10.0**-digits
    profit = float(deal["profit"])
    return Priced(
        deal["deal_id"], deal["symbol"], deal["executed_at"], points, profit, step, "." in deal["profit"], close_price
    )


def _of_symbol(symbol: str, rows: list[Priced]) -> Odd | None:
    """Return the closings of one symbol that disagree with a round worth of its points; None when none is agreed on."""
    known = instrument(symbol)
    units = float(known.units) if known and known.units else None
    scales: list[Callable[[Priced], float]] = [lambda row: 1.0, lambda row: 1 / row.close_price]
    agreed: list[tuple[Callable[[Priced], float], float]] = []
    for scale in scales if all(row.close_price > 0 for row in rows) else scales[:1]:
        moved = [row.profit / (row.points * scale(row)) for row in rows if row.has_moved]
        value = _agreed_value(moved, units)
        agreed += [] if value is None else [(scale, value)]
    # Dollars of a yen pair near 149.25 are also worth about 670 a point; the size that is known goes first.
    for scale, value in sorted(agreed, key=lambda one: one[1] != units):
        odd = [(row, value * scale(row) * row.points) for row in rows]
        odd = [(row, worth) for row, worth in odd if _differs(row, worth, value * scale(row))]
        share = AGREEING_SHARE_MIN if len(moved) >= TRADES_MIN else FEW_AGREEING_SHARE_MIN
        if len(odd) <= (1 - share) * len(rows):
            return odd
    return None


def _agreed_value(moved: list[float], units: float | None) -> float | None:
    """Return the round worth of a point that the closings have in the middle; of few only the size that is known."""
    if len(moved) < KNOWN_TRADES_MIN:
        return None
    value = _round_value(median(moved))
    if value is None or (len(moved) < TRADES_MIN and value != units):
        return None
    return value


def _differs(row: Priced, worth: float, value: float) -> bool:
    """Tell whether a profit is further from its worth than rounding and, where converted, the spread explain."""
    converted = 0.0 if value == round(value) else SPREAD_SHARE * abs(worth)
    return abs(row.profit - worth) > max(row.cents, value * row.step / 2) + converted


def _of_quote(rows: list[Priced]) -> Odd | None:
    """Return the closings that earned another rate than those near in time; None when they agree on none."""
    moved = sorted((row for row in rows if row.has_moved and row.profit), key=lambda row: row.at)
    if len(moved) < TRADES_MIN:
        return None
    rates = [row.profit / row.points for row in moved]
    odd = []
    for place, row in enumerate(moved):
        start = max(0, min(place - NEAR_TRADES // 2, len(moved) - NEAR_TRADES - 1))
        near = rates[start:place] + rates[place + 1 : start + NEAR_TRADES + 1]
        value = median(near)
        allowed = max(row.cents, value * row.step / 2) + RATE_SHARE_MAX * abs(value * row.points)
        if abs(row.profit - value * row.points) > allowed:
            odd.append((row, value * row.points))
    return odd if len(odd) <= (1 - AGREEING_SHARE_MIN) * len(moved) else None


def _round_value(value: float) -> float | None:
    """Return the contract size near a value, a number of two digits and zeros; None where a rate of exchange shows."""
    if value <= 0:
        return None
    near = float(f"{value:.1e}")
    return near if abs(near - value) <= ROUND_SHARE_MAX * value else None


def _named(row: Priced, worth: float) -> Check:
    """Return the finding for one closing."""
    return {
        "name": "profit by price",
        "expected": f"{row.profit:.2f}",
        "observed": f"{worth:.2f}",
        "difference": f"{worth - row.profit:.2f}",
        "where": f"deal {row.deal_id} on {row.symbol}, Profit",
        "verdict": "does_not_add_up",
        "explanation": "the printed profit is not what this deal's prices and size are worth",
    }
