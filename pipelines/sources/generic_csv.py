"""Any delimited file with one row per closed trade or per deal, described by a mapping (TOML)."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

from models.toml_files import TomlRefused, parsed
from pipelines.sources.kit.csv_table import (
    CUT_OFF,
    Line,
    delimiter_of,
    header_names,
    read_lines,
    rows_below,
)
from pipelines.sources.kit.document import Document
from pipelines.sources.kit.ledger import Ledger, RoundTrip, less, side_of, stamp
from pipelines.sources.kit.money_rows import classify
from pipelines.sources.kit.refusals import refuse_several_accounts
from pipelines.sources.kit.statement import Ask, RowProblem, SourceRefusal, Statement
from pipelines.sources.kit.values import (
    american,
    bare_amount,
    clock_by,
    level,
    moment,
    number,
    positive,
    unix_clock,
    with_commas,
)
from pipelines.sources.kit.zones import needed_clock, server_clock

NAME = "generic-csv"

_TRADE = {"side", "symbol", "volume", "opened_at", "open_price", "closed_at", "close_price", "profit"}
_DEAL = {"deal_id", "executed_at", "profit"}
_OPTIONAL = {"position_id", "commission", "swap", "fee", "stop_loss", "take_profit", "reason", "comment", "magic"}
_OPTIONAL |= {"account", "currency"}
_OF_DEALS = {"kind", "entry", "side", "symbol", "volume", "price"}
_MONEY = {"profit", "commission", "swap", "fee"}
_NUMBERS = _MONEY | {"volume", "open_price", "close_price", "price", "stop_loss", "take_profit"}
_TIMES = {"opened_at", "closed_at", "executed_at"}
_ENTRIES = {
    **dict.fromkeys(("in", "open", "opening", "entry"), "in"),
    **dict.fromkeys(("out", "close", "closing", "exit"), "out"),
    "in/out": "inout",
    "inout": "inout",
    "out by": "out_by",
}
_SIGNS = ("negative", "positive")
_WORDS = {
    "row": ("trade", "deal"),
    "decimal": (".", ","),
    "profit": ("gross", "net"),
    "costs": _SIGNS,
    "swap": _SIGNS,
}
_SETTINGS = {"delimiter", "time_format", "time_zone", "currency", "buy", "sell", *_WORDS}
_EPOCHS = {"unix": 1_000_000, "unix_ms": 1_000}
_HEADER_LINES = 20


class Mapping:
    """What a mapping file says: the columns' names, and how the file writes numbers, times, sides and costs."""

    def __init__(self, text: str) -> None:
        """Read a mapping; an unknown word in it or a missing column is refused by name."""
        try:
            written = parsed(text)
        except TomlRefused as error:
            raise SourceRefusal(f"the mapping is {error}") from error
        self.columns = _columns(written.pop("columns", None))
        self.settings = _strings(written.pop("file", {}), "file")
        if written or not self.settings.keys() <= _SETTINGS:
            unknown = sorted(set(written) | (self.settings.keys() - _SETTINGS))
            raise SourceRefusal(f"the mapping says {', '.join(unknown)}, which has no meaning in a mapping")
        self.row = self.settings.get("row", "trade")
        self.has_offsets = False
        self._check()

    def _check(self) -> None:
        """Refuse a word with no meaning, and a mapping that lacks a column or names one that its rows do not have."""
        for name, meant in _WORDS.items():
            if self.settings.get(name, meant[0]) not in meant:
                raise SourceRefusal(f"the mapping's {name} is {self.settings[name]!r}: it must be {' or '.join(meant)}")
        if "%Z" in self.settings.get("time_format", ""):
            raise SourceRefusal(
                "the mapping's time_format has %Z: names of zones mean several, say time_zone or use %z"
            )
        if ("buy" in self.settings) != ("sell" in self.settings):
            raise SourceRefusal("the mapping names the word of one side: name both, buy and sell")
        needed = _TRADE if self.row == "trade" else _DEAL
        missing = sorted(needed - self.columns.keys())
        known = needed | _OPTIONAL | (_OF_DEALS if self.row == "deal" else {"ticket"})
        extra = sorted(self.columns.keys() - known)
        if missing or extra:
            words = f"lacks {', '.join(missing)}" if missing else f"names {', '.join(extra)}, which rows do not have"
            raise SourceRefusal(f"the mapping's columns for rows of kind {self.row} {words}")

    @property
    def titles(self) -> set[str]:
        """The titles of all columns that the mapping names."""
        return {title for titles in self.columns.values() for title in titles}

    def title(self, name: str) -> str:
        """Return the file's title for one of our names."""
        return " + ".join(self.columns.get(name, [name]))

    def text(self, row: Line, name: str) -> str:
        """Return a cell by our name for its column; of numbers the decimal comma and signs of currencies are undone."""
        cell = " ".join(filter(None, map(row.get, self.columns.get(name, []))))
        if name not in _NUMBERS:
            return cell
        marked = {",": with_commas, ".": american}.get(self.settings.get("decimal", ""), str)
        return marked(bare_amount(cell) if name in _MONEY else cell)

    def need(self, row: Line, name: str) -> str:
        """Return the same, or raise RowProblem when it is blank."""
        text = self.text(row, name)
        if not text:
            raise RowProblem(self.title(name), text, "is blank")
        return text

    def moment(self, row: Line, name: str) -> datetime:
        """Return a time as it is written, by the mapping's pattern or by the plain ones, aware if it has an offset."""
        text, pattern = self.text(row, name), self.settings.get("time_format")
        if pattern in _EPOCHS:
            return unix_clock(text, self.title(name), _EPOCHS[pattern])
        return clock_by(text, self.title(name), pattern) if pattern else moment(text, self.title(name))

    def time(self, row: Line, name: str) -> datetime:
        """Return a reading of the file's clock, which is that of UTC where its times have offsets."""
        found = self.moment(row, name)
        if (found.tzinfo is not None) != self.has_offsets:
            why = "no offset, though other times have one" if self.has_offsets else "an offset, though others have none"
            raise RowProblem(self.title(name), self.text(row, name), why)
        return found.astimezone(UTC).replace(tzinfo=None) if self.has_offsets else found

    def side(self, row: Line) -> str:
        """Return buy or sell: by the mapping's words, the platforms' words, or the sign of the volume named as side."""
        text, title = self.need(row, "side"), self.title("side")
        if self.columns["side"] == self.columns.get("volume"):
            return "sell" if number(self.text(row, "volume"), title).startswith("-") else "buy"
        words = {self.settings[side].lower(): side for side in ("buy", "sell") if side in self.settings}
        if words and text.lower() not in words:
            raise RowProblem(title, text, f"neither {' nor '.join(words)}, which the mapping names")
        return words[text.lower()] if words else side_of(text, title)

    def volume(self, row: Line, side: str) -> str:
        """Return a size; what is sold may have a minus."""
        text = number(self.need(row, "volume"), self.title("volume"))
        return positive(text.removeprefix("-") if side == "sell" else text, self.title("volume"))

    def price(self, row: Line, name: str) -> str:
        """Return a price."""
        return number(self.need(row, name), self.title(name))

    def cost(self, row: Line, name: str) -> str | None:
        """Return a cost as our deals sign it, None where the file has no such column."""
        if name not in self.columns:
            return None
        value = number(self.text(row, name) or "0", self.title(name))
        signs = self.settings.get("costs", "negative")
        signs = self.settings.get("swap", signs) if name == "swap" else signs
        if signs == "negative" or not value.strip("-0."):
            return value
        return value[1:] if value.startswith("-") else f"-{value}"

    def profit(self, row: Line, *costs: str | None) -> str:
        """Return the gross profit; a net one is given back its costs."""
        value = number(self.need(row, "profit"), self.title("profit"))
        return less(value, *costs) if self.settings.get("profit") == "net" else value


