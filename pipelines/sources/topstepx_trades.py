"""TopstepX trades CSV, of its API and of its web page: one row per closing, fees apart, times with an offset."""

from datetime import UTC, datetime
from functools import partial

from pipelines.sources.kit.csv_table import Line, has_columns, whole_table
from pipelines.sources.kit.document import Document
from pipelines.sources.kit.ledger import Deal, Ledger, RoundTrip, opposite, side_of
from pipelines.sources.kit.statement import Ask, RowProblem, Statement
from pipelines.sources.kit.values import dollars, number
from pipelines.sources.kit.zones import server_clock

NAME = "topstepx-trades"

_API = ("id", "symbolId", "positionSize", "profitAndLoss", "fees", "entryPrice", "exitPrice", "enteredAt")
_PAGE = ("Id", "ContractName", "EnteredAt", "ExitedAt", "EntryPrice", "ExitPrice", "Fees", "PnL", "Size", "Type")


def recognise(document: Document) -> bool:
    """Tell the file by its columns, in either of its two forms."""
    return has_columns(document.first_line, *_API) or has_columns(document.first_line, *_PAGE)


def read(document: Document, ask: Ask) -> Statement:
    """Read closings: profit is gross, fees and commissions are costs. Where the opening time is unknown only the
    closing deal lands."""
    ledger = Ledger(NAME, ask, server_clock("UTC"))
    for row in whole_table(document.text, document.name):
        low = Line(row.line, {name.lower(): cell for name, cell in row.cells.items()})
        ledger.take("closings", row.line, partial(_closing, ledger, low))
    ledger.facts |= {"login": None}
    return ledger.close(None)


def _closing(ledger: Ledger, row: Line) -> None:
    """Land one closing."""
    trade_id = row.need("id")
    closed_at = _instant(row.need("exitedat", "createdat"), "exitedAt")
    opened = row.get("enteredat")
    if closed_at is None:
        raise RowProblem("exitedAt", row.get("exitedat", "createdat"), "a closing without a time")
    opened_at = _instant(opened, "enteredAt") if opened else None
    trip = _trip(row, trade_id, opened_at or closed_at, closed_at)
    if opened_at:
        trip.land(ledger)
    else:
        closing: Deal = {"entry": "out", "side": opposite(trip.side), "price": trip.close_price, "profit": trip.profit}
        costs = {"commission": trip.commission, "fee": trip.fee, "position_id": trade_id}
        ledger.trade(trip.out_id, closed_at, symbol=trip.symbol, volume=trip.volume, **closing, **costs)


def _trip(row: Line, trade_id: str, opened_at: datetime, closed_at: datetime) -> RoundTrip:
    """Return the row's values."""
    size = number(row.need("positionsize", "size"), "size")
    word = row.get("type")
    side = side_of(word, "type") if word else ("sell" if size.startswith("-") else "buy")
    if not size.strip("-0."):
        raise RowProblem("size", size, "must not be zero")
    return RoundTrip(
        in_id=f"{trade_id}0" if trade_id.isdigit() else f"{trade_id}-in",
        out_id=f"{trade_id}1" if trade_id.isdigit() else f"{trade_id}-out",
        position_id=trade_id,
        side=side,
        symbol=row.need("contractname", "symbolid"),
        volume=size.lstrip("-"),
        opened_at=opened_at,
        open_price=number(row.need("entryprice"), "entryPrice"),
        closed_at=closed_at,
        close_price=number(row.need("exitprice"), "exitPrice"),
        profit=dollars(row.need("pnl", "profitandloss"), "profitAndLoss"),
        commission=_cost(row.get("commissions") or "0", "commissions"),
        fee=_cost(row.get("fees") or "0", "fees"),
    )


def _cost(text: str, column: str) -> str:
    """Return a cost, printed positive, as our deals sign it."""
    value = dollars(text, column).lstrip("-")
    return f"-{value}" if value.strip("0.") else value


def _instant(text: str, column: str) -> datetime | None:
    """Return an instant as a reading of the UTC clock; the year 1 is the platform's word for none."""
    if text.startswith("0001-01-01"):
        return None
    for pattern in ("%Y-%m-%dT%H:%M:%S.%f%z", "%Y-%m-%dT%H:%M:%S%z", "%m/%d/%Y %H:%M:%S %z", "%Y-%m-%d %H:%M:%S.%f%z"):
        try:
            moment = datetime.strptime(text.strip()[:40], pattern)
            return moment.astimezone(UTC).replace(tzinfo=None)
        except (ValueError, OverflowError):
            continue
    try:
        moment = datetime.fromisoformat(text.strip()[:40])
        if moment.tzinfo is not None and 1990 <= moment.year < 2100:
            return moment.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        pass
    raise RowProblem(column, text, "not a time with an offset")
