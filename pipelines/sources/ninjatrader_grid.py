"""NinjaTrader's grids saved as CSV: Trades (one row per entry and exit) or Executions, American or European.

The trade numbers of a grid begin anew with every export, so ids are made of what the row says. Times are the desktop's.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import NamedTuple

from pipelines.sources.kit.checks import compare
from pipelines.sources.kit.csv_table import Line, delimiter_of, has_columns, read_lines, rows_below
from pipelines.sources.kit.document import Document
from pipelines.sources.kit.fills import FLAT_NOTE, Fill, in_order, land_fills, money_of
from pipelines.sources.kit.ledger import Ledger, RoundTrip, less, side_of, stamp
from pipelines.sources.kit.refusals import refuse_several_accounts
from pipelines.sources.kit.statement import Ask, Check, RowProblem, SourceRefusal, Statement
from pipelines.sources.kit.values import (
    american,
    bare_amount,
    clock,
    clock_by,
    divided_by,
    european,
    is_clock,
    number,
    positive,
    tick_price,
    total,
)
from pipelines.sources.kit.zones import ServerClock, needed_clock
from pipelines.sources.symbols import instrument

NAME = "ninjatrader-grid"

_TRADES = ("Instrument", "Market pos.", "Entry price", "Exit price", "Entry time", "Exit time", "Profit")
_EXECUTIONS = ("Instrument", "Action", "Quantity", "Price", "Time", "ID", "E/X")
_FEES = ("clearing fee", "exchange fee", "ip fee", "nfa fee")
_CLOCKS = ("%H:%M:%S", "%I:%M:%S %p", "%H:%M", "%I:%M %p")
_DATE = re.compile(r"(\d{1,2})[/.\-](\d{1,2})[/.\-]\d{2,4}")
_EIGHTHS = re.compile(r"\d{1,6}['’]\d")
_TICKS = re.compile(r"\d{1,6}['’-]\d{1,2}\.?\d?")
_POSITION = re.compile(r"-|(\d{1,6}) ?([LS])")
_HEADER_LINES = 5


class Grid(NamedTuple):
    """The rows of a grid by lower-case title, and how it writes numbers and dates."""

    rows: list[Line]
    has_comma: bool
    is_day_first: bool | None

    def amount(self, row: Line, *names: str) -> str:
        """Return a money cell such as '-$ 45,50', '58,00 $' or '($200.00)' as plain decimal text."""
        printed = row.need(*names)
        try:
            return number(self._point(bare_amount(printed)), names[0])
        except RowProblem as problem:
            raise RowProblem(names[0], printed, "not an amount") from problem

    def price(self, row: Line, name: str) -> str:
        """Return a price as plain decimal text; behind an apostrophe may be thirty-seconds, eighths or thousands."""
        text, known = row.need(name), instrument(row.get("instrument"))
        if _EIGHTHS.fullmatch(text) or (known and known.is_in_thirty_seconds and _TICKS.fullmatch(text)):
            return tick_price(text, name)
        return number(self._point(text), name)

    def volume(self, row: Line, *names: str) -> str:
        """Return a size in contracts or lots; currencies are counted in units."""
        column = next((name for name in names if row.get(name)), names[0])
        units = positive(number(self._point(row.need(column)), column), column)
        known = instrument(row.get("instrument"))
        return f"{Decimal(units) / known.units:f}" if known and known.units and known.asset_class == "fx" else units

    def _point(self, text: str) -> str:
        """Return a number with a decimal point and without thousands."""
        return european(text) if self.has_comma else american(text)

    def time(self, row: Line, name: str) -> datetime:
        """Return a time of the desktop."""
        text = row.need(name)
        if is_clock(text):
            return clock(text, name)
        if self.is_day_first is None:
            raise RowProblem(name, text, "day and month may stand either way: set the desktop's dates to year first")
        date = "%d/%m/%Y" if self.is_day_first else "%m/%d/%Y"
        told = re.sub(r"(?<=\d)[.\-](?=\d+[.\-/]\d|\d{4}\b)", "/", text.upper().replace("\u202f", " "))
        return clock_by(told, name, *(f"{date} {clock}" for clock in _CLOCKS))

    def cost(self, row: Line, *names: str) -> str | None:
        """Return a cost, printed positive, as our deals sign it; None where the grid has no such column."""
        told = [self.amount(row, name) for name in names if row.get(name)]
        paid = abs(total(list(told)))
        return (f"{-paid:f}" if paid else "0") if told else None


def recognise(document: Document) -> bool:
    """Tell a grid by its columns; a title line may stand above them."""
    if document.is_zip or document.is_html:
        return False
    return any(_kind(line) for line in document.text[:20_000].splitlines()[:_HEADER_LINES])


def _kind(header: str) -> str | None:
    """Return trades or executions for a header line."""
    if has_columns(header, *_TRADES):
        return "trades"
    return "executions" if has_columns(header, *_EXECUTIONS) else None


def read(document: Document, ask: Ask) -> Statement:
    """Read a grid of one account: trades land as they are paired, executions first in, first out.

    Whether Profit is before or after costs differs by how the grid was set up; it is told by what the contracts are
    worth, and is after costs where no contract is known. Needs the zone of the desktop.
    """
    kind, grid = _grid(document)
    login = refuse_several_accounts(document.name, (row.get("account") for row in grid.rows))
    ledger = Ledger(NAME, ask, needed_clock(ask.server_zone, NAME))
    ledger.facts |= {"login": login}
    if kind == "executions":
        fills = [ledger.take("executions", row.line, partial(_fill, grid, row, money_of(ask))) for row in grid.rows]
        placed = _placed(fills)
        land_fills(ledger, placed)
        ledger.checks += _position_checks(placed, {row.get("id"): row.get("position") for row in grid.rows})
        return ledger.close(money_of(ask))
    seen: Counter[str] = Counter()
    trips = [ledger.take("trades", row.line, partial(_trip, ledger.clock, grid, row, seen)) for row in grid.rows]
    _refuse_points([trip for trip in trips if trip], document.name)
    is_net = _is_net([trip for trip in trips if trip])
    ledger.facts["profit"] = "after costs" if is_net else "before costs"
    for trip in trips:
        if trip:
            profit = less(trip.profit, trip.commission, trip.fee) if is_net else trip.profit
            replace(trip, profit=profit).land(ledger)
    return ledger.close(None)


def _grid(document: Document) -> tuple[str, Grid]:
    """Return the kind of grid, and its rows below the header."""
    header = next((line for line in document.text.splitlines()[:_HEADER_LINES] if _kind(line)), "")
    lines = read_lines(document.text, document.name, delimiter_of(header))
    start = next((place for place, cells in enumerate(lines) if "instrument" in {c.strip().lower() for c in cells}), 0)
    rows = [row.in_lower_case() for row in rows_below(lines, start)]
    has_comma = delimiter_of(header) != "," and _decimal_mark(rows, document.name) == ","
    return _kind(header) or "trades", Grid(rows, has_comma, _is_day_first(rows, has_comma))


def _decimal_mark(rows: list[Line], name: str) -> str:
    """Return the grid's decimal mark."""
    return divided_by([bare_amount(cell) for row in rows for cell in row.cells.values()], name)


