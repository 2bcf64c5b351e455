"""cTrader account statement, CSV or HTML: each row is one closing deal, the columns are the user's choice.

Currency and zone stand in the column titles (CSV) or in the account header (HTML).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import partial
from itertools import pairwise

from pipelines.sources.kit.checks import chain_checks, compare, remark
from pipelines.sources.kit.csv_table import CUT_OFF, Line, delimiter_of, header_names, read_lines
from pipelines.sources.kit.document import TITLE_LINES_MAX, Document
from pipelines.sources.kit.ledger import Ledger, RoundTrip, less, opposite, side_of, stamp
from pipelines.sources.kit.money_rows import classify, taken_out
from pipelines.sources.kit.statement import Ask, RowProblem, SourceRefusal, Statement
from pipelines.sources.kit.values import clock_by, number, plain_number, positive, total, unmarked
from pipelines.sources.kit.zones import server_clock
from pipelines.sources.symbols import instrument

NAME = "ctrader-statement"

_ZONE = re.compile(r"\(utc[^)]*\)")
_MONEY_TITLE = re.compile(r"(net|gross|balance|amount|commissions?|swap)\s+\(?(\S+?)\)?")
_BLOCKS = ("deals", "history", "positions", "orders", "transactions", "summary", "balance")
_DATES = ("%d %b %Y", "%d/%m/%Y", "%Y-%m-%d", "%d.%m.%Y", "%Y/%m/%d", "%Y.%m.%d")
_TIMES = tuple(f"{date} {clock}" for date in _DATES for clock in ("%H:%M:%S.%f", "%H:%M:%S", "%H:%M"))
_SIGNS = {"$": "USD", "€": "EUR", "£": "GBP", "¥": "JPY"}
_NONE = {"", "—", "-", "–"}


@dataclass
class Blocks:
    """A statement's blocks by title, its summary, and what its titles and header say of currency, zone and time.

    `title` and `names` are those of the block that was begun last.
    """

    rows: dict[str, list[Line]] = field(default_factory=dict)
    title: str = ""
    names: list[str] = field(default_factory=list)
    summary: dict[str, str] = field(default_factory=dict)
    currency: str | None = None
    zone: str | None = None
    login: str | None = None
    printed_at: str | None = None
    balance: str | None = None
    is_cut_off: bool = False


@dataclass(frozen=True)
class Closing:
    """One landed row with the balance printed behind it."""

    trip: RoundTrip
    deal_id: str
    printed_net: Decimal
    balance: Decimal | None


def recognise(document: Document) -> bool:
    """Tell a statement by the columns of its deals, or by its HTML title."""
    if document.is_zip:
        return False
    if document.is_html:
        return "<title>ct _" in document.head or (
            "account statement" in document.head and "datatable" in document.text[:200_000].lower()
        )
    return any(_names_deals(line) for line in document.text[:20_000].splitlines()[:60])


def _names_deals(line: str) -> bool:
    """Tell a header row of deals: both directions or both times of an opening and a closing."""
    low = line.lower()
    is_table = low.count(delimiter_of(low)) > 3
    return is_table and "closing" in low and "opening" in low and ("direction" in low or "entry price" in low)


def read(document: Document, ask: Ask) -> Statement:
    """Read a statement: a closing deal becomes an in and an out deal, ids the deal's number with 0 and 1 behind it.

    Parts of one position share symbol, side, opening time and entry price, which name the position. Positions still
    open have no number here and are only counted. Times are read by the zone that the file prints.
    """
    blocks = _html_blocks(document) if document.is_html else _csv_blocks(document)
    zone = blocks.zone or ask.server_zone
    if zone is None:
        raise SourceRefusal(f"{document.name} prints no zone in its column titles: say which with --server-zone")
    ledger = Ledger(NAME, ask, server_clock(zone))
    ledger.volumes_are_exact = False  # lots are printed rounded
    deals = blocks.rows.get("deals") or blocks.rows.get("history") or []
    rows = [row for row in deals if not _is_footer(row)]
    closings = [ledger.take("closing deals", row.line, partial(_closing, ledger, row)) for row in rows]
    for row in blocks.rows.get("transactions", []):
        if not _is_footer(row):
            ledger.take("transactions", row.line, partial(_transaction, ledger, row))
    _count(ledger, blocks)
    footers = [row for row in deals if _is_footer(row)]
    _reconcile(ledger, blocks, footers, [c for c in closings if c])
    has_more = bool(footers or blocks.summary) or len(blocks.rows) > 1
    if deals and not document.is_html and (blocks.is_cut_off or not has_more):
        why = "the file ends before its totals: export it again"
        ledger.checks.append(remark("complete", "does_not_add_up", "end of the file", why))
    _add_equity(ledger, blocks)
    ledger.facts |= {"login": blocks.login, "printed": blocks.summary}
    return ledger.close(blocks.currency)


def _csv_blocks(document: Document) -> Blocks:
    """Split a CSV at its blank lines; the first line of a block is its title."""
    header = next((line for line in document.text[:20_000].splitlines()[:60] if _names_deals(line)), ",")
    delimiter = delimiter_of(header)
    rows = read_lines(document.text, document.name, delimiter)
    plain = unmarked([_bare(cell) for row in rows for cell in row], document.name, delimiter)
    rows = [[plain(cell) for cell in row] for row in rows]
    blocks, index = Blocks(is_cut_off=bool(rows and rows[-1]) and rows[-1][-1].endswith(CUT_OFF)), 0
    while index < len(rows):
        title = rows[index][0].strip().lstrip("\ufeff").lower() if rows[index] else ""
        end = next((place for place in range(index, len(rows)) if not rows[place]), len(rows))
        if title in _BLOCKS and end > index + 1:
            _add_block(blocks, title, rows[index + 1 : end], index + 2)
        elif end > index + 1 and _names_deals(",".join(rows[index])):
            _add_block(blocks, "deals", rows[index:end], index + 1)
        elif end > index + 1 and any(map(_is_block_title, rows[index : index + TITLE_LINES_MAX])):
            end = index  # a title of the file's own stands right above
        elif blocks.names and len(rows[index]) == len(blocks.names):
            _add_lines(blocks, rows[index:end], index + 1)  # a blank line within a block
        index = end + 1
    return blocks


def _is_block_title(cells: list[str]) -> bool:
    """Tell the line that says which block begins, or the header of deals that stand without."""
    return bool(cells) and (cells[0].strip().lower() in _BLOCKS or _names_deals(",".join(cells)))


def _bare(cell: str) -> str:
    """Return a size without its unit, other cells as they are."""
    return re.sub(r"(?<=\d)[ \u00a0][A-Za-z]+$", "", cell)


def _add_block(blocks: Blocks, title: str, rows: list[list[str]], line: int) -> None:
    """Add one block: a header row and its data; Balance is a single figure."""
    if title == "balance":
        blocks.balance = rows[0][0]
        return
    names = header_names(rows[0])
    _read_titles(blocks, names)
    names = _plain_titles(names, blocks.currency)
    blocks.title, blocks.names = title, names
    _add_lines(blocks, rows[1:], line + 1)


def _add_lines(blocks: Blocks, rows: list[list[str]], line: int) -> None:
    """Add data to the block that was begun last."""
    found = [Line(line + place, dict(zip(blocks.names, cells, strict=False))) for place, cells in enumerate(rows)]
    if blocks.title == "summary":
        blocks.summary = dict(found[0].cells) if found else {}
    else:
        blocks.rows.setdefault(blocks.title, []).extend(found)


def _read_titles(blocks: Blocks, names: list[str]) -> None:
    """Take currency and zone out of column titles such as 'Net USD' and 'Closing Time (UTC+8)'."""
    for name in names:
        zone = re.search(r"\(UTC\s?([+-]\d{1,2}(?::\d\d)?)?\)", re.sub("[−–]", "-", name), re.IGNORECASE)
        if zone:
            told = f"UTC{zone[1] or '+0'}"
            if told != (blocks.zone or told):
                raise SourceRefusal(f"the column titles name two zones, {blocks.zone} and {told}: export it again")
            blocks.zone = told
    titles = [money for name in names if (money := _MONEY_TITLE.fullmatch(name.lower()))]
    titles.sort(key=lambda money: money[1] != "balance")
    found = [currency for money in titles if (currency := _currency_of(money))]
    blocks.currency = blocks.currency or (found[0] if found else None)


def _currency_of(title: re.Match[str]) -> str | None:
    """Return the currency in a money column's title, None where it names none."""
    currency: str = _SIGNS.get(title[2], title[2].upper())
    return currency if re.fullmatch(r"[A-Z]{3,4}", currency) else None


