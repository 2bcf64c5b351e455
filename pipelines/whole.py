"""Files for people, written whole or not at all: what breaks off leaves an earlier file as it was."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


class WriteRefused(Exception):
    """A file that cannot be written, and why."""


def put(out: Path, write: Callable[[Path], object]) -> None:
    """Has a file written beside its place and puts it there; WriteRefused where the disk does not take it."""
    if out.exists() and not out.is_file():
        raise WriteRefused(f"{out} is not a file that can be replaced; name another")
    beside = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        write(beside)
        beside.replace(out)
    except OSError as error:
        raise WriteRefused(f"{out} cannot be written: {error.strerror or error}; name another file") from error
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)


def put_bytes(out: Path, held: bytes) -> None:
    """Puts a file of these bytes in its place."""
    put(out, lambda beside: beside.write_bytes(held))
