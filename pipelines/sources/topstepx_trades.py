"""TopstepX trades CSV, of its API and of its web page: one row per closing, fees apart, times with an offset."""

from datetime import UTC, datetime
from functools import partial

from pipelines.sources.kit.csv_table import Line, has_columns
from pipelines.sources.kit.document import Document
from pipelines.sources.kit.ledger import Ledger, RoundTrip, opposite, side_of
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
    """Read closings: profit is gross, fees and commissions are costs.

    Where the opening time is unknown only the closing deal lands, without a price where none is told; trades without
    an id of their own are named by contract and closing time.
    """
    ledger = Ledger(NAME, ask, server_clock("UTC"))
    for row in document.table():
        ledger.take("closings", row.line, partial(_closing, ledger, row.in_lower_case()))
    ledger.facts |= {"login": None}
    return ledger.close(None)


def _closing(ledger: Ledger, row: Line) -> None:
    """Land one closing."""
    closed_at = _instant(row.need("exitedat", "createdat"), "exitedAt")
    if closed_at is None:
        raise RowProblem("exitedAt", row.get("exitedat", "createdat"), "a closing without a time")
    size = number(row.need("positionsize", "size"), "size")
    if not size.strip("-0."):
        raise RowProblem("size", size, "must not be zero")
    word, symbol = row.get("type"), row.need("contractname", "symbolid")
    side = side_of(word, "type") if word else ("sell" if size.startswith("-") else "buy")
    trade_id = _own_id(row) or f"{symbol}-{closed_at:%Y%m%d%H%M%S%f}"
    in_id, out_id = (f"{trade_id}{part}" for part in (("0", "1") if trade_id.isdigit() else ("-in", "-out")))
    profit = dollars(row.need("pnl", "profitandloss"), "profitAndLoss")
    commission, fee = (_cost(row.get(name) or "0", name) for name in ("commissions", "fees"))
    volume = size.lstrip("-")
    opened_at = _instant(row.get("enteredat"), "enteredAt") if row.get("enteredat") else None
    if opened_at:
        open_price, close_price = (number(row.need(name), name) for name in ("entryprice", "exitprice"))
        told = (in_id, out_id, trade_id, side, symbol, volume, opened_at, open_price, closed_at, close_price, profit)
        RoundTrip(*told, commission=commission, fee=fee).land(ledger)
    else:
        price = number(row.get("exitprice"), "exitPrice") if row.get("exitprice") else None
        closing = {"entry": "out", "side": opposite(side), "volume": volume, "price": price, "profit": profit}
        costs = {"commission": commission, "fee": fee}
        ledger.trade(out_id, closed_at, position_id=trade_id, symbol=symbol, **closing, **costs)


def _own_id(row: Line) -> str:
    """Return the trade's own id; the API writes 0 where it has none."""
    text = row.get("id")
    return text if text.strip("0") else ""


def _cost(text: str, column: str) -> str:
    """Return a cost, printed positive, as our deals sign it."""
    value = dollars(text, column).lstrip("-")
    return f"-{value}" if value.strip("0.") else value


def _instant(text: str, column: str) -> datetime | None:
    """Return an instant as a reading of the UTC clock; the year 1 is the platform's word for none."""
    if text.startswith("0001-01-01"):
        return None
    for pattern in (
        "%Y-%m-%dT%H:%M:%S.%f%z",
        "%Y-%m-%dT%H:%M:%S%z",
        "%m/%d/%Y %H:%M:%S %z",
        "%m/%d/%Y %I:%M:%S %p %z",
        "%Y-%m-%d %H:%M:%S.%f%z",
    ):
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
