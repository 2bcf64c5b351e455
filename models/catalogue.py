"""The rulebook: product files read, checked whole and bound to challenges by the version in force at purchase."""

from __future__ import annotations

import datetime as dt
import difflib
import hashlib
import itertools
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from models.clock import Clock, zones
from models.instrument_names import joined
from models.rules import RULES, WITHIN_MAX, Field, Rule
from models.toml_files import TomlRefused, parsed, text_of
from sql.schema import STAGES

FOLDER = Path(__file__).parent / "products"
LOCK = "versions.lock"
_VERSION_KEYS = {
    "version",
    "effective_from",
    "clock",
    "stages",
    "source",
    "verified_on",
    "note",
    "desks",
    "countries",
    "coupons",
}
_PRODUCT_KEYS = {"id", "name", "versions", "firm"}
_CALENDARS = ("fx", "crypto", "cme")
_YEARS = range(1900, 2200)
_AMOUNT_MAX = 9_999_999_999
_COUNT_MAX = 2**31 - 1
FUNDED = ("funded", "instant")
Terms = dict[str, dict[str, Any]]


class RulebookRefused(Exception):
    """A rulebook that does not hold: the sentence names file, version, stage and field."""


@dataclass(frozen=True)
class Version:
    """Product terms in force from an instant on: the clock and, per stage, its rules with all defaults filled in."""

    product: str
    version: int
    effective_from: dt.datetime
    clock: Clock
    stages: Mapping[str, Terms]
    next_stage: Mapping[str, str | None]
    desks: tuple[str, ...] = ()
    countries: tuple[str, ...] = ()
    coupons: tuple[str, ...] = ()
    source: str = ""
    digest: str = ""
    verified_on: dt.date | None = None
    note: str = ""

    def covers(self, desk: str | None, country: str | None, coupon: str | None) -> bool:
        """Whether the version is sold at that desk, in that country, with that coupon (no list = everywhere)."""
        wanted = ((self.desks, desk), (self.countries, country), (self.coupons, coupon))
        return all(not listed or value in listed for listed, value in wanted)

    @property
    def narrowness(self) -> int:
        """How many of desk, country and coupon the version is limited to: the narrower one holds."""
        return sum(1 for listed in (self.desks, self.countries, self.coupons) if listed)


@dataclass(frozen=True)
class Product:
    """A product with its versions in order."""

    id: str
    name: str
    versions: tuple[Version, ...]
    file: str

    def in_force(
        self, at: dt.datetime, desk: str | None = None, country: str | None = None, coupon: str | None = None
    ) -> Version | None:
        """The newest version in force at an instant, None before the first; a narrower one goes first."""
        held = [v for v in self.versions if v.effective_from <= at and v.covers(desk, country, coupon)]
        return max(held, key=lambda v: (v.narrowness, v.version), default=None)


@dataclass(frozen=True)
class Rulebook:
    """Every product by id."""

    products: Mapping[str, Product]

    @property
    def digest(self) -> str:
        """One hash over every version of every product."""
        parts = (v.digest for _, product in sorted(self.products.items()) for v in product.versions)
        return hashlib.sha256("".join(parts).encode()).hexdigest()

    def version(self, product: str, version: int) -> Version:
        """A version by number; KeyError when there is none."""
        for held in self.products[product].versions:
            if held.version == version:
                return held
        raise KeyError(f"{product} has no version {version}")

    def terms(self, product: str, version: int, stage: str) -> Terms | None:
        """The rules of a stage, None when the product, version or stage has no terms."""
        if product not in self.products:
            return None
        return self.version(product, version).stages.get(stage)

    def rows(self, rule: str) -> list[dict[str, Any]]:
        """Every stage that holds a rule: product, product_version, stage and the rule's fields.

        Percent, amounts and numbers come as floats, lists as lists; the walk reads exact values from `terms`.
        """
        fields = [field.name for field in RULES[rule].fields]
        return [
            {"product": product.id, "product_version": version.version, "stage": stage}
            | {name: _plain(held[rule].get(name)) for name in fields}
            for product in self.products.values()
            for version in product.versions
            for stage, held in version.stages.items()
            if rule in held
        ]


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return float(value) if isinstance(value, Decimal) else value


