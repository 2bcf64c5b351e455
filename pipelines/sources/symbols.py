"""The reference table of instruments: what a delivered symbol is, or that it is unknown. Nothing is guessed."""

import re
import tomllib
from dataclasses import dataclass
from decimal import Decimal
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

_TABLE = Path(__file__).with_name("symbols.toml")
_MONTHLY = re.compile(r"([A-Z0-9]{1,4}?)[FGHJKMNQUVXZ](?:\d{1,2}|20\d\d)")
_NAMED_MONTH = "(?:JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC)"
_EXPIRING = re.compile(rf"([A-Z0-9]{{1,4}})[ -](?:\d\d-\d\d|20\d\d(?:0[1-9]|1[0-2])|{_NAMED_MONTH} ?(?:20)?\d\d)")
# A root without a month is a future's only where the writing says so.
_MARKED = re.compile(r"[/@]([A-Z0-9]{1,5})#?|([A-Z0-9]{1,5})(?:=F|\.[CNV]\.\d|[12]!)")
_VENDOR = re.compile(r"(?:CON\.)?F\.US\.([A-Z0-9]{1,5}?)(?:\.?[FGHJKMNQUVXZ]\d{1,2})?")
# `F.US.EU6` names a root whose end looks like a month.
_VENDOR_ROOT = re.compile(r"(?:CON\.)?F\.US\.([A-Z0-9]{1,5})")
_EXCHANGE = re.compile(r"[A-Z_]+:([^:]{3,})|(/[^:]+):[A-Z]+")
_CLASSES = {"metals": "metal", "indices": "index", "energies": "energy", "commodities": "commodity"}


@dataclass(frozen=True)
class Instrument:
    """One instrument: asset class, units per lot (None where it differs by broker), pip, and quote currency.

    For futures the name is the root (ES) and ``units`` the money value of one whole point of one contract.
    """

    name: str
    asset_class: str
    units: Decimal | None
    pip: Decimal
    quote: str

    @property
    def is_in_thirty_seconds(self) -> bool:
        """Whether the exchange counts its price in thirty-seconds of a point, as for Treasury futures."""
        return self.asset_class == "future" and 1 / self.pip in (32, 64, 128, 256)


@cache
def _reference() -> dict[str, Any]:
    """The table as written."""
    return tomllib.loads(_TABLE.read_text(encoding="utf-8"), parse_float=Decimal)


def _entry(name: str, asset: str, row: dict[str, Any]) -> Instrument:
    """Return the instrument of one written row."""
    units = Decimal(row["units"]) if "units" in row else None
    return Instrument(name, asset, units, Decimal(row["pip"]), row["quote"])


@cache
def _listed() -> dict[str, Instrument]:
    """Every listed instrument but futures, by its name and its aliases."""
    found: dict[str, Instrument] = {}
    for table, asset in _CLASSES.items():
        for name, row in _reference()[table].items():
            for alias in [name, *row["aliases"]]:
                found[alias] = _entry(name, asset, row)
    return found


def _currency_pair(text: str) -> Instrument | None:
    """Return the FX pair that six letters name."""
    base, quote = text[:3], text[3:]
    known = _reference()["currencies"]
    if len(text) != 6 or base == quote or base not in known or quote not in known:
        return None
    pip = Decimal("0.01") if quote in _reference()["two_decimal_quotes"] else Decimal("0.0001")
    return Instrument(text, "fx", Decimal(100_000), pip, quote)


def _crypto_pair(text: str) -> Instrument | None:
    """Return the crypto pair that a coin and a quote currency name; USDT and USDC count as US dollars."""
    for quote in _reference()["crypto_quotes"]:
        coin = text.removesuffix(quote)
        coin = _reference()["crypto_aliases"].get(coin, coin)
        if text.endswith(quote) and coin in _reference()["crypto"]:
            money = "USD" if quote.startswith("USD") else quote
            return Instrument(coin + money, "crypto", Decimal(1), Decimal("0.01"), money)
    return None


def _future(text: str) -> Instrument | None:
    """Return the future whose root the text names with its delivery month or marks as one.

    Months are 'MESH5', 'MES 03-25', 'MES MAR25', 'MES 202503'; marked are '/MES', '@MES', 'MES=F', 'MES.c.0', 'MES1!'.
    """
    dated = _MONTHLY.fullmatch(text) or _EXPIRING.fullmatch(text)
    marked = [match for pattern in (_VENDOR_ROOT, _VENDOR, _MARKED) if (match := pattern.fullmatch(text))]
    names = [next(filter(None, match.groups())) for match in marked]
    roots = [dated[1]] if dated else [_reference()["futures_aliases"].get(name, name) for name in names]
    known = next((root for root in roots if root in _reference()["futures"]), None)
    return _entry(known, "future", _reference()["futures"][known]) if known else None


def _exact(text: str) -> Instrument | None:
    """Return the instrument that the text names as it stands."""
    return _listed().get(text) or _currency_pair(text) or _crypto_pair(text) or _future(text)


def _readings(symbol: str) -> list[str]:
    """Return the ways to read a symbol, plainest first: as it is, up to its punctuation, without a broker's ending.

    An exchange before or behind it is left out: 'CME_MINI:NQ1!', '/NQ:XCME'.
    """
    text = symbol.strip().upper()
    listed = _EXCHANGE.fullmatch(text)
    text = (listed[1] or listed[2]) if listed else text
    plain = re.sub(r"[/ ]", "", text).lstrip("#.$_@")
    stem = re.split(r"[.\-_+#!^,;:|@*~'()\[\]]", plain, maxsplit=1)[0]
    endings = [plain.removesuffix(ending) for ending in _reference()["suffixes"]]
    endings += [stem.removesuffix(ending) for ending in _reference()["suffixes"]]
    return [text, plain, stem, re.sub(r"[^A-Z0-9]", "", plain), *endings]


@lru_cache(maxsize=16384)
def instrument(symbol: str) -> Instrument | None:
    """Return the instrument of a delivered symbol, its suffixes and aliases undone; None when it is unknown."""
    found = (_exact(reading) for reading in _readings(symbol[:64]))
    return next((entry for entry in found if entry), None)


def aliases() -> dict[str, str]:
    """Return the names of listed instruments but currency pairs, crypto and futures by each alias."""
    return {alias: entry.name for alias, entry in _listed().items()}


def canonical(symbol: str) -> str | None:
    """Return the canonical name of a delivered symbol ('eurusd-2' is EURUSD, 'MESH5' is MES); None when unknown."""
    found = instrument(symbol)
    return found.name if found else None


def asset_class(symbol: str | None) -> str | None:
    """Return fx, metal, index, energy, commodity, crypto or future; None when the symbol is unknown."""
    found = instrument(symbol) if symbol else None
    return found.asset_class if found else None
