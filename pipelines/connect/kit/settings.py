"""A connection's file: which connector, its settings, which account is which, and secrets that never show."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from models.toml_files import TomlRefused, parsed, text_of
from pipelines.connect.kit.interface import ConnectRefused
from pipelines.connect.kit.pace import Backoff

_HIDDEN = "***"


class Secret:
    """A value that shows itself only when asked by name."""

    def __init__(self, value: str) -> None:
        """Keep the value."""
        self._value = value

    def reveal(self) -> str:
        """The value itself, for the wire only."""
        return self._value

    def __repr__(self) -> str:
        """Never the value."""
        return _HIDDEN

    __str__ = __repr__


@dataclass
class Settings:
    """What the file of one connection says.

    ``accounts`` maps logins or platform ids to our accounts; what it leaves out is looked up among the known accounts.
    """

    connection: str
    values: dict[str, Any]
    accounts: dict[str, str] = field(default_factory=dict)
    home: Path = Path("var")
    _secrets: list[str] = field(default_factory=list, repr=False)

    def text(self, name: str, default: str | None = None) -> str:
        """A setting that is text; ConnectRefused when it is missing."""
        value = self.values.get(name, default)
        if not isinstance(value, str):
            raise ConnectRefused(f"connection {self.connection}: setting {name!r} is missing or no text")
        return value

    def number(self, name: str, default: float) -> float:
        """A setting that is a number not below zero."""
        value = self.values.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            raise ConnectRefused(f"connection {self.connection}: setting {name!r} is no number from zero up")
        return float(value)

    def secret(self, name: str) -> Secret:
        """A secret, written as ``{ env = "NAME" }`` or ``{ file = "path" }``; in plain text it is refused."""
        where = self.values.get(name)
        if not isinstance(where, dict) or len(where) != 1 or not set(where) <= {"env", "file"}:
            raise ConnectRefused(
                f'connection {self.connection}: write {name} as {{ env = "NAME" }} or {{ file = "path" }}, '
                "secrets do not belong into this file"
            )
        return self.keep(self._read_secret(name, where))

    def _read_secret(self, name: str, where: dict[str, str]) -> str:
        if "env" in where:
            found = os.environ.get(where["env"])
        else:
            path = Path(where["file"])
            found = path.read_text(encoding="utf-8").strip() if path.is_file() else None
        if not found:
            raise ConnectRefused(f"connection {self.connection}: {name} is to be in {where}, and is not there")
        return found

    def keep(self, value: str) -> Secret:
        """Remember a secret so that no message ever shows it."""
        self._secrets.append(value)
        return Secret(value)

    def scrub(self, text: str) -> str:
        """A message with every secret in it hidden."""
        for value in self._secrets:
            text = text.replace(value, _HIDDEN)
        return text


def read_settings(path: Path, connector: str, home: Path) -> Settings:
    """Read a connection's TOML file; ConnectRefused says what is wrong with it."""
    try:
        told = parsed(text_of(path))
    except TomlRefused as error:
        raise ConnectRefused(f"{path}: {error}") from error
    unknown = set(told) - {"connection", "settings", "accounts"}
    if unknown:
        raise ConnectRefused(
            f"{path}: {', '.join(sorted(unknown))} is not known; there are connection, settings, accounts"
        )
    accounts = {str(login): str(account) for login, account in told.get("accounts", {}).items()}
    return Settings(str(told.get("connection", connector)), told.get("settings", {}), accounts, home)


def backoff_of(settings: Settings) -> Backoff:
    """Fresh waits between tries, as the settings want them."""
    first = settings.number("backoff_first_seconds", 0.5)
    return Backoff(first, settings.number("backoff_longest_seconds", 60))
