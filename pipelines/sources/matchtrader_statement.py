"""Match-Trader "Export Statement" HTML: closed positions, newest first, server time GMT, Profit net of its costs."""

import re
from datetime import datetime
from functools import partial

from pipelines.sources.kit.checks import absent_columns
from pipelines.sources.kit.csv_table import Line, header_names
from pipelines.sources.kit.document import Document, Row
from pipelines.sources.kit.ledger import Keys, Ledger, RoundTrip, less, side_of, stamp
from pipelines.sources.kit.refusals import refuse_several_accounts
from pipelines.sources.kit.statement import Ask, RowProblem, SourceRefusal, Statement
from pipelines.sources.kit.values import clock_by, level, number, positive
from pipelines.sources.kit.zones import server_clock

NAME = "matchtrader-statement"

_HEADER = re.compile(r"(Account|Name|Currency|Leverage):\s*(.*)", re.DOTALL)
_REASONS = {"stop loss": "sl", "sl": "sl", "take profit": "tp", "tp": "tp", "stopout": "so", "stop out": "so"}
_NUMBER = re.compile(r"[A-Z]{0,3}\d{6,}")
_BESIDE = ("Commission", "Swap", "Stop loss", "Take profit", "Reason")
_NAMED = {"id", "symbol", "open time", "volume", "side", "profit"}


def recognise(document: Document) -> bool:
    """Tell the statement by its title or by its columns."""
    if not document.is_html:
        return False
    return "<title>export statement" in document.head or any(map(_is_header, document.rows[:40]))


def _is_header(row: Row) -> bool:
    """Tell the row of column names."""
    return {cell.lower() for cell in row.cells} >= _NAMED


def read(document: Document, ask: Ask) -> Statement:
    """Read a statement: each row is one closing; the position is its id, the deal ids are the id with the closing time.

    A repeated id is a partial close. Profit is printed net of commission and swap and lands gross.
    """
    ledger = Ledger(NAME, ask, server_clock("UTC"))
    header: dict[str, str] = {}
    names: list[str] = []
    seen = Keys()
    accounts = []
    for row in document.rows:
        found = (_HEADER.fullmatch(cell) for cell in row.cells)
        header |= {match[1]: match[2].strip() for match in found if match}
        accounts.append(header.get("Account", ""))
        if _is_header(row):
            names = header_names(row.cells)
        elif names and (len(row.cells) >= 10 or _NUMBER.fullmatch(row.cells[0] if row.cells else "")):
            line = Line(row.line, dict(zip(names, row.cells, strict=False)))
            ledger.take("closings", row.line, partial(_closing, ledger, line, seen))
    if not names and any(len(row.cells) >= 10 for row in document.rows):
        raise SourceRefusal(
            f"{document.name} has no table with the columns {', '.join(sorted(_NAMED))}: export it in English"
        )
    refuse_several_accounts(document.name, accounts)
    ledger.checks += absent_columns(names, _BESIDE)
    ledger.facts |= {
        "login": header.get("Account") or None,
        "name": header.get("Name") or None,
        "leverage": header.get("Leverage") or None,
    }
    return ledger.close(header.get("Currency") or None)


def _closing(ledger: Ledger, row: Line, seen: Keys) -> RoundTrip:
    """Land one closing of a position."""
    position = row.need("ID")
    if not re.fullmatch(r"[A-Za-z0-9\-]{1,60}", position):
        raise RowProblem("ID", position, "not a position id")
    closed_at = _time(row, "Close time")
    key = f"{position}-{stamp(closed_at)}"
    key = seen.of(key, row.cells)
    commission, swap = number(row.get("Commission") or "0", "Commission"), number(row.get("Swap") or "0", "Swap")
    return RoundTrip(
        in_id=f"{key}-in",
        out_id=f"{key}-out",
        position_id=position,
        side=side_of(row.need("Side"), "Side"),
        symbol=row.need("Symbol"),
        volume=positive(row.need("Volume"), "Volume"),
        opened_at=_time(row, "Open time"),
        open_price=number(row.need("Open price"), "Open price"),
        closed_at=closed_at,
        close_price=number(row.need("Close Price", "Close price"), "Close price"),
        profit=less(number(row.need("Profit"), "Profit"), commission, swap),
        commission=commission,
        swap=swap,
        stop_loss=level(row.get("Stop loss"), "Stop loss"),
        take_profit=level(row.get("Take profit"), "Take profit"),
        reason=_REASONS.get(row.get("Reason").lower()),
        comment=row.get("Reason") or None,
    ).land(ledger)


def _time(row: Line, name: str) -> datetime:
    """Return a time with the day first."""
    return clock_by(row.need(name), name, "%d.%m.%Y %H:%M:%S", "%d.%m.%Y %H:%M:%S.%f")
