"""Whether each profit is what its own prices and size are worth: the check that is left where no totals are printed."""

from collections import defaultdict
from decimal import Decimal
from statistics import median
from typing import Any, NamedTuple

from pipelines.sources.kit.checks import NAMED_CELLS_MAX, remark
from pipelines.sources.kit.statement import Check

TRADES_MIN = 10
AGREEING_SHARE_MIN = 0.9
ROUND_SHARE_MAX = 0.002


class Priced(NamedTuple):
    """One closing: how many price points times lots it gained, what it is said to have gained, and how exactly."""

    deal_id: str
    points: float
    profit: float
    step: float
    has_cents: bool


def price_checks(deals: list[dict[str, Any]]) -> list[Check]:
    """Name the closings whose profit is not what the rest of their symbol earns per point and lot.

    A symbol is judged when at least ten closings are there, nine in ten agree on one value per point, and that value is
    a round contract size, as it is where the symbol is quoted in the account's currency. Half a price step and two
    cents are allowed for rounding.
    """
    by_symbol: dict[str, list[Priced]] = defaultdict(list)
    for symbol, priced in _closings(deals):
        by_symbol[symbol].append(priced)
    judged, odd = 0, []
    for symbol, rows in by_symbol.items():
        outliers = _outliers(rows)
        if outliers is not None:
            judged += len(rows)
            odd += [_named(symbol, row, value) for row, value in outliers]
    verdict = "exact" if judged else "not_printed"
    return odd[:NAMED_CELLS_MAX] or [remark("profit by price", verdict, f"{judged} closings reckoned again", "")]


def _closings(deals: list[dict[str, Any]]) -> list[tuple[str, Priced]]:
    """Return every closing whose position has one opening price."""
    opened: dict[str, set[str]] = defaultdict(set)
    for deal in deals:
        if deal.get("entry") == "in" and deal.get("position_id"):
            opened[deal["position_id"]].add(deal["price"])
    found = []
    for deal in deals:
        prices = opened.get(deal.get("position_id") or "", set())
        if deal.get("entry") in ("out", "out_by") and len(prices) == 1:
            found.append((deal["symbol"], _priced(deal, next(iter(prices)))))
    return found


def _priced(deal: dict[str, Any], open_price: str) -> Priced:
    """Return what a closing gained in points times lots; a long is closed by a sell."""
    lots = float(deal["volume"]) * (1 if deal["side"] == "sell" else -1)
    digits = max(-int(Decimal(price).as_tuple().exponent) for price in (open_price, deal["price"]))
    points = (float(deal["price"]) - float(open_price)) * lots
    return Priced(deal["deal_id"], points, float(deal["profit"]), abs(lots) * 10.0**-digits, "." in deal["profit"])


def _outliers(rows: list[Priced]) -> list[tuple[Priced, float]] | None:
    """Return the closings that disagree, with what they should have gained; None when the symbol cannot be judged."""
    moved = [row.profit / row.points for row in rows if abs(row.points) > 5 * row.step]
    if len(moved) < TRADES_MIN:
        return None
    value = _round_value(median(moved))
    if value is None:
        return None
    cents = 0.02 if any(row.has_cents for row in rows) else 1.1
    odd = [row for row in rows if abs(row.profit - value * row.points) > max(cents, value * row.step / 2)]
    if len(odd) > (1 - AGREEING_SHARE_MIN) * len(rows):
        return None
    return [(row, value * row.points) for row in odd]


def _round_value(value: float) -> float | None:
    """Return the contract size near a value, a number of two digits and zeros; None where a rate of exchange shows."""
    if value <= 0:
        return None
    near = float(f"{value:.1e}")
    return near if abs(near - value) <= ROUND_SHARE_MAX * value else None


def _named(symbol: str, row: Priced, worth: float) -> Check:
    """Return the finding for one closing."""
    return {
        "name": "profit by price",
        "expected": f"{row.profit:.2f}",
        "observed": f"{worth:.2f}",
        "difference": f"{worth - row.profit:.2f}",
        "where": f"deal {row.deal_id} on {symbol}, Profit",
        "verdict": "does_not_add_up",
        "explanation": "the printed profit is not what this deal's prices and size are worth",
    }
