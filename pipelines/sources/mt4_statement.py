"""MetaTrader 4 Statement and DetailedStatement, as the terminal's "Save as Report" writes them (HTML), or re-saved."""

import re
from decimal import Decimal
from functools import partial
from itertools import pairwise
from typing import NamedTuple

from pipelines.sources.kit.checks import compare, remark
from pipelines.sources.kit.csv_table import delimiter_of
from pipelines.sources.kit.document import Document, Row
from pipelines.sources.kit.ledger import Deal, Ledger
from pipelines.sources.kit.money_rows import classify
from pipelines.sources.kit.refusals import refuse_several_accounts
from pipelines.sources.kit.statement import Ask, Check, RowProblem, Statement
from pipelines.sources.kit.values import clock, is_clock, level, number, plain_number, positive, total
from pipelines.sources.kit.zones import needed_clock

NAME = "mt4-statement"

_SECTIONS = {"closed transactions:": "closed", "open trades:": "open", "working orders:": "working", "summary:": "end"}
_HEADER = re.compile(r"(Account|Name|Currency|Leverage):\s*(.*)", re.DOTALL)
_MAGIC = re.compile(r"#(\d+)(?:\s+|$)")
_FROM, _TO = re.compile(r"from #(\d+)"), re.compile(r"to #(\d+)")
_CLOSING_WORDS = re.compile(r"\s*(\[(sl|tp)(/gap)?\]|so: ?[\d.%/]+|\bto #\d+|close hedge by #\d+|partial close)\s*$")
_TOP_LINE = re.compile(r'^"?closed transactions:', re.MULTILINE)
_LIST: list[set[str]] = [
    {"ticket", "order"},
    {"opentime"},
    {"type"},
    {"size", "lots", "volume"},
    {"item", "symbol"},
    {"openprice", "price"},
    {"s/l", "sl"},
    {"t/p", "tp"},
    {"closetime"},
    {"closeprice", "price"},
    {"commission"},
    {"taxes"},
    {"swap"},
    {"profit"},
]
_VALUE_DATE = re.compile(r", value date: \d{4}\.\d\d\.\d\d$")
_REASONS = [
    (re.compile(r"\[sl(/gap)?\]"), "sl"),
    (re.compile(r"\[tp(/gap)?\]"), "tp"),
    (re.compile(r"\bso: ?[\d.]"), "so"),
]
_EARLIER = "credit given before the first row of the file"
_MONEY = ["Commission", "Taxes", "Swap", "Profit"]
_PRINTED = ["Deposit/Withdrawal", "Credit Facility", "Closed Trade P/L", "Floating P/L", "Margin", "Balance", "Equity"]
_DETAILS = ["Gross Profit", "Gross Loss", "Total Net Profit", "Total Trades"]


class Trade(NamedTuple):
    """One line of a closed or open trade: the money columns as plain decimal text."""

    ticket: str
    money: dict[str, str]

    @property
    def net(self) -> Decimal:
        """Profit with its costs."""
        return total(list(self.money.values()))


