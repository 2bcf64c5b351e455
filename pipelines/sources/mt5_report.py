"""MetaTrader 5 trade history report: HTML or XLSX, any language, old and new layout, re-saved as a workbook or as text.

Labels are translated and values are not, so rows are told apart by their shape and the labels are never read.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import partial
from itertools import pairwise

from pipelines.sources.kit.agreement import order_checks, table_checks
from pipelines.sources.kit.checks import NAMED_CELLS_MAX, chain_checks, compare, remark
from pipelines.sources.kit.document import Document, Row
from pipelines.sources.kit.ledger import Deal, Ledger
from pipelines.sources.kit.money_rows import classify, money_type
from pipelines.sources.kit.positions import Position, tie
from pipelines.sources.kit.refusals import refuse_several_accounts
from pipelines.sources.kit.statement import Ask, Check, RowProblem, SourceRefusal, Statement
from pipelines.sources.kit.values import clock, is_clock, level, number, plain_number, positive
from pipelines.sources.kit.zones import ServerClock, needed_clock

NAME = "mt5-report"

_ENTRIES = {"in": "in", "out": "out", "in/out": "inout", "out by": "out_by", "": "in"}
_SIDES = {"buy": "buy", "sell": "sell", "buy canceled": "buy", "sell canceled": "sell"}
_ACCOUNT = re.compile(r"(\d{1,20})\s*\(([^()]{3,200})\)")
_TITLE = re.compile(r"(\d{1,20}): (.*) - ")
_ORDER_VOLUME = re.compile(r"[\d\s.,]+/[\d\s.,]+")
_DATED_ROW = re.compile(r"^\"?\d{1,4}[./-]\d\d?[./-]\d{1,4} \d\d?:\d\d(:\d\d)?\"?[,;\t]", re.MULTILINE)
_WON = re.compile(r"\d[\d ]* \([\d.]+%\)")
_REASON = re.compile(r"\[(sl|tp|so)\b|^so: ", re.IGNORECASE)
_LAYOUT_WIDTHS = range(13, 16)
_COMMENT_SPAN = 8


@dataclass(frozen=True)
class DealRow:
    """One row of the Deals table with its running balance."""

    at: datetime
    deal: Deal
    amounts: dict[str, Decimal]
    balance: Decimal

    @property
    def change(self) -> Decimal:
        """How much the row moves the running balance."""
        return sum(self.amounts.values(), Decimal(0))


@dataclass
class Report:
    """The report's rows by kind, its footers and its printed label and value pairs."""

    deals: list[tuple[Row, list[str], int]] = field(default_factory=list)
    positions: list[tuple[Row, list[str]]] = field(default_factory=list)
    open_positions: list[tuple[Row, list[str]]] = field(default_factory=list)
    orders: list[tuple[Row, list[str]]] = field(default_factory=list)
    unknown: list[tuple[Row, list[str]]] = field(default_factory=list)
    deal_footer: tuple[list[str], int] | None = None
    pairs: list[list[str]] = field(default_factory=list)
    header: dict[str, str | None] = field(default_factory=dict)
    accounts: list[str] = field(default_factory=list)


def recognise(document: Document) -> bool:
    """Tell a report by rows of its shape, or by the terminal's mark on an empty one."""
    if not (document.is_html or document.is_zip) and not _DATED_ROW.search(document.text[:200_000]):
        return False
    if any(kind_of(cells) for _, cells in _grids(document.rows)):
        return True
    return '<meta name="generator" content="client terminal"' in document.head


def read(document: Document, ask: Ask) -> Statement:
    """Read a report: one deal per row of Deals, each tied to its position through Positions.

    Needs the server's zone. A report without account header leaves login and currency to the caller.
    """
    ledger = Ledger(NAME, ask, needed_clock(ask.server_zone, NAME))
    report = sort_rows(document)
    if _is_simulation(report):
        raise SourceRefusal(f"{document.name} is a strategy tester report: a simulation is no account's history")
    refuse_several_accounts(document.name, report.accounts)
    orders = _read_orders(ledger, report)
    taken = [
        ledger.take("deals", source.line, partial(_deal_row, ledger, cells, width))
        for source, cells, width in report.deals
    ]
    rows = _in_time([row for row in taken if row], ledger.clock)
    positions = _read_positions(ledger, report)
    for source, cells in report.unknown:
        ledger.reject(source.line, RowProblem("row", " | ".join(cells), "a row of no known shape"))
    margin = report.header.get("margin_mode")
    netting = margin in ("Netting", "Exchange") or any(row.deal.get("entry") == "inout" for row in rows)
    tie([row.deal for row in rows], positions, netting=netting)
    _add_levels([row.deal for row in rows], positions, orders)
    _reconcile(ledger, report, rows, positions)
    ledger.checks += _agreement(report, rows, positions, orders, netting=netting)
    _finish(ledger, report, positions, netting)
    return ledger.close(report.header.get("currency"))