def folder(chosen: str | Path | None = None) -> Path:
    """The folder of product files: the one chosen, else `HIGHWATER_RULEBOOK`, else Highwater's own."""
    return Path(chosen or os.environ.get("HIGHWATER_RULEBOOK") or FOLDER)


def load(chosen: str | Path | None = None) -> Rulebook:
    """Reads every product file of a folder; all hold or RulebookRefused tells what does not, and nothing is loaded."""
    where = folder(chosen)
    files = sorted(where.rglob("*.toml")) if where.is_dir() else []
    if not files:
        raise RulebookRefused(f"{where}: no product files (*.toml) there; a rulebook is a folder of them")
    products: dict[str, Product] = {}
    for path in files:
        file = path.relative_to(where).as_posix()
        product = read_product(_text_of(path, file), file)
        if product.id in products:
            raise RulebookRefused(f"{product.file}: id: product {product.id} is already in {products[product.id].file}")
        products[product.id] = product
    _check_lock(where / LOCK, products.values())
    return Rulebook(products)


def _text_of(path: Path, file: str) -> str:
    try:
        return text_of(path)
    except TomlRefused as error:
        raise RulebookRefused(f"{file}: {error}") from error


def read_product(text: str, file: str) -> Product:
    """Reads one product file; RulebookRefused names file, version, stage and field of what does not hold."""
    try:
        document = parsed(text, Decimal)
    except TomlRefused as error:
        raise RulebookRefused(f"{file}: {error}") from error
    _no_unknown(document, _PRODUCT_KEYS, file, "")
    for key in ("id", "name"):
        if not isinstance(document.get(key), str) or not document[key]:
            raise RulebookRefused(f"{file}: {key}: a product needs one, as text")
    listed = document.get("versions")
    if not isinstance(listed, list) or not listed or not all(isinstance(held, dict) for held in listed):
        raise RulebookRefused(f"{file}: versions: a product needs at least one [[versions]]")
    versions = tuple(_read_version(document["id"], held, file) for held in listed)
    _check_order(versions, file)
    return Product(document["id"], document["name"], versions, file)


def _check_order(versions: tuple[Version, ...], file: str) -> None:
    for before, after in itertools.pairwise(versions):
        if after.version <= before.version:
            raise RulebookRefused(
                f"{file}: version {after.version}: version: comes after {before.version}, numbers must rise"
            )
        if after.effective_from < before.effective_from:
            raise RulebookRefused(
                f"{file}: version {after.version}: effective_from: {after.effective_from.isoformat()} is before "
                f"version {before.version}'s {before.effective_from.isoformat()}; versions are appended in time order"
            )


def _read_version(product: str, held: Mapping[str, Any], file: str) -> Version:
    number = held.get("version")
    if not isinstance(number, int) or isinstance(number, bool) or not 1 <= number <= _COUNT_MAX:
        raise RulebookRefused(f"{file}: version: needs a whole number from 1, not {number!r}")
    where = f"{file}: version {number}"
    _no_unknown(held, _VERSION_KEYS, where, "")
    since = held.get("effective_from")
    if not isinstance(since, dt.datetime) or since.tzinfo is None:
        raise RulebookRefused(f"{where}: effective_from: needs an instant with an offset, e.g. 2025-01-01T00:00:00Z")
    if since.year not in _YEARS:
        raise RulebookRefused(f"{where}: effective_from: is outside the years {_YEARS[0]} to {_YEARS[-1]}")
    stages = held.get("stages")
    if not isinstance(stages, dict) or not stages:
        raise RulebookRefused(f"{where}: stages: a version needs at least one")
    read = {stage: _read_stage(stage, terms, where) for stage, terms in stages.items()}
    following = {stage: _next_stage(stage, stages, where) for stage in stages}
    return Version(
        product,
        number,
        since.astimezone(dt.UTC),
        _read_clock(held.get("clock"), where),
        read,
        following,
        _texts(held, "desks", where),
        _texts(held, "countries", where),
        _texts(held, "coupons", where),
        str(held.get("source", "")),
        hashlib.sha256(repr(_sorted(held)).encode()).hexdigest(),
        _date(held.get("verified_on"), where),
        str(held.get("note", "")),
    )


