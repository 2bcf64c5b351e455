"""What terms may call an instrument: its name, an alias of it, a symbol as it is delivered, or its asset class."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import duckdb

CLASSES = {
    "FOREX": "FX",
    "CURRENCIES": "FX",
    "METALS": "METAL",
    "INDICES": "INDEX",
    "INDEXES": "INDEX",
    "ENERGIES": "ENERGY",
    "COMMODITIES": "COMMODITY",
    "CRYPTOS": "CRYPTO",
    "CRYPTOCURRENCY": "CRYPTO",
    "CRYPTOCURRENCIES": "CRYPTO",
    "FUTURES": "FUTURE",
}
"""Asset classes by the words that plans use for them."""


ASSET_CLASSES = {"FX", "METAL", "INDEX", "ENERGY", "COMMODITY", "CRYPTO", "FUTURE"}
NAMING = {
    "max_lots": ("symbols",),
    "max_exposure": ("micros",),
    "weekend": ("exempt",),
    "overnight": ("exempt",),
    "symbols": ("allowed", "prohibited"),
    "hedging": ("together", "opposed"),
    "margin": ("symbols", "leverages", "caps"),
}
"""Fields of rules that name instruments, in lists, pairs or the rows of a table."""


def named_in(terms: Mapping[str, Mapping[str, Any]]) -> set[tuple[str, str]]:
    """Every word by which rules of a stage name an instrument or a class, with the rule."""
    return {
        (rule, word)
        for rule, fields in NAMING.items()
        for field in fields
        for word in _words(terms.get(rule, {}).get(field))
    }


def _words(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for one in value:
            yield from _words(one)
    elif isinstance(value, Mapping):
        yield from _words([value.get("symbol") or [], value.get("symbols") or []])


def aliases(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """The reference names of instruments by their aliases, as `terms.instrument_aliases` holds them."""
    return dict(connection.execute("select alias, instrument from terms.instrument_aliases").fetchall())


def joined(word: str) -> str:
    """A word in capitals, without what separates its parts."""
    return word.strip().upper().replace("/", "").replace(" ", "")


def meant_by(word: str, known: dict[str, str]) -> set[str]:
    """Every name by which what a plan calls `word` may be found, in capitals."""
    said = joined(word)
    return {word.strip().upper(), said, known.get(said, said), CLASSES.get(said, said)}


def meant_by_all(words: Iterable[str], known: dict[str, str]) -> set[str]:
    """The names of several words."""
    return {name for word in words for name in meant_by(word, known)}
