"""Tradovate's Fills CSV: every row is an execution with its instant in UTC and its commission."""

from decimal import Decimal
from functools import partial

from pipelines.sources.kit.csv_table import Line, has_columns
from pipelines.sources.kit.document import Document
from pipelines.sources.kit.fills import Fill, land_fills, money_of
from pipelines.sources.kit.ledger import Ledger, side_of
from pipelines.sources.kit.refusals import refuse_several_accounts
from pipelines.sources.kit.statement import Ask, Statement
from pipelines.sources.kit.values import clock, dollars, positive, tick_price
from pipelines.sources.kit.zones import server_clock

NAME = "tradovate-fills"


def recognise(document: Document) -> bool:
    """Tell the file by its columns."""
    return has_columns(document.first_line, "_orderId", "_timestamp", "Fill ID", "B/S", "Quantity", "Price", "Contract")


def read(document: Document, ask: Ask) -> Statement:
    """Read fills: netted by contract, priced by the contract's point value; an unknown contract rejects its rows.

    A file of several accounts is refused: the ids of one account are landed at a time.
    """
    rows = document.table()
    only_account(rows, document.name)
    ledger = Ledger(NAME, ask, server_clock("UTC"))
    fills = [ledger.take("fills", row.line, partial(_fill, row, money_of(ask))) for row in rows]
    land_fills(ledger, [fill for fill in fills if fill])
    ledger.facts |= {"login": rows[0].get("Account") or None if rows else None}
    return ledger.close(money_of(ask))


def only_account(rows: list[Line], name: str) -> None:
    """Refuse a file that holds several accounts."""
    refuse_several_accounts(name, (row.get("Account") for row in rows))


def _fill(row: Line, currency: str) -> Fill:
    """Read one execution; words carry a leading space, the commission is printed positive."""
    at = clock(row.need("_timestamp").removesuffix("Z"), "_timestamp")
    paid = dollars(row.get("commission") or "0", "commission")
    return Fill(
        fill_id=row.need("Fill ID", "_id"),
        at=at,
        side=side_of(row.need("B/S"), "B/S"),
        symbol=row.need("Contract"),
        volume=Decimal(positive(row.need("Quantity"), "Quantity")),
        price=Decimal(tick_price(row.need("Price"), "Price")),
        commission=-abs(Decimal(paid)) if row.get("commission") else None,
    ).priced(currency)