def _is_simulation(report: Report) -> bool:
    """Tell a tester's report, whatever its language: no account, no positions, and its deals count from a first one."""
    if report.header.get("login") or report.positions or report.open_positions or not report.deals:
        return False
    _, cells, _ = report.deals[0]
    return cells[1] == "1" and money_type(cells[3]) is not None


def _grids(rows: list[Row]) -> Iterator[tuple[Row, list[str]]]:
    """Yield each row laid on columns; a position's comment cell, hidden or shown, and what it spans is left out."""
    for row in rows:
        cells, spans = row.grid(), row.spans
        if len(spans) > 12 and spans[4] == _COMMENT_SPAN:
            yield row, cells[:4] + cells[4 + _COMMENT_SPAN :]
        elif not spans and len(cells) > 20 and cells[3].lower() in _SIDES and not any(cells[5 : 4 + _COMMENT_SPAN]):
            yield row, cells[:4] + cells[4 + _COMMENT_SPAN :]  # as a spreadsheet shows it that hides no cells
        else:
            yield row, cells


def kind_of(cells: list[str]) -> str | None:
    """Return deals, positions, orders or open_positions for a data row's cells, None for any other row."""
    if len(cells) < 9 or not is_clock(cells[0]):
        return None
    words = [cell.lower() for cell in cells[:6]]
    if _ORDER_VOLUME.fullmatch(words[4]):
        return "orders"
    if words[3] in ("buy", "sell") and words[4] not in _ENTRIES:
        is_closed = is_clock(cells[8], like=cells[0]) and plain_number("".join(cells[12:13])) is not None
        return "positions" if is_closed else "open_positions"
    is_deal = words[3] in _SIDES or money_type(words[3]) is not None
    return "deals" if is_deal and words[4] in _ENTRIES else None


def sort_rows(document: Document) -> Report:
    """Tell the report's rows apart by shape, whatever its language and however many sheets it was spread over."""
    report, width, in_deals = Report(), 14, False
    for row, cells in _grids(document.rows):
        kind = kind_of(cells)
        in_deals = kind == "deals" or (in_deals and kind is None)
        if kind == "deals":
            report.deals.append((row, cells, width))
        elif kind:
            getattr(report, kind).append((row, cells))
        elif _looks_like_data(cells):
            report.unknown.append((row, cells))
        elif in_deals and _is_footer(cells):
            report.deal_footer, in_deals = (cells, width), False
        else:
            width = _width(cells) or width
            _read_labels(report, cells)
    _read_title(report, document)
    return report


def _looks_like_data(cells: list[str]) -> bool:
    """Tell a row that ought to be read: dated, or numbered and of a known type, and of no known shape."""
    if len(cells) < 9:
        return False
    numbered = cells[1].isascii() and cells[1].isdigit()
    return is_clock(cells[0]) or (numbered and (cells[3].lower() in _SIDES or money_type(cells[3]) is not None))


def _width(cells: list[str]) -> int | None:
    """Return how many columns a header row names: 13 without fee, 14 with it, 15 with a visible cost."""
    named = [index for index, cell in enumerate(cells) if cell]
    if len(named) < 11 or any(plain_number(cell) is not None for cell in cells if cell):
        return None
    return min(max(named[-1] + 1, _LAYOUT_WIDTHS[0]), _LAYOUT_WIDTHS[-1])


def _is_footer(cells: list[str]) -> bool:
    """Tell the totals under the deals: eight blanks, then numbers."""
    return not any(cells[:8]) and sum(plain_number(cell) is not None for cell in cells[8:]) >= 3


