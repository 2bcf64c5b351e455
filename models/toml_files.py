"""TOML that people write, read so that whatever cannot be meant ends in one sentence."""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

Version = TypeVar("Version")


class TomlRefused(ValueError):
    """A text or a file that is no TOML or lacks what it must say, and why."""


def parsed(text: str, parse_float: Callable[[str], Any] = float) -> dict[str, Any]:
    """The document of a text; TomlRefused for what the format, its depth or the length of a number forbids."""
    try:
        return tomllib.loads(text, parse_float=parse_float)
    except RecursionError as error:
        raise TomlRefused("not TOML: brackets stand in each other too deep") from error
    except ValueError as error:
        raise TomlRefused(f"not TOML: {error}") from error


def text_of(path: Path) -> str:
    """The text of a file; TomlRefused, without the file's name, where it cannot be read or is not UTF-8."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise TomlRefused(f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        where = f"byte {error.start + 1} is 0x{error.object[error.start]:02X}"
        raise TomlRefused(f"is not UTF-8: {where}; save it as UTF-8") from error


def rising(file: Path, make: Callable[..., Version], parse_float: Callable[[str], Any] = float) -> tuple[Version, ...]:
    """The `[[versions]]` of a file in order; TomlRefused where one lacks a field, has another, or does not rise."""
    try:
        held = parsed(text_of(file), parse_float).get("versions")
        if not isinstance(held, list) or not held or not all(isinstance(one, dict) for one in held):
            raise TomlRefused("at least one [[versions]] is needed")
        read = tuple(make(**one) for one in held)
        order = [(one["version"], one["effective_from"]) for one in held]
        for before, after in itertools.pairwise(order):
            if after[0] <= before[0] or after[1] < before[1]:
                raise TomlRefused(f"version {after[0]} does not follow version {before[0]}")
    except TomlRefused as refusal:
        raise TomlRefused(f"{file.name}: {refusal}") from refusal
    except (TypeError, ValueError, KeyError) as error:
        raise TomlRefused(f"{file.name}: a version cannot be read: {error}") from error
    return read