def _plain_titles(names: list[str], currency: str | None) -> list[str]:
    """Return column titles in lower case without zone and currency; money in a foreign currency keeps its title."""
    plain: list[str] = []
    for name in names:
        title = _ZONE.sub("", name.lower()).strip()
        money = _MONEY_TITLE.fullmatch(title)
        is_own = money is not None and _currency_of(money) in (None, currency)
        short = money[1] if money and is_own else title
        plain.append(short if short not in plain else title)
    return plain


def _html_blocks(document: Document) -> Blocks:
    """Walk down the page's tables: a title row, a header row, data rows, a totals row; and label and value pairs."""
    blocks, title, names = Blocks(), "", list[str]()
    for row in document.rows:
        cells = [cell.replace("\u00a0", " ").strip() for cell in row.cells]
        filled = [cell for cell in cells if cell]
        if len(filled) == 1 and filled[0].lower() in _BLOCKS:
            title, names = filled[0].lower(), []
        elif title and not names and len(filled) > 3:
            _read_titles(blocks, cells)
            names = _plain_titles([cell for cell in cells if cell.lower() != "totals"], blocks.currency)
        elif title and names and len(cells) - len(names) in (0, 1) and len(filled) > 1:
            _add_html_row(blocks, title, names, cells, row.line)
        else:
            _read_pairs(blocks, cells)
    return blocks