def _read_labels(report: Report, cells: list[str]) -> None:
    """Keep the label and value pairs, and the account header wherever it stands."""
    filled = [cell for cell in cells if cell]
    if len(filled) == 2:
        _read_account(report, filled[1])
        if not report.header.get("login") and filled[0].endswith((":", "：")) and not report.deals:
            report.header.setdefault("name", filled[1])
    if filled and filled[0].endswith((":", "：")):
        values = [value for label, value in pairwise(filled) if label.endswith((":", "："))]
        report.pairs.append(values)


def _read_account(report: Report, text: str) -> None:
    """Read '12345 (USD, Server, demo, Hedge)' or, of older builds, '12345 (USD, 1:100, Server, demo)'."""
    match = _ACCOUNT.fullmatch(text.replace("\u00a0", " ").strip())
    if match is None:
        return
    parts = [part.strip() for part in match[2].split(",")]
    if not re.fullmatch(r"[A-Z]{3,4}", parts[0]):
        return
    report.accounts.append(match[1])
    if len(report.accounts) > 1:
        return
    leverage = next((part for part in parts if re.fullmatch(r"1:\d+", part)), None)
    rest = [part for part in parts[1:] if part != leverage]
    modes = [part for part in rest if part in ("Hedge", "Netting", "Exchange")]
    report.header |= {
        "login": match[1],
        "currency": parts[0],
        "server": rest[0] if rest else None,
        "leverage": leverage,
        "margin_mode": modes[-1] if modes else None,
    }


def _read_title(report: Report, document: Document) -> None:
    """Take holder and login from the page's title where there is one."""
    match = _TITLE.match(document.page.title)
    if match:
        report.header.setdefault("login", match[1])
        report.header["name"] = match[2]


def _columns(width: int) -> dict[str, int]:
    """Return where the money columns of Deals stand, counted from the right; fee is absent in older builds."""
    found = {"balance": width - 2, "profit": width - 3, "swap": width - 4}
    if width > _LAYOUT_WIDTHS[0]:
        return found | {"fee": width - 5, "commission": width - 6}
    return found | {"commission": width - 5}


def _money(cells: list[str], index: int, name: str) -> str:
    """Return a money cell; a blank one is nothing, one that the row does not reach is missing."""
    if index >= len(cells):
        raise RowProblem(name, "", "the row ends before it")
    return number(cells[index], name) if cells[index] else "0"


def _deal_row(ledger: Ledger, cells: list[str], width: int) -> DealRow:
    """Land one row of Deals; a cancelled deal is only counted, the correction behind it lands."""
    columns = _columns(width)
    at, ticket = clock(cells[0], "Time"), _ticket(cells)
    printed = {name: _money(cells, index, name) for name, index in columns.items()}
    amounts = {name: Decimal(text) for name, text in printed.items() if name != "balance"}
    comment = cells[width - 1] if len(cells) >= width else ""
    deal: Deal = {"deal_id": ticket, "kind": "cancelled", "entry": None}
    if money_type(cells[3]):
        ledger.money(ticket, at, printed["profit"], comment, classify(cells[3], comment, printed["profit"]))
        deal = ledger.deals[-1]
        deal |= {name: printed[name] for name in ("commission", "swap", "fee") if name in printed}
    elif "cancel" not in cells[3].lower():
        deal = ledger.trade(ticket, at, **_trade_values(cells, printed, comment))
    return DealRow(at, deal, amounts, Decimal(printed["balance"]))


def _in_time(rows: list[DealRow], server: ServerClock) -> list[DealRow]:
    """Return the deals as the terminal writes them, the oldest first; a spreadsheet may have sorted them otherwise.

    Deals whose numbers rise while their times go back within a repeated hour stand where the clock was set back.
    """
    back = [row for before, row in pairwise(rows) if row.at < before.at]
    numbers = [int(row.deal["deal_id"]) for row in rows]
    if numbers != sorted(numbers) or not all(server.is_repeated(row.at) for row in back):
        return sorted(rows, key=lambda row: (row.at, int(row.deal["deal_id"]))) if back else rows
    set_back_on = None
    for before, row in pairwise(rows):
        set_back_on = row.at.date() if row.at < before.at else set_back_on
        if row.at.date() == set_back_on:
            row.deal["executed_at"] = row.at.replace(fold=1)
    return rows