def _columns(table: Any) -> dict[str, list[str]]:
    """Return the titles by our names; a time may stand in two columns, the day's and the clock's."""
    named = table if isinstance(table, dict) else {}
    parts = {name: titles for name, titles in named.items() if name in _TIMES and isinstance(titles, list) and titles}
    for name, titles in parts.items():
        _strings(dict(enumerate(titles)), f"columns.{name}")
    rest = {name: title for name, title in named.items() if name not in parts}
    whole = _strings(rest if isinstance(table, dict) else table, "columns")
    return {name: [title] for name, title in whole.items()} | parts


def _strings(table: Any, name: str) -> dict[Any, str]:
    """Return a table of texts, or refuse the mapping."""
    if not isinstance(table, dict) or not all(isinstance(value, str) for value in table.values()):
        raise SourceRefusal(f"the mapping needs a table [{name}] of texts in quotes")
    return table


def recognise(document: Document) -> bool:
    """Recognise nothing: this reader is always asked for by name or by a mapping."""
    return False


def read(document: Document, ask: Ask) -> Statement:
    """Read a file by the mapping: rows of closed trades become an in and an out deal, rows of deals stay what they are.

    The zone is that of the times' offsets, else the mapping's ``time_zone`` or the server's zone.
    """
    if ask.mapping is None:
        raise SourceRefusal("generic-csv needs a mapping (TOML) that names the file's columns")
    mapping = Mapping(ask.mapping)
    rows = _rows(document, mapping)
    mapping.has_offsets = any(_has_offset(mapping, row) for row in rows)
    zone = mapping.settings.get("time_zone") or ask.server_zone
    ledger = Ledger(NAME, ask, server_clock("UTC") if mapping.has_offsets else needed_clock(zone, NAME))
    login = refuse_several_accounts(document.name, (mapping.text(row, "account") for row in rows))
    told = {mapping.text(row, "currency").upper() for row in rows} - {""}
    currencies = sorted(currency for currency in told if not currency.endswith(CUT_OFF))
    if len(currencies) > 1:
        raise SourceRefusal(f"{document.name} has amounts in {', '.join(currencies)}: an account has one currency")
    seen: Counter[str] = Counter()
    land: Callable[[Line], None] = (
        partial(_trade, ledger, mapping, seen) if mapping.row == "trade" else partial(_deal, ledger, mapping)
    )
    for row in rows:
        ledger.take(f"{mapping.row}s", row.line, partial(land, row))
    ledger.facts |= {"login": login}
    return ledger.close(currencies[0] if currencies else mapping.settings.get("currency"))