def _add_html_row(blocks: Blocks, title: str, names: list[str], cells: list[str], line: int) -> None:
    """Add one row; a totals row may have a cell more in front."""
    fitted = cells[-len(names) :] if len(cells) > len(names) else cells
    blocks.rows.setdefault(title, []).append(Line(line, dict(zip(names, fitted, strict=False))))


def _read_pairs(blocks: Blocks, cells: list[str]) -> None:
    """Read header and summary: account, currency, time with zone, and the printed figures."""
    for label, value in pairwise(cells):
        name = label.rstrip(":").strip().lower()
        if name == "account" and re.fullmatch(r"\d{1,20}", value):
            blocks.login = value
        elif name == "currency" and re.fullmatch(r"[A-Z]{3,4}", value):
            blocks.currency = value
        elif plain_number(value) is not None and name:
            blocks.summary.setdefault(label.rstrip(":").strip(), value)
    for cell in cells:
        dated = re.fullmatch(r"(\d\d/\d\d/\d{4} \d\d:\d\d:\d\d(?:\.\d+)?), UTC ?([+-]\d{1,2}(?::\d\d)?)", cell)
        if dated:
            blocks.printed_at, blocks.zone = dated[1], f"UTC{dated[2]}"


def _is_footer(row: Line) -> bool:
    """Tell a totals row: it names no deal, no symbol and no time, and the file does not end within it."""
    names = ("deal id", "id", "symbol", "opening time", "closing time", "time", "type")
    return not any(row.get(name) for name in names) and not any(cell.endswith(CUT_OFF) for cell in row.cells.values())


def _amount(row: Line, *names: str) -> str | None:
    """Return a money cell as plain decimal text, None where the column is absent or says none."""
    text = row.get(*names)
    return None if text in _NONE else number(text, names[0])


def _closing(ledger: Ledger, row: Line) -> Closing:
    """Land one closing deal."""
    opened, closed = _time(row, "opening time"), _time(row, "closing time", "time")
    side = _position_side(row)
    symbol, price = row.need("symbol"), number(row.need("entry price"), "entry price")
    net, commission, swap = _amount(row, "net"), _amount(row, "commissions", "commission"), _amount(row, "swap")
    gross = _amount(row, "gross") or (less(net, commission, swap) if net is not None else None)
    if gross is None:
        raise RowProblem("net", "", "the row has neither a net nor a gross amount in the account's currency")
    opening, closing = stamp(ledger.clock.utc(opened)), stamp(ledger.clock.utc(closed))
    key = _id_of(row, "deal id", "closing deal id", "id") or f"{closing}{opening}"
    trip = RoundTrip(
        in_id=f"{key}0",
        out_id=f"{key}1",
        position_id=f"{symbol}-{side}-{opening}-{price}",
        side=side,
        symbol=symbol,
        volume=_lots(row, symbol),
        opened_at=opened,
        open_price=price,
        closed_at=closed,
        close_price=number(row.need("closing price"), "closing price"),
        profit=gross,
        commission=commission,
        swap=swap,
        comment=row.get("comment", "label") or None,
    ).land(ledger)
    balance = _amount(row, "balance")
    printed = Decimal(net) if net is not None else trip.net
    return Closing(trip, key, printed, Decimal(balance) if balance is not None else None)


def _id_of(row: Line, *names: str) -> str:
    """Return the digits of 'DID326857996', nothing where the column is absent."""
    text = row.get(*names)
    digits = "".join(character for character in text if character in "0123456789")
    if len(digits) > 40 or (text and not digits):
        raise RowProblem(names[0], text, "not an id")
    return digits


def _time(row: Line, *names: str) -> datetime:
    """Return a time with English month, or with day and month in numbers before or after the year."""
    return clock_by(row.need(*names), names[0], *_TIMES)


def _position_side(row: Line) -> str:
    """Return the side of the position from whichever direction the columns show."""
    closing = row.get("closing direction")
    if not row.get("opening direction"):
        return opposite(side_of(row.need("closing direction"), "closing direction"))
    side = side_of(row.get("opening direction"), "opening direction")
    if closing and side_of(closing, "closing direction") == side:
        raise RowProblem("closing direction", closing, "the same as the opening direction")
    return side