def _ticket(cells: list[str]) -> str:
    """Return the deal's, order's or position's number."""
    if not (cells[1].isascii() and cells[1].isdigit() and len(cells[1]) <= 20):
        raise RowProblem("Ticket", cells[1], "not a ticket number")
    return cells[1]


def _trade_values(cells: list[str], printed: dict[str, str], comment: str) -> Deal:
    """Return a trade deal's values; its position is tied later."""
    reason = _REASON.search(comment)
    for name, index in (("Symbol", 2), ("Direction", 4)):
        if not cells[index]:
            raise RowProblem(name, cells[index], f"a trade without {name.lower()}")
    return {
        "position_id": None,
        "order": cells[7] or None,
        "entry": _ENTRIES[cells[4].lower()],
        "side": _SIDES[cells[3].lower()],
        "symbol": cells[2],
        "volume": positive(cells[5], "Volume"),
        "price": number(cells[6], "Price"),
        "commission": printed["commission"],
        "swap": printed["swap"],
        "fee": printed.get("fee"),
        "profit": printed["profit"],
        "reason": (reason[1] or "so").lower() if reason else None,
        "comment": comment or None,
    }


def _read_orders(ledger: Ledger, report: Report) -> dict[str, list[str]]:
    """Account for every order, filled, cancelled or working, and return them by number."""
    found = {}
    for row, cells in report.orders:
        ticket = ledger.take("orders", row.line, partial(_order, cells))
        if ticket:
            found[ticket] = cells
    return found


def _order(cells: list[str]) -> str:
    """Check an order's time and number."""
    clock(cells[0], "Open Time")
    return _ticket(cells)


def _read_positions(ledger: Ledger, report: Report) -> list[Position]:
    """Read the closed and the open positions."""
    closed = [ledger.take("positions", row.line, partial(_position, cells)) for row, cells in report.positions]
    opened = [ledger.take("open positions", row.line, partial(_open, cells)) for row, cells in report.open_positions]
    return [position for position in closed + opened if position]


def _position(cells: list[str]) -> Position:
    """Read a closed position; its money is what its deals add up to."""
    if len(cells) < 13:
        raise RowProblem("row", " | ".join(cells), f"{len(cells)} columns, a position has 13")
    return _open(cells, clock(cells[8], "Close Time"), *(number(cells[i] or "0", "Positions") for i in (9, 10, 11, 12)))


def _open(
    cells: list[str],
    closed_at: datetime | None = None,
    price: str = "0",
    commission: str = "0",
    swap: str = "0",
    profit: str = "0",
) -> Position:
    """Read what open and closed positions have in common."""
    return Position(
        _ticket(cells),
        cells[2],
        cells[3].lower(),
        Decimal(positive(cells[4], "Volume")),
        clock(cells[0], "Time"),
        closed_at,
        Decimal(price),
        Decimal(commission),
        Decimal(swap),
        Decimal(profit),
        level(cells[6], "S / L"),
        level(cells[7], "T / P"),
        Decimal(number(cells[5], "Price")),
    )


def _add_levels(deals: list[Deal], positions: list[Position], orders: dict[str, list[str]]) -> None:
    """Give an opening deal its order's stop and target, a closing one its position's last."""
    last = {position.ticket: position for position in positions}
    for deal in deals:
        if deal["kind"] != "trade":
            continue
        order, position = orders.get(deal["order"] or ""), last.get(deal["position_id"] or "")
        if deal["entry"] == "in" and order:
            deal["stop_loss"], deal["take_profit"] = _levels_of(order)
        elif position:
            deal["stop_loss"], deal["take_profit"] = position.stop_loss, position.take_profit


def _levels_of(order: list[str]) -> tuple[str | None, str | None]:
    """Return an order's stop and target; what cannot be read as a price is none."""
    texts = (plain_number(order[6]), plain_number(order[7]))
    return (texts[0] and level(texts[0], "S / L")) or None, (texts[1] and level(texts[1], "T / P")) or None