def _rows(document: Document, mapping: Mapping) -> list[Line]:
    """Return the rows below the line that has the mapping's titles; a file without one is refused."""
    if document.is_zip or document.is_html:
        raise SourceRefusal(f"{document.name} is a workbook or a page: a mapping reads delimited text, save it as CSV")
    heads = [line for line in document.text.splitlines()[:_HEADER_LINES] if line.strip()]
    head = next((line for line in heads if mapping.titles <= _titles(line)), document.first_line)
    lines = read_lines(document.text, document.name, mapping.settings.get("delimiter") or delimiter_of(head))
    filled = [place for place, cells in enumerate(lines[:_HEADER_LINES]) if cells]
    fitting = (place for place in filled if mapping.titles <= set(header_names(lines[place])))
    start = next(fitting, filled[0] if filled else 0)
    absent = sorted(mapping.titles - set(header_names(lines[start] if lines else [])))
    if absent:
        raise SourceRefusal(f"{document.name} has no column {', '.join(absent)}, which the mapping names")
    return rows_below(lines, start)


def _titles(line: str) -> set[str]:
    """Return the names that a line would give to columns."""
    return set(header_names(next(iter(read_lines(line, "the line")), [])))


def _has_offset(mapping: Mapping, row: Line) -> bool:
    """Tell whether a row's times are written with an offset."""
    try:
        return mapping.moment(row, "opened_at" if mapping.row == "trade" else "executed_at").tzinfo is not None
    except RowProblem:
        return False


