"""Watches a folder for feed files: local, S3, SFTP or whatever fsspec opens; each version of a file lands once.

A file is taken once it stands still between two looks, so that one still being written is left alone.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import fsspec  # type: ignore[import-untyped]
from paramiko import AuthenticationException, SSHException

from pipelines.connect.kit.interface import AccountRef, Batch, ConnectRefused, Cursor, Limits, Transient
from pipelines.connect.kit.settings import Settings
from pipelines.files import BESIDE_FEEDS

NAME = "folder"
FETCHED_MAX = 4
_UNFINISHED = (".part", ".tmp", ".filepart", ".crdownload")
_MARKS = ("size", "mtime", "LastModified", "last_modified", "ETag", "etag", "created")
_SECRETS = ("key", "secret", "token", "password", "username", "key_filename")


def open_connector(settings: Settings) -> Folder:
    """The connector that a connection's settings describe."""
    return Folder(settings)


class Folder:
    """A folder of feed files; its one account stands for the folder itself."""

    name = NAME
    platform = None
    limits = Limits(10)

    def __init__(self, settings: Settings) -> None:
        """Read the settings; nothing is opened yet."""
        self.url = settings.text("url")
        if "@" in self.url.split("://")[-1].split("/")[0]:
            raise ConnectRefused("setting url holds a sign-in: write username and password as secrets of their own")
        given = {name: settings.secret(name) for name in _SECRETS if name in settings.values}
        self._options = {name: secret.reveal() for name, secret in given.items()} | settings.values.get("options", {})
        self.settle_seconds = settings.number("settle_seconds", 2)
        self.poll_seconds = settings.number("poll_seconds", 30)
        self._inbox = settings.home / "tmp" / f"connect-{settings.connection}"
        self._before: dict[str, str] = {}

    async def connect(self) -> None:
        """Open the file system and take a first look; what an earlier run had fetched is cleared away."""
        await asyncio.to_thread(shutil.rmtree, self._inbox, True)
        self._inbox.mkdir(parents=True)
        try:
            opened = partial(fsspec.core.url_to_fs, self.url, **self._options)
            self._files, self._path = await self._ask(opened)
        except (ImportError, ValueError, AuthenticationException) as error:
            raise ConnectRefused(f"folder {self.url} cannot be opened: {error}") from error
        self._before = await self._look()

    async def accounts(self) -> list[AccountRef]:
        """One stand-in: a folder has no accounts of its own, its files name theirs."""
        return [AccountRef(self.url, self.url, account_id=self.url)]

    async def history(self, account: AccountRef, since: Cursor | None) -> AsyncIterator[Batch]:
        """The files that stand still and are not taken yet, in name order."""
        await asyncio.sleep(self.settle_seconds)
        async for batch in self._new(account, dict((since or {}).get("taken", {}))):
            yield batch

    async def stream(self, accounts: Sequence[AccountRef], since: Mapping[str, Cursor]) -> AsyncIterator[Batch]:
        """Further files as they come."""
        account = accounts[0]
        taken = dict(since.get(account.platform_id, {}).get("taken", {}))
        while True:
            async for batch in self._new(account, taken):
                yield batch
            await asyncio.sleep(self.poll_seconds)

    async def close(self) -> None:
        """Nothing is kept open."""

    async def _new(self, account: AccountRef, taken: dict[str, str]) -> AsyncIterator[Batch]:
        """Fetch what is new and stood still since the last look; ``taken`` is kept up to date."""
        now = await self._look()
        still = {name: mark for name, mark in now.items() if self._before.get(name) == mark}
        self._before = now
        for gone in taken.keys() - now.keys():
            del taken[gone]
        for name, mark in sorted(still.items()):
            if taken.get(name) == mark:
                continue
            local = await self._fetch(name)
            taken[name] = mark
            yield Batch(account, {"taken": dict(taken)}, files=[local])

    async def _look(self) -> dict[str, str]:
        """The feed files by name, each with what tells its versions apart."""
        self._files.invalidate_cache()
        listed = await self._ask(partial(self._files.ls, self._path, detail=True))
        found = {entry["name"].rstrip("/").rsplit("/", 1)[-1]: entry for entry in listed if entry["type"] == "file"}
        return {name: _mark(entry) for name, entry in found.items() if not _is_beside(name)}

    async def _fetch(self, name: str) -> Path:
        """Copy a file here, a few ahead of landing at most, and never over a version that has not landed."""
        local = self._inbox / name
        while local.exists() or len(list(self._inbox.iterdir())) >= FETCHED_MAX:
            await asyncio.sleep(0.02)
        partly = local.with_name(f".{name}")
        await self._ask(partial(self._files.get_file, f"{self._path.rstrip('/')}/{name}", str(partly)))
        return partly.rename(local)

    async def _ask(self, ask: Any) -> Any:
        try:
            return await asyncio.to_thread(ask)
        except AuthenticationException:
            raise
        except (OSError, EOFError, SSHException) as error:
            raise Transient(f"folder {self.url} cannot be read: {error}") from error


def _mark(entry: Mapping[str, Any]) -> str:
    """What tells one version of a file from another: size, times and tags, as far as the file system has them."""
    return " ".join(f"{name}={entry[name]}" for name in _MARKS if entry.get(name) is not None)


def _is_beside(name: str) -> bool:
    return name.startswith((".", "_")) or name.endswith(_UNFINISHED) or name in BESIDE_FEEDS