def _finish(ledger: Ledger, report: Report, positions: list[Position], netting: bool) -> None:
    """Write the report's facts."""
    trades = [deal for deal in ledger.deals if deal["kind"] == "trade"]
    ledger.facts |= report.header | {
        "login": report.header.get("login"),
        "margin_mode": report.header.get("margin_mode") or ("Netting" if netting else None),
        "closed_positions": sum(position.closed_at is not None for position in positions),
        "open_positions": sum(position.closed_at is None for position in positions),
        "untied_deals": [deal["deal_id"] for deal in trades if deal.get("position_id") is None],
        "printed": _printed(report),
    }


def _printed(report: Report) -> dict[str, str]:
    """Return the printed summary, known by its shape: four rows of two, two, two and one value, then the results."""
    found: dict[str, str] = {}
    counts = [len(values) for values in report.pairs]
    for index in range(len(counts) - 3):
        if counts[index : index + 4] == [2, 2, 2, 1]:
            block = report.pairs[index : index + 4]
            names = [("Balance", block[0]), ("Credit", block[1]), ("Floating", block[2]), ("Equity", block[3])]
            found = {name: text for name, values in names if (text := plain_number(values[0])) is not None}
            break
    return found | _printed_results(report)


def _printed_results(report: Report) -> dict[str, str]:
    """Return the printed results: the first row of three amounts, and the row of a count and two winning shares."""
    found: dict[str, str] = {}
    for values in report.pairs:
        numbers = [plain_number(value) for value in values]
        if len(values) == 3 and None not in numbers and "Total Net Profit" not in found:
            names = ("Total Net Profit", "Gross Profit", "Gross Loss")
            found |= {name: text for name, text in zip(names, numbers, strict=True) if text}
        elif len(values) == 3 and numbers[0] and all(_WON.fullmatch(value) for value in values[1:]):
            found.setdefault("Total Trades", numbers[0])
    return found


def _reconcile(ledger: Ledger, report: Report, rows: list[DealRow], positions: list[Position]) -> None:
    """Check the running balance, the totals, the positions and the printed results against the deals."""
    printed = {name: Decimal(text) for name, text in _printed(report).items()}
    links = [
        (f"deal {row.deal['deal_id']}, Balance", row.balance, before.balance + row.change)
        for before, row in pairwise(rows)
    ]
    ledger.checks += chain_checks(links, "running balance")
    ledger.checks += _carried_checks(rows)
    ledger.checks += _footer_checks(report, rows)
    ledger.checks += _position_checks([row.deal for row in rows], positions)
    ledger.checks += _summary_checks(printed, rows)
    if not printed and report.deal_footer is None:
        why = "the file ends before its totals: export it again"
        ledger.checks.append(remark("complete", "does_not_add_up", "end of the file", why))
    if not report.deals and (report.positions or report.open_positions):
        why = "the file has no table of deals, of which trades and money are made: export the whole history report"
        ledger.checks.append(remark("deals", "does_not_add_up", "Deals", why))


def _carried_checks(rows: list[DealRow]) -> list[Check]:
    """Explain a running balance that does not begin at nothing: the report covers a part of the history."""
    if not rows:
        return []
    before = rows[0].balance - rows[0].change
    why = f"{before:f} carried in from before the first row of the file"
    where = f"deal {rows[0].deal['deal_id']}, Balance"
    return [compare("opening balance", before, Decimal(0), where, explanation=why, explained=True)]


def _footer_checks(report: Report, rows: list[DealRow]) -> list[Check]:
    """Check the totals under the deals; Profit's holds the money rows too."""
    if report.deal_footer is None or not rows:
        return []
    printed = _printed_totals(*report.deal_footer)
    checks = [compare("last balance", printed.pop("balance"), rows[-1].balance, "total of Balance")]
    for name, amount in printed.items():
        observed = sum((row.amounts[name] for row in rows), Decimal(0))
        checks.append(compare(f"total {name}", amount, observed, f"total of {name}"))
    return checks


def _printed_totals(cells: list[str], width: int) -> dict[str, Decimal]:
    """Return the printed totals: in their order where none is blank, as a shown cost column may shift them."""
    columns = sorted(_columns(width).items(), key=lambda column: column[1])
    filled = [Decimal(text) for cell in cells if (text := plain_number(cell)) is not None]
    if len(filled) in (len(columns), len(columns) + 1):
        return dict(zip((name for name, _ in columns), filled[-len(columns) :], strict=True))
    return {name: Decimal(plain_number("".join(cells[index : index + 1])) or "0") for name, index in columns}


