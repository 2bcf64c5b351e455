"""FTMO client-area CSV: one row per closing, commission printed positive, no currency, headers in any language."""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import NamedTuple

from pipelines.sources.kit.csv_table import Line, delimiter_of, read_lines
from pipelines.sources.kit.document import Document
from pipelines.sources.kit.ledger import Ledger, RoundTrip, side_of
from pipelines.sources.kit.statement import Ask, RowProblem, Statement
from pipelines.sources.kit.values import clock, is_clock, level, number, plain_number, positive, unmarked
from pipelines.sources.kit.zones import needed_clock

NAME = "ftmo-client-area"
TWO_IDS_DIGITS_MIN = 14  # no platform numbers a single trade with as many

_TRADE = ["Ticket", "Open", "Type", "Volume", "Symbol", "Price", "SL", "TP", "Close", "ClosePrice"]
_PLACES = {"swap": 10, "commis": 11, "kommis": 11, "comis": 11, "profit": 12, "pips": 13, "tax": -1}
_COLUMNS = [*_TRADE, "Swap", "Commissions", "Profit", "Pips", "Duration"]


class Ids(NamedTuple):
    """The position and the closing a ticket stands for."""

    position: str
    closing: str


def recognise(document: Document) -> bool:
    """Tell the file by its shape: a ticket first, times second and ninth, side third, and swap before commission.

    Other platforms' lists begin alike and have their money columns in another order, so the titles of the money columns
    or, in a language of other words, the printed duration have to say that this is the one.
    """
    header = document.first_line.lower()
    delimiter = delimiter_of(header)
    header = header.rstrip(f"{delimiter} ")
    if document.is_zip or document.is_html or header.count(delimiter) not in (13, 14):
        return False
    lines = [line for line in document.text[:20_000].replace('"', "").splitlines() if line.strip()]
    rows = [row for row in (line.split(delimiter) for line in lines[1:3]) if len(row) > 8]
    if not all(is_clock(row[1]) and row[2].strip().lower() in ("buy", "sell") for row in rows):
        return False
    titles = header.split(delimiter)
    if any(word in title and place != own for place, title in enumerate(titles) for word, own in _PLACES.items()):
        return False
    is_named = header.strip('"').startswith("ticket") and "swap" in titles[10]
    return is_named or (bool(rows) and all(map(_lasts_as_printed, rows)))


def _lasts_as_printed(row: list[str]) -> bool:
    """Tell whether the last column is the trade's duration; a clock change in between may make an hour's difference."""
    try:
        lasted = (clock(row[8], "Close") - clock(row[1], "Open")).total_seconds()
        return abs(lasted - int(row[14])) <= 3601
    except (RowProblem, ValueError, IndexError):
        return False


def read(document: Document, ask: Ask) -> Statement:
    """Read by position of the columns, so that any language fits; needs the server's zone and knows no currency.

    A ticket made of two ids written together is a partial close: the first is the position, the second the closing.
    """
    ledger = Ledger(NAME, ask, needed_clock(ask.server_zone, NAME))
    delimiter = delimiter_of(document.first_line)
    rows = read_lines(document.text, document.name, delimiter)
    start = next((index for index, row in enumerate(rows) if row), 0)
    plain = unmarked([cell for row in rows for cell in row], document.name, delimiter)
    found = [
        Line(line, dict(zip(_COLUMNS, map(plain, cells), strict=False)))
        for line, cells in enumerate(rows[start + 1 :], start=start + 2)
        if cells
    ]
    ids = _split_tickets(found)
    as_printed = _costs_are_negative(found)
    for row in found:
        ledger.take("closed trades", row.line, partial(_closed, ledger, row, ids, as_printed=as_printed))
    ledger.facts |= {"login": None}
    return ledger.close(None)


def _opening_key(row: Line) -> tuple[str, ...]:
    """Return what the closings of one position have in common."""
    return tuple(row.get(name) for name in ("Open", "Type", "Symbol", "Price"))


def _split_tickets(rows: list[Line]) -> dict[str, Ids]:
    """Tell single tickets from two ids written together."""
    lengths = Counter(len(row.get("Ticket")) for row in rows)
    usual = min(lengths, key=lambda length: (-lengths[length], length)) if lengths else 0
    alike: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for row in rows:
        alike[_opening_key(row)].append(row.get("Ticket"))
    return {row.get("Ticket"): _ids(row.get("Ticket"), alike[_opening_key(row)][:50], usual) for row in rows}


def _ids(ticket: str, alike: list[str], usual: int) -> Ids:
    """Return position and closing: by other rows of the same opening, else by halves when twice as long as usual."""
    half = ticket[: len(ticket) // 2]
    if len(ticket) >= TWO_IDS_DIGITS_MIN and any(other.startswith(half) for other in alike if other != ticket):
        return Ids(half, ticket)
    beginnings = [other for other in alike if len(ticket) >= 2 * len(other) - 1 and ticket.startswith(other)]
    shorter = [other for other in beginnings if other and other != ticket]
    if shorter:
        return Ids(shorter[0], ticket)
    if usual and len(ticket) in range(2 * usual - 1, 2 * usual + 3) and len(ticket) > usual + 2:
        return Ids(half, ticket)
    return Ids(ticket, ticket)


def _costs_are_negative(rows: list[Line]) -> bool:
    """Tell a file that prints commissions as negative amounts: none is above zero and some are below."""
    costs = [Decimal(plain_number(row.get("Commissions")) or 0) for row in rows]
    return bool(costs) and max(costs) <= 0 and min(costs) < 0


def _closed(ledger: Ledger, row: Line, ids: Mapping[str, Ids], *, as_printed: bool) -> RoundTrip:
    """Land one closing; the commission is turned unless the file prints costs negative already."""
    if len(row.cells) < 13:
        raise RowProblem("row", ";".join(row.cells.values()), f"{len(row.cells)} columns, this export has 15")
    ticket = row.need("Ticket")
    if not ticket.isascii() or not ticket.isdigit() or len(ticket) > 40:
        raise RowProblem("Ticket", ticket, "not a ticket number")
    cost = number(row.get("Commissions") or "0", "Commissions")
    return RoundTrip(
        in_id=f"{ticket}0",
        out_id=f"{ticket}1",
        position_id=ids[ticket].position,
        side=side_of(row.need("Type"), "Type"),
        symbol=row.need("Symbol"),
        volume=positive(row.need("Volume"), "Volume"),
        opened_at=clock(row.need("Open"), "Open"),
        open_price=number(row.need("Price"), "Price"),
        closed_at=clock(row.need("Close"), "Close"),
        close_price=number(row.need("ClosePrice"), "ClosePrice"),
        profit=number(row.need("Profit"), "Profit"),
        commission=cost if as_printed else _negated(cost),
        swap=number(row.get("Swap") or "0", "Swap"),
        stop_loss=level(row.get("SL"), "SL"),
        take_profit=level(row.get("TP"), "TP"),
        lasted=timedelta(seconds=int(lasted)) if re.fullmatch(r"[0-9]{1,9}", lasted := row.get("Duration")) else None,
    ).land(ledger)


def _negated(cost: str) -> str:
    """Return a cost printed positive as our deals sign it; a rebate printed negative becomes positive."""
    if cost.startswith("-"):
        return cost[1:]
    return f"-{cost}" if cost.strip("0.") else cost