def _trade(ledger: Ledger, mapping: Mapping, seen: Counter[str], row: Line) -> None:
    """Land one closed trade; without a number of its own it is named by what it says, and alike ones are counted."""
    side, symbol = mapping.side(row), mapping.need(row, "symbol")
    opened_at, closed_at = mapping.time(row, "opened_at"), mapping.time(row, "closed_at")
    if "ticket" in mapping.columns:
        ticket = mapping.need(row, "ticket")
    else:
        ticket = f"{symbol.replace(' ', '')}-{side}-{stamp(opened_at)}-{stamp(closed_at)}"
        seen[ticket] += 1
        ticket = ticket if seen[ticket] == 1 else f"{ticket}-{seen[ticket]}"
    costs = [mapping.cost(row, name) for name in ("commission", "swap", "fee")]
    numbers = ("0", "1") if ticket.isascii() and ticket.isdigit() else ("-in", "-out")
    RoundTrip(
        in_id=ticket + numbers[0],
        out_id=ticket + numbers[1],
        position_id=mapping.text(row, "position_id") or ticket,
        side=side,
        symbol=symbol,
        volume=mapping.volume(row, side),
        opened_at=opened_at,
        open_price=mapping.price(row, "open_price"),
        closed_at=closed_at,
        close_price=mapping.price(row, "close_price"),
        profit=mapping.profit(row, *costs),
        commission=costs[0],
        swap=costs[1],
        fee=costs[2],
        stop_loss=level(mapping.text(row, "stop_loss"), "stop_loss"),
        take_profit=level(mapping.text(row, "take_profit"), "take_profit"),
        comment=mapping.text(row, "comment") or None,
    ).land(ledger)


def _deal(ledger: Ledger, mapping: Mapping, row: Line) -> None:
    """Land one deal; a row whose kind is no trade is a money row."""
    deal_id, at = mapping.need(row, "deal_id"), mapping.time(row, "executed_at")
    costs = {name: mapping.cost(row, name) for name in ("commission", "swap", "fee")}
    profit = mapping.profit(row, *costs.values())
    kind = mapping.text(row, "kind").lower() or "trade"
    if kind not in ("trade", "buy", "sell"):
        _money(ledger, mapping, row, profit)
        return
    entry = _ENTRIES.get(mapping.text(row, "entry").lower())
    if entry is None and "entry" in mapping.columns:
        raise RowProblem(mapping.title("entry"), mapping.text(row, "entry"), "neither in nor out")
    side = mapping.side(row)
    ledger.trade(
        deal_id,
        at,
        position_id=mapping.text(row, "position_id") or None,
        entry=entry,
        side=side,
        symbol=mapping.need(row, "symbol"),
        volume=mapping.volume(row, side),
        price=mapping.price(row, "price"),
        profit=profit,
        stop_loss=level(mapping.text(row, "stop_loss"), "stop_loss"),
        take_profit=level(mapping.text(row, "take_profit"), "take_profit"),
        magic=mapping.text(row, "magic") or None,
        comment=mapping.text(row, "comment") or None,
        **costs,
    )


def _money(ledger: Ledger, mapping: Mapping, row: Line, amount: str) -> None:
    """Land a money row; one that trades, or takes out more than nothing, is not what its kind says."""
    kind = mapping.text(row, "kind")
    if mapping.text(row, "symbol") and mapping.text(row, "volume").strip("-0."):
        raise RowProblem(mapping.title("kind"), kind, "neither trade, buy nor sell, though it has a symbol and a size")
    if kind.lower().startswith(("withdraw", "payout")) and not amount.startswith("-"):
        raise RowProblem(mapping.title("profit"), amount, f"not below zero, though its kind is {kind}")
    comment = mapping.text(row, "comment") or kind.lower()
    ledger.money(
        mapping.need(row, "deal_id"), mapping.time(row, "executed_at"), amount, comment, classify(kind, comment, amount)
    )