def _date(value: Any, where: str) -> dt.date | None:
    if value is not None and (not isinstance(value, dt.date) or isinstance(value, dt.datetime)):
        raise RulebookRefused(f"{where}: verified_on: needs a date, e.g. 2026-10-04, not {value!r}")
    return value


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return sorted((key, _sorted(inner)) for key, inner in value.items())
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else str(value.normalize())
    return [_sorted(inner) for inner in value] if isinstance(value, list) else value


def _texts(held: Mapping[str, Any], key: str, where: str) -> tuple[str, ...]:
    value = held.get(key, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise RulebookRefused(f"{where}: {key}: needs a list of texts, not {value!r}")
    return tuple(value)


def _read_clock(held: Any, where: str) -> Clock:
    if not isinstance(held, dict):
        raise RulebookRefused(f'{where}: clock: needs {{ zone = "…", reset = "HH:MM", calendar = "fx" }}')
    _no_unknown(held, {"zone", "reset", "calendar"}, where, "clock.")
    zone, calendar = held.get("zone"), held.get("calendar", "fx")
    if not isinstance(zone, str) or zone not in zones():
        raise RulebookRefused(f"{where}: clock.zone: {zone!r} is no IANA zone; e.g. Europe/Prague")
    if calendar not in _CALENDARS:
        raise RulebookRefused(f"{where}: clock.calendar: {calendar!r} is not one of {', '.join(_CALENDARS)}")
    return Clock(zone, _time_of_day(held.get("reset", "00:00"), f"{where}: clock.reset"), calendar)


def _time_of_day(value: Any, where: str) -> dt.time:
    try:
        time = value if isinstance(value, dt.time) else dt.time.fromisoformat(value)
    except (TypeError, ValueError) as error:
        raise RulebookRefused(f"{where}: {value!r} is no time of day; write HH:MM") from error
    if time.tzinfo is not None:
        raise RulebookRefused(f"{where}: {value!r} has an offset; write HH:MM, the zone is clock.zone")
    return time


def _next_stage(stage: str, stages: Mapping[str, Any], where: str) -> str | None:
    following: str | None = stages[stage].get("next_stage")
    if following is not None and following not in STAGES:
        raise RulebookRefused(f"{where}: stage {stage}: next_stage: {following!r} is not one of {', '.join(STAGES)}")
    if following is not None and following not in stages:
        raise RulebookRefused(f"{where}: stage {stage}: next_stage: {following} has no terms in this version")
    if following == stage:
        raise RulebookRefused(f"{where}: stage {stage}: next_stage: a stage cannot follow itself")
    return following


def _read_stage(stage: str, held: Any, where: str) -> Terms:
    here = f"{where}: stage {stage}"
    if stage not in STAGES:
        raise RulebookRefused(f"{here}: is not one of {', '.join(STAGES)}")
    if not isinstance(held, dict):
        raise RulebookRefused(f"{here}: needs a table of rules")
    terms: Terms = {}
    for name, value in held.items():
        if name == "next_stage":
            continue
        if name not in RULES:
            raise RulebookRefused(f"{here}: {name}: no such rule{_did_you_mean(name, RULES)}")
        terms[name] = _read_rule(RULES[name], value, f"{here}: {name}")
    _check_contradictions(terms, here)
    return terms


def _read_rule(rule: Rule, value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        if rule.short is None:
            raise RulebookRefused(f"{where}: needs a table of fields, not {value!r}")
        value = {rule.short: value}
    known = {field.name for field in rule.fields}
    _no_unknown(value, known, where, "")
    terms = {field.name: _read_field(field, value, where) for field in rule.fields}
    _check_size(rule, terms, where)
    return terms


def _read_field(field: Field, held: Mapping[str, Any], where: str) -> Any:
    if field.name not in held:
        if field.required:
            raise RulebookRefused(f"{where}: {field.name}: is missing ({field.meaning})")
        return field.default
    reader = _READERS[field.kind]
    try:
        return reader(held[field.name], field)
    except (ValueError, TypeError, InvalidOperation) as error:
        raise RulebookRefused(f"{where}: {field.name}: {error}") from error


def _number(value: Any, what: str) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise ValueError(f"{value!r} is not {what}")
    number = Decimal(value)
    if not number.is_finite():
        raise ValueError(f"{value!r} is not {what}")
    return number


def _percent(value: Any, _field: Field) -> Decimal:
    number = _number(value, "a percentage")
    if not 0 <= number <= 100:
        raise ValueError(f"{value} % is out of range (0 to 100); is an amount meant? then use `amount`")
    if number != round(number, 4):
        raise ValueError(f"{value} % has more than four decimals")
    return number


def _percents(value: Any, field: Field) -> list[Decimal]:
    if not isinstance(value, list) or not value:
        raise ValueError(f"{value!r} is not a list of percentages")
    return [_percent(one, field) for one in value]


def _amount(value: Any, _field: Field) -> Decimal:
    number = _number(value, "an amount")
    if abs(number) > _AMOUNT_MAX:
        raise ValueError(f"{value} is beyond the largest amount, {_AMOUNT_MAX:,}")
    return number


def _count(value: Any, _field: Field) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{value!r} is not a whole number from 0")
    if value > _COUNT_MAX:
        raise ValueError(f"{value} is too large")
    return value


def _factor(value: Any, _field: Field) -> Decimal:
    number = _number(value, "a number")
    if number < 0:
        raise ValueError(f"{value} is negative")
    return number


def _choice(value: Any, field: Field) -> str:
    if value not in field.choices:
        raise ValueError(f"{value!r} is not one of {', '.join(field.choices)}")
    return str(value)


def _flag(value: Any, _field: Field) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{value!r} is not true or false")
    return value


def _text(value: Any, field: Field) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{value!r} is not a text")
    if field.name == "zone" and value not in zones():
        raise ValueError(f"{value!r} is no IANA zone")
    return value


def _list_of_texts(value: Any, _field: Field) -> list[str]:
    if not isinstance(value, list) or not value or not all(isinstance(item, str) for item in value):
        raise ValueError(f"{value!r} is not a list of texts")
    return value


def _groups(value: Any, field: Field) -> list[list[str]]:
    if not isinstance(value, list) or not value:
        raise ValueError(f"{value!r} is not a list of lists of texts")
    groups = [_list_of_texts(one, field) for one in value]
    named = [word.upper() for group in groups for word in group]
    for word in named:
        if named.count(word) > 1:
            raise ValueError(f"{word} is listed twice; an instrument is in one list at most")
    return groups


def _pairs(value: Any, field: Field) -> list[list[str]]:
    if not isinstance(value, list) or not value:
        raise ValueError(f"{value!r} is not a list of pairs of texts")
    pairs = [_list_of_texts(one, field) for one in value]
    for pair in pairs:
        if len({joined(word) for word in pair}) != 2 or len(pair) != 2:
            raise ValueError(f"{pair!r} is not a pair of two different names")
    return pairs


def _cutoff(value: Any, field: Field) -> str:
    parts = str(value).split()
    days = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
    weekly = " " in str(field.default)
    if len(parts) != (2 if weekly else 1) or (weekly and parts[0] not in days):
        raise ValueError(f"{value!r} is not like {field.default!r}")
    dt.time.fromisoformat(parts[-1])
    return str(value)


def _number_in_row(value: Any, _field: Field) -> Decimal:
    return _number(value, "a number")


_CELLS: dict[str, Callable[[Any, Field], object]] = {
    "percent": _percent,
    "leverage": _factor,
    "symbol": _text,
    "symbols": _list_of_texts,
    "after_payouts": _count,
    "payout": _count,
    "after_profit": _factor,
    "above": _factor,
    "lots": _factor,
}
"""How members of a row are read that are no plain numbers."""
_ONCE = ("after_payouts", "after_profit", "above", "payout")
"""Columns that say from where on a row holds: no two rows can begin at the same place."""


def _rows(value: Any, field: Field) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(row, dict | int | Decimal) for row in value):
        raise ValueError(f"{value!r} is not a list")
    bare = next((columns[0] for columns in field.columns if len(columns) == 1), "number")
    rows = [row if isinstance(row, dict) else {bare: row} for row in value]
    for row in rows:
        if not any(set(row) == set(columns) for columns in field.columns):
            raise ValueError(f"{sorted(row)} are not the columns of a row; {field.meaning}")
        for name, inner in row.items():
            read: Callable[[Any, Field], object] = _CELLS.get(name, _number_in_row)
            try:
                read(inner, field)
            except (ValueError, TypeError) as error:
                raise ValueError(f"{name}: {error}") from error
    for name in _ONCE:
        begins = [row[name] for row in rows if name in row]
        if begins and len(begins) != len(rows):
            raise ValueError(f"some rows have {name} and others not; {field.meaning}")
        if len(set(begins)) != len(begins):
            raise ValueError(f"two rows begin at the same {name}")
    return [{key: _plain(inner) for key, inner in row.items()} for row in rows]


_READERS = {
    "percent": _percent,
    "percents": _percents,
    "amount": _amount,
    "count": _count,
    "seconds": _count,
    "number": _factor,
    "choice": _choice,
    "flag": _flag,
    "text": _text,
    "texts": _list_of_texts,
    "groups": _groups,
    "pairs": _pairs,
    "time": _cutoff,
    "table": _rows,
}


def _check_size(rule: Rule, terms: Mapping[str, Any], where: str) -> None:
    """Exactly one of percent and amount, and a base that fits."""
    if not rule.one_of:
        return
    given = [name for name in rule.one_of if terms[name] is not None]
    if len(given) != 1:
        found = "both are given" if given else "neither is given"
        raise RulebookRefused(f"{where}: needs exactly one of {' and '.join(rule.one_of)}; {found}")
    if "base" in terms and (terms["base"] == "fixed") != (given == ["amount"]):
        if given == ["percent"]:
            raise RulebookRefused(f"{where}: base: fixed takes `amount`, not `percent`")
        if rule.field("base") and terms["base"] != "initial":
            raise RulebookRefused(f'{where}: base: {terms["base"]} takes `percent`, not `amount`; write base = "fixed"')
    if terms[given[0]] < 0:
        raise RulebookRefused(f"{where}: {given[0]}: {terms[given[0]]} is negative")


def _check_contradictions(terms: Terms, where: str) -> None:
    loss = terms.get("max_loss")
    if loss:
        _check_max_loss(loss, terms, f"{where}: max_loss")
    _check_consistency(terms, f"{where}: consistency")
    _check_floating_loss(terms.get("floating_loss"), f"{where}: floating_loss")
    for rule, (field, contradicts, why) in _CONTRADICTIONS.items():
        if rule in terms and contradicts(terms[rule]):
            raise RulebookRefused(f"{where}: {rule}: {field}: {why}")
    _check_trading_days(terms, f"{where}: min_trading_days")
    for name in terms.get("claim", {}).get("rules", ()):
        if name not in terms or "effect" not in terms[name]:
            raise RulebookRefused(f"{where}: claim: rules: {name} is no rule of this stage that could end an account")


def _symbols_clash(rule: Mapping[str, Any]) -> bool:
    allowed, prohibited = ({name.upper() for name in rule[field] or []} for field in ("allowed", "prohibited"))
    return bool(allowed & prohibited) or not allowed | prohibited


def _countries_clash(rule: Mapping[str, Any]) -> bool:
    allowed, prohibited = (set(rule[field] or []) for field in ("allowed", "prohibited"))
    misspelt = not all(len(name) == 2 and name.isascii() and name.isupper() for name in allowed | prohibited)
    nothing = not allowed | prohibited and not rule["home_only"] and rule["travel_seconds"] is None
    return bool(allowed & prohibited) or misspelt or nothing


def _hedges_clash(rule: Mapping[str, Any]) -> bool:
    groups = [{joined(word) for word in group} for group in rule["together"] or []]
    return any({joined(word) for word in pair} <= group for pair in rule["opposed"] or [] for group in groups)


_SHARE_PARTS = ("max_share_trades", "max_share_profit", "min_average_seconds", "min_average_winner_seconds")
_CONTRADICTIONS: dict[str, tuple[str, Callable[[Mapping[str, Any]], bool], str]] = {
    "profit_target": ("percent", lambda rule: not (rule["percent"] or rule["amount"]), "a target of zero is none"),
    "inactivity": (
        "warn_days",
        lambda rule: rule["warn_days"] is not None and rule["warn_days"] >= rule["days"],
        "a warning comes before the end, not with it",
    ),
    "min_profitable_days": (
        "within_days",
        lambda rule: rule["within_days"] is not None and not max(rule["days"], 1) <= rule["within_days"] <= WITHIN_MAX,
        f"holds at least `days` days and at most {WITHIN_MAX}",
    ),
    "lot_consistency": ("low", lambda rule: rule["low"] > rule["high"], "is above high"),
    "news_window": (
        "share",
        lambda rule: rule["share"] is not None and rule["effect"] != "split_cut",
        'goes with effect = "split_cut"',
    ),
    "floating_loss": (
        "splits",
        lambda rule: (rule["splits"] is not None) != (rule["effect"] == "split_cut"),
        'goes with effect = "split_cut", and that with it',
    ),
    "login_country": (
        "allowed",
        _countries_clash,
        "needs `allowed`, `prohibited`, `home_only` or `travel_seconds`,"
        " countries by two capital letters, and none in both lists",
    ),
    "login_address": (
        "max_addresses",
        lambda rule: rule["max_addresses"] is None and rule["max_owners"] is None,
        "needs `max_addresses` or `max_owners`",
    ),
    "allocation_cap": (
        "amount",
        lambda rule: rule["amount"] is None and rule["accounts"] is None,
        "needs `amount` or `accounts`",
    ),
    "holding_share": (
        "seconds",
        lambda rule: all(rule[name] is None for name in _SHARE_PARTS),
        f"needs {' or '.join(f'`{name}`' for name in _SHARE_PARTS)}, or it asks for nothing",
    ),
    "margin": (
        "leverage",
        lambda rule: (
            not all(
                [
                    rule["leverage"],
                    *(one.get("leverage", 1) for one in [*(rule["leverages"] or []), *(rule["caps"] or [])]),
                ]
            )
        ),
        "is 1 where nothing is lent, never 0",
    ),
    "max_exposure": ("micro_ratio", lambda rule: not rule["micro_ratio"], "is how many micros count as one, never 0"),
    "hedging": ("opposed", _hedges_clash, "names two that count as one in `together`"),
    "symbols": ("allowed", _symbols_clash, "needs `allowed` or `prohibited`, and no name in both"),
}


def _check_trading_days(terms: Terms, where: str) -> None:
    days, limit = terms.get("min_trading_days"), terms.get("time_limit")
    if days is None:
        return
    if limit and days["days"] > limit["days"]:
        raise RulebookRefused(f"{where}: days: more than time_limit's {limit['days']}")
    given = [name for name in ("lots", "percent", "amount") if days[name]]
    if given and days["counts"] != "qualifying":
        raise RulebookRefused(f'{where}: {given[0]}: goes with counts = "qualifying"')
    if days["counts"] == "qualifying" and not given:
        raise RulebookRefused(f"{where}: counts: qualifying needs `lots`, `percent` or `amount`")
    if "percent" in given and "amount" in given:
        raise RulebookRefused(f"{where}: takes percent or amount, not both")
    if (days["amount"] or 0) < 0:
        raise RulebookRefused(f"{where}: amount: {days['amount']} is negative")


def _check_floating_loss(rule: Mapping[str, Any] | None, where: str) -> None:
    if rule is None or rule["at_least"] is None:
        return
    if rule["base"] != "profit":
        raise RulebookRefused(f'{where}: at_least: goes with base = "profit"')
    if rule["at_least"] < 0:
        raise RulebookRefused(f"{where}: at_least: {rule['at_least']} is negative")


def _check_consistency(terms: Terms, where: str) -> None:
    rule = terms.get("consistency")
    if rule is None:
        return
    if rule["merge_seconds"] is not None and rule["unit"] != "trade":
        raise RulebookRefused(f'{where}: merge_seconds: goes with unit = "trade"')
    if rule["of"] == "target" and "profit_target" not in terms:
        raise RulebookRefused(f"{where}: of: the stage has no profit_target")
    if rule["of"] == "target" and {"payout", "split"} & set(terms):
        raise RulebookRefused(f"{where}: of: payouts are held against the profit made; write net or positive")
    if rule["of"] == "target" and (rule["unit"] == "lot" or rule["raise_target"]):
        raise RulebookRefused(f"{where}: of: target goes with unit day or trade, and not with raise_target")
    if not rule["raise_target"]:
        return
    if "profit_target" not in terms:
        raise RulebookRefused(f"{where}: raise_target: the stage has no profit_target")
    if rule["unit"] == "lot" or rule["effect"] != "wait":
        raise RulebookRefused(f"{where}: raise_target: goes with unit day or trade and effect wait")
    if not rule["share"]:
        raise RulebookRefused(f"{where}: share: a target cannot rise until 0 % is made")


def _check_max_loss(loss: Mapping[str, Any], terms: Terms, where: str) -> None:
    if loss["mode"] == "static" and loss["lock_offset"] is not None:
        raise RulebookRefused(f"{where}: lock_offset: a static floor never rises, so it cannot lock")
    if loss["mode"] == "static" and loss["base"] == "high_water":
        raise RulebookRefused(f"{where}: base: a static floor has no high water")
    if loss["lock_at_target"] and "profit_target" not in terms:
        raise RulebookRefused(f"{where}: lock_at_target: the stage has no profit_target")
    if (loss["payout_rebase"] == "floor_at") != (loss["rebase_offset"] is not None):
        raise RulebookRefused(f'{where}: rebase_offset: goes with payout_rebase = "floor_at", and only with it')


def _no_unknown(held: Mapping[str, Any], known: Iterable[str], where: str, prefix: str) -> None:
    names = set(known)
    for key in held:
        if key not in names:
            raise RulebookRefused(f"{where}: {prefix}{key}: no such field{_did_you_mean(key, names)}")


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    """The nearest of the known names, and all of them."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    return (f"; did you mean {near[0]}?" if near else ";") + f" There are {', '.join(names)}"


def lock_text(products: Iterable[Product]) -> str:
    """What the lock file says: one line per version with its hash."""
    lines = (f"{p.id} {v.version} {v.digest}" for p in sorted(products, key=lambda p: p.id) for v in p.versions)
    return "\n".join(lines) + "\n"


def _locked(line: str, file: str) -> tuple[str, int, str]:
    """Product, version and hash of a line of the lock file."""
    try:
        product, version, digest = line.split()
        return product, int(version), digest
    except ValueError as error:
        raise RulebookRefused(f"{file}: {line[:80]!r} is not `product version hash`; restore it from a copy") from error


def _check_lock(path: Path, products: Iterable[Product]) -> None:
    """Versions named in a folder's lock file may not change or vanish; new ones may follow."""
    if not path.is_file():
        return
    held = {(p.id, v.version): (v.digest, p.file) for p in products for v in p.versions}
    for line in filter(str.strip, _text_of(path, path.name).splitlines()):
        product, version, digest = _locked(line, path.name)
        found, file = held.get((product, version), (None, product))
        if found != digest:
            did = "was changed" if found else "is gone"
            raise RulebookRefused(
                f"{file}: version {version}: {did} since it was locked; append a new version instead, "
                f"or take the line out of {path.name} when it never was in force"
            )