class Tables:
    """The statement's tables, told apart while walking down the page."""

    def __init__(self, rows: list[Row]) -> None:
        """Sort the rows into header, sections and printed figures."""
        self.header: dict[str, str] = {}
        self.sections: dict[str, list[Row]] = {"closed": [], "open": [], "working": [], "end": []}
        self.printed: dict[str, str] = {}
        self.totals: dict[str, list[str]] = {}
        self.accounts: list[str] = []
        self.order: list[int] | None = None
        section = ""
        for found in rows:
            row = _as_printed(_in_order(found, self.order))
            section = _SECTIONS.get(row.cells[0].lower(), section) if row.cells else section
            self.order = self.order or (None if section else _list_order(found.cells))
            self._sort(row, section or ("closed" if self.is_list else ""))

    @property
    def is_list(self) -> bool:
        """Tell a bare list of trades, which has no sections and no totals."""
        return self.order is not None

    def _sort(self, row: Row, section: str) -> None:
        """Put one row where it belongs."""
        self._labels(row.cells)
        if row.cells and row.cells[0].startswith("Account:"):
            self.accounts.append(row.cells[0].removeprefix("Account:").strip())
        if not section:
            found = (_HEADER.fullmatch(cell) for cell in row.cells)
            self.header |= {match[1]: match[2].strip() for match in found if match}
        elif _is_data(row):
            self.sections[section].append(row)
        elif len(row.cells) == 3 and not row.cells[0] and self.sections[section]:
            self._add_remark(section, row.cells)
        elif len(row.cells) == 5 and not row.cells[0] and section in ("closed", "open"):
            self.totals.setdefault(section, row.cells[1:])

    def _add_remark(self, section: str, cells: list[str]) -> None:
        """Give the row before it the magic number and comment of a comment row, where its tooltip is lost."""
        last = self.sections[section][-1]
        if not last.title and not cells[2].endswith(":"):
            said = f"#{cells[1]} {cells[2]}" if cells[1].isdigit() else cells[2]
            self.sections[section][-1] = last._replace(title=said)

    def _labels(self, cells: list[str]) -> None:
        """Remember each printed figure that follows its label."""
        for label, value in pairwise(cells):
            if label.endswith(":") and plain_number(value) is not None:
                self.printed.setdefault(label[:-1], str(plain_number(value)))


def recognise(document: Document) -> bool:
    """Tell a statement by its title or by its sections; they are English whatever the user's language."""
    if not document.is_html:
        return _is_resaved(document)
    if "strategy tester" in document.head:
        return False
    text = document.text
    sections = sum(word in text for word in ("Closed Transactions:", "Open Trades:", "Working Orders:", "Summary:"))
    titled = re.search(r"<title>\s*statement:", document.head) is not None
    return sections >= 2 or (titled and sections >= 1)


def _is_resaved(document: Document) -> bool:
    """Tell a statement saved as a workbook, or a bare list of trades in a statement's columns."""
    if document.is_zip:
        return any(row.cells and _is_top(row.cells) for row in document.rows)
    first = document.first_line
    return _TOP_LINE.search(document.head) is not None or _list_order(first.split(delimiter_of(first))) is not None


def _is_top(cells: list[str]) -> bool:
    """Tell the heading of the closed trades, or the header of a bare list."""
    return cells[0].lower() == "closed transactions:" or _list_order(cells) is not None


def _list_order(cells: list[str]) -> list[int] | None:
    """Return where a bare list of trades has each of a statement's columns, None for a row that is not its header."""
    left = {index: cell.replace(" ", "").strip('"\ufeff').lower() for index, cell in enumerate(cells)}
    order = []
    for names in _LIST:
        place = next((index for index, name in left.items() if name in names), None)
        if place is None:
            return None
        order.append(place)
        del left[place]
    return order


def _in_order(row: Row, order: list[int] | None) -> Row:
    """Return a row of a bare list with its cells in a statement's order; other columns are left out."""
    if order is None or len(row.cells) <= max(order):
        return row
    return row._replace(cells=[row.cells[place] for place in order])


def _as_printed(row: Row) -> Row:
    """Return a row of a workbook or of text with the cells that the statement's page has."""
    if row.spans or len(row.cells) < 3:
        return row
    filled = [cell for cell in row.cells if cell]
    kind = row.cells[2].lower()
    if kind in ("balance", "credit"):
        comment = [cell for cell in row.cells[3:] if cell][:-1]
        cells = [*row.cells[:3], " ".join(comment), filled[-1]]
    elif kind.endswith((" limit", " stop")):
        cells = [*row.cells[:10], filled[-1]]
    elif is_clock(row.cells[1]):
        cells = [*row.cells, *[""] * 14][:14]
    elif not any(row.cells[:9]) and len(filled) > 2:
        cells = ["", *filled]
    else:
        cells = filled
    return row._replace(cells=cells)