def _agreement(
    report: Report, rows: list[DealRow], positions: list[Position], orders: dict[str, list[str]], *, netting: bool
) -> list[Check]:
    """Check the tables against each other; a netting account's positions bear no order's number."""
    filled = {ticket: _filled(cells[4]) for ticket, cells in orders.items()}
    dealt: dict[str, Decimal] = defaultdict(Decimal)
    for _, cells, _ in report.deals:
        if cells[7]:
            share = 2 if cells[4].lower() == "out by" else 1  # one order closes two positions against each other
            dealt[cells[7]] += Decimal(plain_number(cells[5]) or "0") / share
    if netting:
        return order_checks(filled, dealt)[:NAMED_CELLS_MAX]
    trades = [row.deal for row in rows if row.deal["kind"] == "trade"]
    return table_checks(trades, positions, filled, dealt)


def _filled(volume: str) -> Decimal:
    """Return what was filled of an order's '1.00 / 0.40'."""
    return Decimal(plain_number(volume.rpartition("/")[2]) or "0")


def _position_checks(deals: list[Deal], positions: list[Position]) -> list[Check]:
    """Check the money of every closed position against the deals tied to it."""
    sums: dict[str, dict[str, Decimal]] = {}
    begun = {deal["position_id"] for deal in deals if deal.get("entry") == "in"}
    for deal in deals:
        if deal["kind"] == "trade" and deal["position_id"]:
            known = sums.setdefault(deal["position_id"], defaultdict(Decimal))
            for name in ("commission", "fee", "swap", "profit"):
                known[name] += Decimal(deal[name] or 0)
    wrong = []
    closed = [position for position in positions if position.closed_at is not None]
    for position in closed:
        found = sums.get(position.ticket) if position.tied else None
        for name in ("swap", "profit"):
            if found and found[name] != getattr(position, name):
                where = f"position {position.ticket}, {name}"
                wrong.append(compare(f"position {name}", getattr(position, name), found[name], where))
        if found and position.ticket in begun:
            charged = found["commission"]
            if position.commission not in (charged, charged + found["fee"]):
                where = f"position {position.ticket}, commission"
                wrong.append(compare("position commission", position.commission, charged, where))
    return wrong[:20] or [remark("positions", "exact", f"{len(closed)} closed positions", "")]


def _summary_checks(printed: dict[str, Decimal], rows: list[DealRow]) -> list[Check]:
    """Check balance, equity and results; the running balance holds credit, the printed Balance does not."""
    checks = []
    if {"Balance", "Credit", "Floating", "Equity"} <= printed.keys():
        equity = printed["Balance"] + printed["Credit"] + printed["Floating"]
        checks.append(compare("Equity", printed["Equity"], equity, "cell 'Equity'"))
        if rows:
            with_credit = printed["Balance"] + printed["Credit"]
            why = "rows after the report's period, or missing from it, lie between the last row and the balance"
            where = "cell 'Balance'"
            last = rows[-1].balance
            checks.append(compare("Balance", with_credit, last, where, explanation=why, explained=True))
    return checks + _result_checks(printed, rows)


def _result_checks(printed: dict[str, Decimal], rows: list[DealRow]) -> list[Check]:
    """Check the printed results against the trade deals."""
    trades = [row for row in rows if row.deal["kind"] == "trade"]
    closings = [row for row in trades if row.deal["entry"] != "in"]
    observed = {
        "Total Net Profit": sum((row.change for row in trades), Decimal(0)),
        "Total Trades": Decimal(len(closings)),
    }
    checks = [
        compare(name, printed[name], value, f"cell {name!r}") for name, value in observed.items() if name in printed
    ]
    if {"Total Net Profit", "Gross Profit", "Gross Loss"} <= printed.keys():
        gross = printed["Gross Profit"] + printed["Gross Loss"]
        checks.append(compare("Gross Profit and Loss", printed["Total Net Profit"], gross, "cell 'Gross Profit'"))
    return checks
