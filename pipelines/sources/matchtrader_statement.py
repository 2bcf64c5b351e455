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
_NAMED = {"id", "symbol", "open time", "close time", "volume", "side", "profit"}


def recognise(document: Document) -> bool:
    """Tell the statement by its title or by its columns."""
    if not document.is_html:
        return False
    return "<title>export statement" in document.head or any(map(_is_header, document.rows[:40]))


def _is_header(row: Row) -> bool:
    """Tell the row of column names of the closed positions."""
    return {cell.lower() for cell in row.cells} >= _NAMED


def _begins_other_table(row: Row) -> bool:
    """Tell the row of column names of open positions or pending orders."""
    return "".join(row.cells[:1]).lower() == "id" and not _is_header(row)


def read(document: Document, ask: Ask) -> Statement:
    """Read a statement: each row is one closing; the position is its id, the deal ids are the id with the closing time.

    A repeated id is a partial close. Profit is printed net of commission and swap and lands gross. Positions still open
    and pending orders are counted.
    """
    ledger = Ledger(NAME, ask, server_clock("UTC"))
    header: dict[str, str] = {}
    names: list[str] = []
    is_other = False
    seen = Keys()
    accounts = []
    for row in document.rows:
        found = (_HEADER.fullmatch(cell) for cell in row.cells)
        header |= {match[1]: match[2].strip() for match in found if match}
        accounts.append(header.get("Account", ""))
        if _is_header(row):
            names, is_other = header_names(row.cells), False
        elif _begins_other_table(row):
            is_other = True
        elif is_other and len(row.cells) > 5:
            ledger.take("open positions and orders", row.line, partial(_position_id, row.cells[0]))
        elif names and not is_other and (len(row.cells) >= 10 or _NUMBER.fullmatch(row.cells[0] if row.cells else "")):
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
    position = _position_id(row.need("ID"))
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


def _position_id(text: str) -> str:
    """Return the id of a position or order."""
    if not re.fullmatch(r"[A-Za-z0-9\-]{1,60}", text):
        raise RowProblem("ID", text, "not a position id")
    return text


def _time(row: Line, name: str) -> datetime:
    """Return a time with the day first."""
    return clock_by(row.need(name), name, "%d.%m.%Y %H:%M:%S", "%d.%m.%Y %H:%M:%S.%f")
