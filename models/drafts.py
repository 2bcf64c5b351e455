"""Draft versions: terms that nobody bought, kept beside the rulebook and judged in shadow.

A draft is a file whose name ends in `.toml.draft`, in the rulebook's folder: a product file with one version. The
rulebook reads `*.toml` only, so a draft is never in force, never locked and never part of the rulebook's hash. Its
`effective_from` says since which purchase it is judged in shadow. It comes into force when a person appends its version
to the product's file.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from models import access, audit, catalogue, toml_files
from models.access import Person
from models.audit import Record
from models.catalogue import Product, Rulebook, RulebookRefused, Terms, Version
from models.rules import RULES
from models.toml_files import TomlRefused, parsed

SUFFIX = ".toml.draft"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")


class DraftRefused(Exception):
    """A draft that cannot be kept; the sentence says why."""


@dataclass(frozen=True)
class Draft:
    """A draft version under its name (`product.name`)."""

    name: str
    version: Version


def files(folder: Path) -> list[Path]:
    """Every draft's file of a rulebook folder, sorted."""
    return sorted(folder.rglob(f"*{SUFFIX}")) if folder.is_dir() else []


def read(path: Path) -> Draft:
    """Reads a draft; RulebookRefused names the field of what does not hold."""
    try:
        text = toml_files.text_of(path)
    except TomlRefused as error:
        raise RulebookRefused(f"{path.name}: {error}") from error
    product = catalogue.read_product(text, path.name)
    if len(product.versions) != 1:
        raise RulebookRefused(f"{path.name}: versions: a draft holds one version, not {len(product.versions)}")
    return Draft(path.name.removesuffix(SUFFIX), product.versions[0])


def checked(version: Version) -> Version:
    """A version made of changed figures as the rulebook would read it, or RulebookRefused with the field's sentence."""
    return catalogue.read_product(text_of(version, version.product), "draft").versions[0]


def following(rulebook: Rulebook, version: Version, since: dt.datetime) -> Version:
    """A draft's terms as the version after the newest of its product, in shadow for purchases since an instant."""
    held = rulebook.products[version.product].versions[-1]
    return replace(
        version, version=held.version + 1, effective_from=since, source="", verified_on=None, note="", digest=""
    )


def save(
    database: sa.Engine, person: Person, folder: Path, product: Product, version: Version, name: str, reason: str
) -> Path:
    """Keeps a draft of a product under a new name, with its audit record; returns its file.

    Nothing that is there is written over. Raises AccessRefused, DraftRefused or RulebookRefused; nothing is kept then.
    """
    access.require(person, "terms.draft", any_desk=True)
    if not _NAME.fullmatch(name):
        raise DraftRefused(f"{name!r} is no name for a draft: small letters, digits, - and _, 40 at most.")
    if not reason.strip():
        raise DraftRefused("A draft needs a reason.")
    text = text_of(version, product.name)
    catalogue.read_product(text, name)
    path = folder / f"{product.id}.{name}{SUFFIX}"
    after = {"file": path.name, "version": version.version, "terms": text}
    record = Record(person.name, "draft saved", f"draft:{product.id}.{name}", reason.strip(), person.role, after=after)
    with database.begin() as connection:
        audit.append(connection, record)
        _write(path, text)
    return path


def _write(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise DraftRefused(f"{path.name} is there already; choose another name.") from error
    except OSError as error:
        raise DraftRefused(f"{path} cannot be written: {error.strerror}.") from error


def withdraw(database: sa.Engine, person: Person, folder: Path, name: str, reason: str) -> None:
    """Takes a draft away, its terms kept in the audit record. Raises AccessRefused or DraftRefused."""
    access.require(person, "terms.draft", any_desk=True)
    if not reason.strip():
        raise DraftRefused("Taking a draft away needs a reason.")
    path = next((one for one in files(folder) if one.name == f"{name}{SUFFIX}"), None)
    if path is None:
        raise DraftRefused(f"There is no draft {name}.")
    before = {"file": path.name, "terms": path.read_text(encoding="utf-8", errors="replace")}
    record = Record(person.name, "draft withdrawn", f"draft:{name}", reason.strip(), person.role, before=before)
    with database.begin() as connection:
        audit.append(connection, record)
        path.unlink()


def text_of(version: Version, name: str) -> str:
    """A version as the product file that says it."""
    clock = version.clock
    lines = [
        f"id = {_value(version.product)}",
        f"name = {_value(name)}",
        "",
        "[[versions]]",
        f"version = {version.version}",
        f"effective_from = {version.effective_from.astimezone(dt.UTC).strftime('%Y-%m-%dT%H:%M:%SZ')}",
        f"clock = {{ zone = {_value(clock.zone)}, reset = {_value(f'{clock.reset:%H:%M:%S}')},"
        f" calendar = {_value(clock.calendar)} }}",
    ]
    told = ("desks", "countries", "coupons", "source", "note")
    lines += [f"{key} = {_value(getattr(version, key))}" for key in told if getattr(version, key)]
    for stage, terms in version.stages.items():
        lines += ["", f"[versions.stages.{stage}]", *_stage_lines(terms, version.next_stage.get(stage))]
    return "\n".join(lines) + "\n"


def _stage_lines(terms: Terms, following_stage: str | None) -> list[str]:
    lines = [rule_line(rule, fields) for rule, fields in terms.items()]
    return lines + ([f"next_stage = {_value(following_stage)}"] if following_stage else [])


def rule_line(rule: str, fields: Mapping[str, Any]) -> str:
    """A rule as its line in a product file."""
    return f"{rule} = {_table(_said(rule, fields))}"


def _said(rule: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that are not what they are anyway."""
    return {
        field.name: fields[field.name]
        for field in RULES[rule].fields
        if fields.get(field.name) is not None and fields[field.name] != field.default
    }


def _table(fields: Mapping[str, Any]) -> str:
    return "{ " + ", ".join(f"{name} = {_value(value)}" for name, value in fields.items()) + " }"


def _value(value: Any) -> str:
    """A value as TOML writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, Mapping):
        return _table(value)
    return "[" + ", ".join(map(_value, value)) + "]" if isinstance(value, list | tuple) else repr(value)


def with_rules(version: Version, stage: str, text: str) -> Version:
    """A version whose stage has further rules, written as in a product file; a rule named takes its own's place.

    Raises RulebookRefused with the field's sentence.
    """
    try:
        named = set(parsed(text))
    except TomlRefused as error:
        raise RulebookRefused(f"these rules are {error}") from error
    held = {rule: fields for rule, fields in version.stages[stage].items() if rule not in named}
    alone = text_of(replace(version, stages={stage: held}, next_stage={}), version.product)
    made = catalogue.read_product(f"{alone}{text}\n", "draft").versions[0]
    return checked(replace(version, stages={**version.stages, stage: made.stages[stage]}))