def read(document: Document, ask: Ask) -> Statement:
    """Read a statement: a trade becomes an in and an out deal, ids the ticket with 0 and 1 behind it.

    The parts of a partially closed trade carry the first ticket as their position. Trades still open have their in
    deal; pending orders are counted. Needs the server's zone.
    """
    ledger = Ledger(NAME, ask, needed_clock(ask.server_zone, NAME))
    tables = Tables(document.rows)
    refuse_several_accounts(document.name, tables.accounts)
    closed = [_read_closed(ledger, row) for row in tables.sections["closed"]]
    opening = tables.sections["open"]
    opened = [ledger.take("open trades", row.line, partial(_open_trade, ledger, row)) for row in opening]
    for row in tables.sections["working"]:
        ledger.take("working orders", row.line, partial(_pending, row))
    _join_parts(ledger.deals)
    if not tables.is_list:
        _reconcile(ledger, tables, [t for t in closed if t], [t for t in opened if t])
    header = tables.header
    ledger.facts |= {
        "login": header.get("Account") or None,
        "name": header.get("Name") or None,
        "leverage": header.get("Leverage") or None,
        "printed": tables.printed,
        "open_trades": {f"{trade.ticket}0": f"{trade.ticket}1" for trade in opened if trade},
    }
    return ledger.close(header.get("Currency") or None)


def _is_data(row: Row) -> bool:
    """Tell a data row: a ticket, a time and a type."""
    cells = row.cells
    if len(cells) < 5 or "Type" in cells[:4]:
        return False
    return is_clock(cells[0]) or is_clock(cells[1]) or cells[0].isdigit()


def _read_closed(ledger: Ledger, row: Row) -> Trade | None:
    """Read one row of the closed section by its number of cells."""
    cells = row.cells
    if len(cells) == 5:
        ledger.take("money rows", row.line, partial(_money_row, ledger, row))
    elif len(cells) == 11:
        ledger.take("cancelled orders", row.line, partial(_pending, row))
    elif len(cells) == 14 and cells[4].lower() == "profit" and not Decimal(plain_number(cells[5]) or "1"):
        return ledger.take("compressed periods", row.line, partial(_compressed, ledger, row))
    elif len(cells) == 14 and _is_moneyless(cells):
        ledger.take("closed against another trade", row.line, partial(_ticket, cells))
    elif len(cells) == 14:
        return ledger.take("closed trades", row.line, partial(_closed_trade, ledger, row))
    else:
        ledger.reject(
            row.line, RowProblem("row", " | ".join(cells), f"{len(cells)} cells, a statement has 5, 11 or 14")
        )
    return None


def _is_moneyless(cells: list[str]) -> bool:
    """Tell the second row of a close by: no size, no result, no costs; all of it stands in the other trade's row."""
    texts = [plain_number(cells[index]) for index in (3, 10, 11, 12, 13)]
    return all(text is not None and not Decimal(text) for text in texts)


def _ticket(cells: list[str]) -> str:
    """Return the row's ticket."""
    if not (cells[0].isascii() and cells[0].isdigit() and len(cells[0]) <= 20):
        raise RowProblem("Ticket", cells[0], "not a ticket number")
    return cells[0]


def _side(cells: list[str]) -> str:
    """Return the side on which the trade was opened."""
    if cells[2].lower() not in ("buy", "sell"):
        raise RowProblem("Type", cells[2], "neither buy nor sell")
    return cells[2].lower()


def _opposite(side: str) -> str:
    """Return the other side."""
    return "sell" if side == "buy" else "buy"


def _money_row(ledger: Ledger, row: Row) -> None:
    """Land a balance or credit row."""
    ticket, cells = _ticket(row.cells), row.cells
    if cells[2].lower() not in ("balance", "credit"):
        raise RowProblem("Type", cells[2], "neither balance nor credit")
    amount = number(cells[4], "Profit")
    comment = _VALUE_DATE.sub("", cells[3])
    ledger.money(f"{ticket}0", clock(cells[1], "Time"), amount, comment, classify(cells[2], comment, amount))


def _pending(row: Row) -> None:
    """Account for a pending order; it moved no money."""
    _ticket(row.cells)
    clock(row.cells[1], "Open Time")
    positive(row.cells[3], "Size")


