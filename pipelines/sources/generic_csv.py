"""Any delimited file with one row per closed trade or per deal, described by a mapping (TOML)."""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

from models.toml_files import TomlRefused, parsed
from pipelines.sources.kit.csv_table import Line, whole_table
from pipelines.sources.kit.document import Document
from pipelines.sources.kit.ledger import Ledger, RoundTrip, less, side_of
from pipelines.sources.kit.money_rows import classify
from pipelines.sources.kit.statement import Ask, RowProblem, SourceRefusal, Statement
from pipelines.sources.kit.values import clock, clock_by, level, number, positive, with_commas
from pipelines.sources.kit.zones import needed_clock

NAME = "generic-csv"

_TRADE = {"ticket", "side", "symbol", "volume", "opened_at", "open_price", "closed_at", "close_price", "profit"}
_DEAL = {"deal_id", "executed_at", "profit"}
_OPTIONAL = {"position_id", "commission", "swap", "fee", "stop_loss", "take_profit", "reason", "comment", "magic"}
_OF_DEALS = {"kind", "entry", "side", "symbol", "volume", "price"}
_NUMBERS = {"volume", "open_price", "close_price", "price", "profit", "commission", "swap", "fee"}
_NUMBERS |= {"stop_loss", "take_profit"}
_ENTRIES = {
    "in": "in",
    "open": "in",
    "out": "out",
    "close": "out",
    "in/out": "inout",
    "inout": "inout",
    "out by": "out_by",
}
_SETTINGS = {"row", "delimiter", "decimal", "time_format", "time_zone", "profit", "costs", "currency"}


class Mapping:
    """What a mapping file says: the columns' names, and how the file writes numbers, times and costs."""

    def __init__(self, text: str) -> None:
        """Read a mapping; an unknown word in it or a missing column is refused by name."""
        try:
            written = parsed(text)
        except TomlRefused as error:
            raise SourceRefusal(f"the mapping is {error}") from error
        self.columns = _strings(written.pop("columns", None), "columns")
        self.settings = _strings(written.pop("file", {}), "file")
        if written or not self.settings.keys() <= _SETTINGS:
            unknown = sorted(set(written) | (self.settings.keys() - _SETTINGS))
            raise SourceRefusal(f"the mapping says {', '.join(unknown)}, which has no meaning in a mapping")
        self.row = self.settings.get("row", "trade")
        self._check()

    def _check(self) -> None:
        """Refuse a mapping that lacks a column or names one that rows of its kind do not have."""
        if self.row not in ("trade", "deal"):
            raise SourceRefusal(f"the mapping's row is {self.row!r}: it must be trade or deal")
        needed = _TRADE if self.row == "trade" else _DEAL
        missing = sorted(needed - self.columns.keys())
        known = needed | _OPTIONAL | (_OF_DEALS if self.row == "deal" else set())
        extra = sorted(self.columns.keys() - known)
        if missing or extra:
            words = f"lacks {', '.join(missing)}" if missing else f"names {', '.join(extra)}, which rows do not have"
            raise SourceRefusal(f"the mapping's columns for rows of kind {self.row} {words}")

    def text(self, row: Line, name: str) -> str:
        """Return a cell by our name for its column, decimal comma of numbers undone."""
        cell = row.get(self.columns[name]) if name in self.columns else ""
        return with_commas(cell) if name in _NUMBERS and self.settings.get("decimal") == "," else cell

    def need(self, row: Line, name: str) -> str:
        """Return the same, or raise RowProblem when it is blank."""
        text = self.text(row, name)
        if not text:
            raise RowProblem(self.columns.get(name, name), text, "is blank")
        return text

    def time(self, row: Line, name: str) -> datetime:
        """Return a time by the mapping's pattern, or by the plain ones without."""
        text, pattern = row.get(self.columns[name]), self.settings.get("time_format")
        return clock_by(text, self.columns[name], pattern) if pattern else clock(text, self.columns[name])

    def cost(self, row: Line, name: str) -> str | None:
        """Return a cost as our deals sign it, None where the file has no such column."""
        if name not in self.columns:
            return None
        value = number(self.text(row, name) or "0", self.columns[name])
        if self.settings.get("costs") != "positive" or not value.strip("-0."):
            return value
        return value[1:] if value.startswith("-") else f"-{value}"

    def profit(self, row: Line, *costs: str | None) -> str:
        """Return the gross profit; a net one is given back its costs."""
        value = number(self.need(row, "profit"), self.columns["profit"])
        return less(value, *costs) if self.settings.get("profit") == "net" else value


