"""Tradovate's Orders CSV: filled orders with their average price, local times of the browser, no commissions."""

from decimal import Decimal
from functools import partial

from pipelines.sources.kit.csv_table import Line, has_columns
from pipelines.sources.kit.document import Document
from pipelines.sources.kit.fills import Fill, land_fills, money_of
from pipelines.sources.kit.ledger import Ledger, side_of
from pipelines.sources.kit.statement import Ask, Statement
from pipelines.sources.kit.values import clock_by, positive, tick_price
from pipelines.sources.kit.zones import needed_clock
from pipelines.sources.tradovate_fills import only_account

NAME = "tradovate-orders"

_TIMES = ("%m/%d/%Y %H:%M:%S", "%m/%d/%y %H:%M:%S", "%Y-%m-%d %H:%M:%S", "%m/%d/%Y %I:%M:%S %p")


def recognise(document: Document) -> bool:
    """Tell the file by its columns."""
    return has_columns(document.first_line, "orderId", "B/S", "Contract", "filledQty", "Fill Time", "Status")


def read(document: Document, ask: Ask) -> Statement:
    """Read orders: what was filled is one fill at its average price, everything else is only counted.

    Needs the zone of the browser that exported the file. Partly filled and then cancelled orders count as filled.
    """
    rows = document.table()
    only_account(rows, document.name)
    ledger = Ledger(NAME, ask, needed_clock(ask.server_zone, NAME))
    fills = []
    for row in rows:
        if row.get("Fill Time") and row.get("filledQty", "Filled Qty").strip("0."):
            fills.append(ledger.take("filled orders", row.line, partial(_fill, row, money_of(ask))))
        else:
            ledger.take("other orders", row.line, partial(row.need, "orderId", "Order ID"))
    land_fills(ledger, [fill for fill in fills if fill])
    ledger.facts |= {
        "login": rows[0].get("Account") or None if rows else None,
        "commissions": "not in this export",
    }
    return ledger.close(money_of(ask))


def _fill(row: Line, currency: str) -> Fill:
    """Read one filled order."""
    return Fill(
        fill_id=row.need("orderId", "Order ID"),
        at=clock_by(row.need("Fill Time"), "Fill Time", *_TIMES),
        side=side_of(row.need("B/S"), "B/S"),
        symbol=row.need("Contract"),
        volume=Decimal(positive(row.need("filledQty", "Filled Qty"), "filledQty")),
        price=Decimal(tick_price(row.need("avgPrice", "Avg Fill Price"), "avgPrice")),
    ).priced(currency)