def _compressed(ledger: Ledger, row: Row) -> Trade:
    """Land an old period that the broker pressed into one row as the trading result of its day."""
    ticket, cells = _ticket(row.cells), row.cells
    trade = Trade(ticket, _row_money(cells))
    comment = row.title or "compressed period"
    verdict = classify("balance", f"summary trade result {comment}", cells[13])
    ledger.money(f"{ticket}0", clock(cells[8], "Close Time"), trade.money["Profit"], comment, verdict)
    ledger.deals[-1] |= _costs(trade.money)
    return trade


def _row_money(cells: list[str]) -> dict[str, str]:
    """Return the four money columns."""
    return {name: number(cells[10 + index], name) for index, name in enumerate(_MONEY)}


def _costs(money: dict[str, str]) -> dict[str, str]:
    """Return the money columns as a deal has them; taxes are the fee."""
    return {"commission": money["Commission"], "fee": money["Taxes"], "swap": money["Swap"]}


def _opening(ledger: Ledger, row: Row) -> Deal:
    """Land the in deal of a trade; what it cost is known when it closes."""
    ticket, cells, side = _ticket(row.cells), row.cells, _side(row.cells)
    magic, comment = _remark_of(_CLOSING_WORDS.sub("", row.title))
    if not cells[4]:
        raise RowProblem("Item", cells[4], "a trade without symbol")
    return {
        "deal_id": f"{ticket}0",
        "at": clock(cells[1], "Open Time"),
        "position_id": ticket,
        "entry": "in",
        "side": side,
        "symbol": cells[4],
        "volume": positive(cells[3], "Size"),
        "price": number(cells[5], "Price"),
        "profit": "0",
        "stop_loss": level(cells[6], "S / L"),
        "take_profit": level(cells[7], "T / P"),
        "magic": magic,
        "comment": comment,
    }


def _closed_trade(ledger: Ledger, row: Row) -> Trade:
    """Land both deals of a closed trade; money sits on the closing one."""
    cells, opening = row.cells, _opening(ledger, row)
    money = _row_money(cells)
    magic, comment = _remark_of(row.title)
    closed_at = ledger.clock.closing(opening["at"], clock(cells[8], "Close Time"))
    if closed_at is None:
        raise RowProblem("Close Time", cells[8], f"before the open time {cells[1]}")
    closing = opening | {
        "magic": magic,
        "comment": comment,
        "deal_id": f"{opening['position_id']}1",
        "at": closed_at,
        "entry": "out",
        "side": _opposite(opening["side"]),
        "price": number(cells[9], "Close Price"),
        "profit": money["Profit"],
        "reason": reason_of(row.title),
    }
    ledger.trade(**opening)
    ledger.trade(**(closing | _costs(money)))
    return Trade(opening["position_id"], money)


def _open_trade(ledger: Ledger, row: Row) -> Trade:
    """Land the in deal of a trade that is still open."""
    if len(row.cells) != 14:
        raise RowProblem("row", " | ".join(row.cells), f"{len(row.cells)} cells, an open trade has 14")
    money = _row_money(row.cells)
    opening = _opening(ledger, row)
    ledger.trade(**opening)
    return Trade(opening["position_id"], money)


def _remark_of(title: str) -> tuple[str | None, str | None]:
    """Return magic number and comment of a tooltip such as '#16384 My order[tp]'."""
    match = _MAGIC.match(title)
    if match is None:
        return None, title or None
    return match[1], title[match.end() :] or None


def reason_of(comment: str) -> str | None:
    """Return sl, tp or so where the comment says so, None where it does not."""
    return next((reason for pattern, reason in _REASONS if pattern.search(comment)), None)


def _join_parts(deals: list[Deal]) -> None:
    """Give the parts of a partially closed trade the ticket they all come from as their position.

    A part that was closed in parts itself says only where the rest went, so both directions are followed.
    """
    trades = [deal for deal in deals if deal["kind"] == "trade"]
    parents = {match[1]: deal["position_id"] for deal in trades if (match := _TO.search(deal["comment"] or ""))}
    parents |= {deal["position_id"]: match[1] for deal in trades if (match := _FROM.search(deal["comment"] or ""))}
    for deal in trades:
        deal["position_id"] = _root(deal["position_id"], parents)