def _strings(table: Any, name: str) -> dict[str, str]:
    """Return a table of texts, or refuse the mapping."""
    if not isinstance(table, dict) or not all(isinstance(value, str) for value in table.values()):
        raise SourceRefusal(f"the mapping needs a table [{name}] of texts in quotes")
    return table


def recognise(document: Document) -> bool:
    """Recognise nothing: this reader is always asked for by name or by a mapping."""
    return False


def read(document: Document, ask: Ask) -> Statement:
    """Read a file by the mapping: rows of closed trades become an in and an out deal, rows of deals stay what they are.

    The zone is the mapping's ``time_zone`` or the server's zone.
    """
    if ask.mapping is None:
        raise SourceRefusal("generic-csv needs a mapping (TOML) that names the file's columns")
    mapping = Mapping(ask.mapping)
    ledger = Ledger(NAME, ask, needed_clock(mapping.settings.get("time_zone") or ask.server_zone, NAME))
    rows = whole_table(document.text, document.name, mapping.settings.get("delimiter"))
    absent = sorted(set(mapping.columns.values()) - set(rows[0].cells)) if rows else []
    if absent:
        raise SourceRefusal(f"{document.name} has no column {', '.join(absent)}, which the mapping names")
    land: Callable[[Ledger, Mapping, Line], None] = _trade if mapping.row == "trade" else _deal
    for row in rows:
        ledger.take(f"{mapping.row}s", row.line, partial(land, ledger, mapping, row))
    ledger.facts |= {"login": None}
    return ledger.close(mapping.settings.get("currency"))


def _trade(ledger: Ledger, mapping: Mapping, row: Line) -> None:
    """Land one closed trade."""
    ticket = mapping.need(row, "ticket")
    costs = [mapping.cost(row, name) for name in ("commission", "swap", "fee")]
    numbers = ("0", "1") if ticket.isascii() and ticket.isdigit() else ("-in", "-out")
    RoundTrip(
        in_id=ticket + numbers[0],
        out_id=ticket + numbers[1],
        position_id=mapping.text(row, "position_id") or ticket,
        side=side_of(mapping.need(row, "side"), mapping.columns["side"]),
        symbol=mapping.need(row, "symbol"),
        volume=positive(mapping.need(row, "volume"), mapping.columns["volume"]),
        opened_at=mapping.time(row, "opened_at"),
        open_price=number(mapping.need(row, "open_price"), mapping.columns["open_price"]),
        closed_at=mapping.time(row, "closed_at"),
        close_price=number(mapping.need(row, "close_price"), mapping.columns["close_price"]),
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
        comment = mapping.text(row, "comment") or kind
        ledger.money(deal_id, at, profit, comment, classify(kind, comment, profit))
        return
    entry = _ENTRIES.get(mapping.text(row, "entry").lower())
    if entry is None and "entry" in mapping.columns:
        raise RowProblem(mapping.columns["entry"], mapping.text(row, "entry"), "neither in nor out")
    ledger.trade(
        deal_id,
        at,
        position_id=mapping.text(row, "position_id") or None,
        entry=entry,
        side=side_of(mapping.need(row, "side"), "side"),
        symbol=mapping.need(row, "symbol"),
        volume=positive(mapping.need(row, "volume"), "volume"),
        price=number(mapping.need(row, "price"), "price"),
        profit=profit,
        stop_loss=level(mapping.text(row, "stop_loss"), "stop_loss"),
        take_profit=level(mapping.text(row, "take_profit"), "take_profit"),
        magic=mapping.text(row, "magic") or None,
        comment=mapping.text(row, "comment") or None,
        **costs,
    )