def _is_day_first(rows: list[Line], has_comma: bool) -> bool | None:
    """Tell the order of day and month: by a number above twelve, else European grids have the day first.

    Other grids have the month first where the clock has twelve hours, unless only the second number is padded as in
    Australia (6/01/2026). With twenty-four hours nobody can tell, and it is None.
    """
    dates = [
        match for row in rows for name in ("entry time", "exit time", "time") if (match := _DATE.match(row.get(name)))
    ]
    if any(int(date[1]) > 12 for date in dates):
        return True
    if has_comma or any(int(date[2]) > 12 for date in dates):
        return not any(int(date[2]) > 12 for date in dates)
    if any(len(date[1]) == 1 and date[2].startswith("0") for date in dates):
        return True
    return False if all(re.search("[AP]M", date.string.upper()) for date in dates) else None


def _trip(clock_of_desktop: ServerClock, grid: Grid, row: Line, seen: Counter[str]) -> RoundTrip:
    """Read one trade, its profit as printed."""
    opened = grid.time(row, "entry time")
    closed = clock_of_desktop.closing(opened, grid.time(row, "exit time"))
    if closed is None:
        raise RowProblem("exit time", row.get("exit time"), "before the entry")
    side, symbol = side_of(row.need("market pos."), "market pos."), row.need("instrument")
    price = grid.price(row, "entry price")
    position = f"{symbol.replace(' ', '')}-{side}-{stamp(opened)}-{price}"
    key = f"{position}-{stamp(closed)}"
    seen[key] += 1
    key = key if seen[key] == 1 else f"{key}-{seen[key]}"
    return RoundTrip(
        in_id=f"{key}-in",
        out_id=f"{key}-out",
        position_id=position,
        side=side,
        symbol=symbol,
        volume=grid.volume(row, "qty", "quantity"),
        opened_at=opened,
        open_price=price,
        closed_at=closed,
        close_price=grid.price(row, "exit price"),
        profit=grid.amount(row, "profit"),
        commission=grid.cost(row, "commission"),
        fee=grid.cost(row, *_FEES),
        reason=_reason(row.get("exit name")),
        comment=row.get("strategy") or row.get("entry name") or None,
    )