def _lots(row: Line, symbol: str) -> str:
    """Return the closed quantity in lots; units become lots where the contract size is known."""
    text = row.need("closing quantity", "quantity").replace("\u00a0", " ")
    match = re.fullmatch(r"([\d ,.]+?) ?([A-Za-z]*)", text)
    if match is None:
        raise RowProblem("closing quantity", text, "not a quantity")
    volume = positive(_quantity(match[1]), "closing quantity")
    if match[2].lower() in ("lots", "lot", ""):
        return volume
    known = instrument(symbol)
    if known is None or known.units is None:
        raise RowProblem("closing quantity", text, f"the contract size of {symbol} is unknown, so lots cannot be told")
    return f"{Decimal(volume) / known.units:f}"


def _quantity(text: str) -> str:
    """Return a quantity's number; a comma before three digits divides thousands, as whole lots and units have them."""
    return text if plain_number(text) is not None else text.replace(",", "")


def _transaction(ledger: Ledger, row: Line) -> None:
    """Land a deposit, a withdrawal or another cash flow."""
    kind = row.need("type")
    amount = taken_out(kind, number(row.need("amount"), "amount"))
    note = row.get("note")
    comment = f"{kind}: {note}" if note and note not in _NONE else kind
    at = _time(row, "time")
    key = _id_of(row, "id") or stamp(ledger.clock.utc(at))
    ledger.money(f"{key}2", at, amount, comment, classify("balance", comment, amount))


def _count(ledger: Ledger, blocks: Blocks) -> None:
    """Account for open positions and working orders, which carry no number and no result."""
    read_nothing: Callable[[], bool] = lambda: True  # noqa: E731
    for title in ("positions", "orders"):
        for row in blocks.rows.get(title, []):
            if not _is_footer(row):
                ledger.take(title, row.line, read_nothing)


def _reconcile(ledger: Ledger, blocks: Blocks, footers: list[Line], closings: list[Closing]) -> None:
    """Check the balance chain, the totals row, the period's result and the printed balance."""
    for closing in closings:
        if closing.trip.net != closing.printed_net:
            where = f"deal {closing.deal_id}, Net"
            ledger.checks.append(compare("net", closing.printed_net, closing.trip.net, where))
    _check_chain(ledger, closings)
    net = sum((closing.printed_net for closing in closings), Decimal(0))
    commissions = total([closing.trip.commission for closing in closings])
    printed = [("total net", footers[0].get("net"), net) for _ in footers[:1]]
    printed += [("total commission", footers[0].get("commissions", "commission"), commissions) for _ in footers[:1]]
    printed += [("Realised P&L", blocks.summary.get("realised p&l", ""), net)]
    for name, text, observed in printed:
        expected = plain_number(text)
        if expected is not None:
            ledger.checks.append(compare(name, Decimal(expected), observed, f"cell {name!r}"))


def _check_chain(ledger: Ledger, closings: list[Closing]) -> None:
    """Check each balance against the one before it and the cash flows between, and the last against the printed one."""
    rows = sorted(closings, key=lambda closing: (closing.trip.closed_at, int(closing.deal_id)))
    flows = [(deal["executed_at"], Decimal(deal["profit"])) for deal in ledger.deals if deal["kind"] != "trade"]
    links = []
    for before, row in pairwise(rows):
        if before.balance is not None and row.balance is not None:
            between = [amount for at, amount in flows if before.trip.closed_at < at <= row.trip.closed_at]
            reckoned = before.balance + sum(between, Decimal(0)) + row.printed_net
            links.append((f"deal {row.deal_id}, Balance", row.balance, reckoned))
    ledger.checks += chain_checks(links, "running balance")
    if rows and (first := rows[0].balance) is not None:
        opening = first - rows[0].printed_net
        earlier = sum((amount for at, amount in flows if at <= rows[0].trip.closed_at), Decimal(0))
        why = f"{opening - earlier:f} carried in from before the first row of the file"
        where = f"deal {rows[0].deal_id}, Balance"
        ledger.checks.append(compare("opening balance", opening, earlier, where, explanation=why, explained=True))


def _add_equity(ledger: Ledger, blocks: Blocks) -> None:
    """Keep balance and equity where the file says when they held."""
    low = {name.lower(): text for name, text in blocks.summary.items()}
    balance, equity = plain_number(low.get("balance", "")), plain_number(low.get("equity", ""))
    if blocks.printed_at and balance is not None and equity is not None:
        at = clock_by(blocks.printed_at, "printed at", *_TIMES)
        ledger.equity.append((at, balance, equity))