def _root(ticket: str, parents: dict[str, str]) -> str:
    """Follow the parts back to the first ticket; a ring of quoted tickets ends where it began."""
    seen = {ticket}
    while (parent := parents.get(ticket)) is not None and parent not in seen:
        seen.add(parent)
        ticket = parent
    return ticket


def _reconcile(ledger: Ledger, tables: Tables, closed: list[Trade], opened: list[Trade]) -> None:
    """Check every printed figure against the rows."""
    ledger.checks += _column_checks("closed", tables, closed) + _column_checks("open", tables, opened)
    ledger.checks += _result_checks(tables, closed, opened)
    ledger.checks += _balance_checks(ledger, tables)
    ledger.checks += _detail_checks(tables, closed)


def _column_checks(section: str, tables: Tables, trades: list[Trade]) -> list[Check]:
    """Check the totals under a section's money columns."""
    printed = [plain_number(cell) for cell in tables.totals.get(section, [])]
    return [
        compare(f"{section} {name}", Decimal(value), total([trade.money[name] for trade in trades]), f"total of {name}")
        for name, value in zip(_MONEY, printed, strict=False)
        if value is not None
    ]


def _result_checks(tables: Tables, closed: list[Trade], opened: list[Trade]) -> list[Check]:
    """Check the printed results of closed and open trades, both times they are printed."""
    if "Closed P/L" not in tables.printed:
        why = "the file ends before its totals: export it again"
        return [remark("complete", "does_not_add_up", "end of the file", why)]
    net = sum((trade.net for trade in closed), Decimal(0))
    floating = sum((trade.net for trade in opened), Decimal(0))
    figures = [("Closed P/L", net), ("Closed Trade P/L", net), ("Floating P/L", floating)]
    return [
        compare(name, Decimal(tables.printed[name]), observed, f"cell {name!r}")
        for name, observed in figures
        if name in tables.printed
    ]


def _balance_checks(ledger: Ledger, tables: Tables) -> list[Check]:
    """Check deposits, balance and equity; what precedes the rows explains a balance, nothing explains an equity."""
    printed = {name: Decimal(tables.printed[name]) for name in _PRINTED if name in tables.printed}
    if len(printed) < len(_PRINTED):
        return []
    kinds = {
        kind: total([row.get("profit") for row in ledger.deals if row["kind"] == kind and not row.get("commission")])
        for kind in ("balance", "fee", "credit")
    }
    credit, balance = printed["Credit Facility"], printed["Balance"]
    reckoned = printed["Deposit/Withdrawal"] + printed["Closed Trade P/L"]
    return [
        compare("Deposit/Withdrawal", printed["Deposit/Withdrawal"], kinds["balance"] + kinds["fee"], "balance rows"),
        compare("Credit Facility", credit, kinds["credit"], "credit rows", explanation=_EARLIER, explained=True),
        compare(
            "Balance", balance, reckoned, "cell 'Balance'", explanation=carried(balance - reckoned), explained=True
        ),
        compare("Equity", printed["Equity"], balance + credit + printed["Floating P/L"], "cell 'Equity'"),
    ]


def carried(amount: Decimal) -> str:
    """The explanation of a balance that the rows do not lead to."""
    if amount > 0:
        return f"{amount:f} carried in from before the first row of the file"
    return f"{-amount:f} left in rows that the file does not hold: the terminal's history is incomplete"


def _detail_checks(tables: Tables, closed: list[Trade]) -> list[Check]:
    """Check the figures that only a DetailedStatement prints."""
    nets = [trade.net for trade in closed]
    observed = {
        "Gross Profit": sum((net for net in nets if net > 0), Decimal(0)),
        "Gross Loss": -sum((net for net in nets if net < 0), Decimal(0)),
        "Total Net Profit": sum(nets, Decimal(0)),
        "Total Trades": Decimal(len(nets)),
    }
    return [
        compare(name, Decimal(tables.printed[name]), observed[name], f"cell {name!r}")
        for name in _DETAILS
        if name in tables.printed
    ]