def _reason(name: str) -> str | None:
    """Return sl or tp where the exit's name says so."""
    low = name.lower()
    return "sl" if low.startswith("stop") else "tp" if low.startswith(("target", "profit target")) else None


def _refuse_points(trips: list[RoundTrip], name: str) -> None:
    """Refuse a grid whose Profit is set to points or ticks: more results of known contracts say so than are money."""
    points_or_money: Counter[bool] = Counter()
    for trip in trips:
        known = instrument(trip.symbol)
        points = abs(Decimal(trip.close_price) - Decimal(trip.open_price))
        if known and known.units and points:
            money = points * Decimal(trip.volume) * known.units
            profit, costs = abs(Decimal(trip.profit)), abs(total([trip.commission, trip.fee]))
            sizes = (points, points * Decimal(trip.volume))
            is_points = profit in {size / pip for size in sizes for pip in (1, known.pip)}
            points_or_money[is_points and abs(profit - money) > costs] += 1
    if points_or_money[True] > points_or_money[False]:
        raise SourceRefusal(
            f"{name} has its Profit in points or ticks: set the grid to show it in currency, export again"
        )


def _is_net(trips: list[RoundTrip]) -> bool:
    """Tell whether Profit is after costs: more known contracts with costs say so than say the contrary."""
    votes: Counter[bool] = Counter()
    for trip in trips:
        costs = total([trip.commission, trip.fee])
        known = instrument(trip.symbol)
        if costs and known and known.units:
            points = (Decimal(trip.close_price) - Decimal(trip.open_price)) * (1 if trip.side == "buy" else -1)
            worth = points * known.units * Decimal(trip.volume)
            votes[abs(Decimal(trip.profit) - worth - costs) < abs(Decimal(trip.profit) - worth)] += 1
    return votes[True] >= votes[False]


def _placed(fills: Sequence[Fill | None]) -> list[Fill]:
    """Return the fills with their places in time: a grid is sorted either way, and its ids tell nothing."""
    found = [fill for fill in fills if fill]
    step = -1 if found and found[0].at > found[-1].at else 1
    return [replace(fill, place=step * place) for place, fill in enumerate(found)]


def _position_checks(fills: list[Fill], printed: dict[str, str]) -> list[Check]:
    """Hold the position printed beside each execution against the fills up to it; the first that differs is named.

    It differs from the start where the grid begins within a position. Currencies are left out: their sizes are units.
    """
    held: dict[str, Decimal] = defaultdict(Decimal)
    for fill in sorted(set(fills), key=in_order):
        held[fill.symbol] += fill.volume if fill.side == "buy" else -fill.volume
        told = _POSITION.fullmatch(printed[fill.fill_id])
        known = instrument(fill.symbol)
        if told is None or (known and known.asset_class == "fx"):
            continue
        size = Decimal(told[1] or 0) * (-1 if told[2] == "S" else 1)
        if size != held[fill.symbol]:
            why = f"{FLAT_NOTE}: export from a time when the account was flat"
            return [compare("position", size, held[fill.symbol], f"execution {fill.fill_id}", explanation=why)]
    return []


def _fill(grid: Grid, row: Line, currency: str) -> Fill:
    """Read one execution."""
    paid = grid.cost(row, "commission")
    return Fill(
        fill_id=row.need("id"),
        at=grid.time(row, "time"),
        side=side_of(row.need("action"), "action"),
        symbol=row.need("instrument"),
        volume=Decimal(grid.volume(row, "quantity")),
        price=Decimal(grid.price(row, "price")),
        commission=None if paid is None else Decimal(paid),
    ).priced(currency)
