"""TradeLocker executions, as its API gives them (JSON) or as a CSV of the same fields; volumes are lots.

Instruments are numbers; the answer of /instruments, kept in the same JSON, or a column ``symbol`` names them.
"""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

from pipelines.sources.kit.csv_table import Line, has_columns
from pipelines.sources.kit.document import Document
from pipelines.sources.kit.fills import Fill, land_fills, money_of
from pipelines.sources.kit.ledger import Ledger, side_of
from pipelines.sources.kit.statement import Ask, RowProblem, SourceRefusal, Statement
from pipelines.sources.kit.values import number, positive
from pipelines.sources.kit.zones import server_clock

NAME = "tradelocker-executions"

FIELDS = ["id", "price", "side", "createdDate", "qty", "orderId", "positionId", "tradableInstrumentId"]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def recognise(document: Document) -> bool:
    """Tell the file by its fields."""
    if document.is_zip or document.is_html:
        return False
    if document.head.lstrip().startswith("["):
        return all(f'"{name}"' in document.text[:10_000] for name in ("createdDate", "positionId", "qty"))
    if document.head.lstrip().startswith("{"):
        return '"executions"' in document.text[:200_000] and "positions" not in document.head[:20]
    return has_columns(document.first_line, "positionId", "createdDate", "qty", "price", "side")


def read(document: Document, ask: Ask) -> Statement:
    """Read executions: those of one position are paired first in, first out, and priced by the contract's size."""
    ledger = Ledger(NAME, ask, server_clock("UTC"))
    is_json = document.head.lstrip().startswith(("{", "["))
    rows = _json_rows(document) if is_json else document.table()
    fills = [ledger.take("executions", row.line, partial(_fill, row, money_of(ask))) for row in rows]
    land_fills(ledger, [fill for fill in fills if fill])
    ledger.facts |= {"login": None}
    return ledger.close(money_of(ask))


def _json_rows(document: Document) -> list[Line]:
    """Return the executions of an API answer, or of a list alone: lists in the documented order, or objects."""
    answer = document.json()
    try:
        body = {"executions": answer} if isinstance(answer, list) else answer.get("d", answer)
        executions = document.few(body["executions"])
        names = {str(row["tradableInstrumentId"]): str(row["name"]) for row in body.get("instruments", [])}
        return [Line(place, _cells(row, names)) for place, row in enumerate(executions, start=1)]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SourceRefusal(f"{document.name} is not an answer of executions: {error!r:.200}") from error


def _cells(row: Any, names: dict[str, str]) -> dict[str, str]:
    """Return one execution's fields as text, with its instrument's name where it is known."""
    values = dict(zip(FIELDS, row, strict=False)) if isinstance(row, list) else dict(row)
    cells = {str(name): "" if value is None else str(value) for name, value in values.items()}
    return {"symbol": names.get(cells.get("tradableInstrumentId", ""), ""), **cells}


def _fill(row: Line, currency: str) -> Fill:
    """Read one execution."""
    milliseconds = number(row.need("createdDate"), "createdDate")
    if not (milliseconds.isdigit() and len(milliseconds) == 13):
        raise RowProblem("createdDate", milliseconds, "not milliseconds since 1970")
    symbol = row.get("symbol")
    if not symbol:
        instrument = row.get("tradableInstrumentId")
        raise RowProblem("tradableInstrumentId", instrument, "its name is unknown: add the answer of /instruments")
    return Fill(
        fill_id=row.need("id"),
        at=(_EPOCH + timedelta(milliseconds=int(milliseconds))).replace(tzinfo=None),
        side=side_of(row.need("side"), "side"),
        symbol=symbol,
        volume=Decimal(positive(row.need("qty"), "qty")),
        price=Decimal(number(row.need("price"), "price")),
        position=row.need("positionId"),
    ).priced(currency)
