"""What of the machine failed, in one sentence: disks, files, the database and the lake, but never our own mistakes."""

from __future__ import annotations

import errno
import sqlite3

import duckdb
import sqlalchemy as sa
from deltalake.exceptions import DeltaError

from sql.warehouse import is_damaged, mending

AGAIN = "what was not finished was not kept; run it again"
_FULL = (errno.ENOSPC, errno.EDQUOT)
_FULL_WORDS = ("no space left", "disk is full", "could not write all bytes", "os error 28")
_OF_THE_ENGINE = (duckdb.IOException, duckdb.OutOfMemoryException, duckdb.InvalidInputException)


def sentence(error: BaseException) -> str | None:
    """Says what failed, where and what to do; None for an error that is a defect and deserves its traceback."""
    if isinstance(error, KeyboardInterrupt):
        return f"interrupted; {AGAIN}"
    if isinstance(error, MemoryError):
        return f"the memory ran out; {AGAIN} with less beside it"
    told = _told(error)
    if told is None:
        return sentence(error.__cause__) if error.__cause__ else None
    if any(words in told.lower() for words in _FULL_WORDS):
        return f"the disk is full ({told}); make room: {AGAIN}"
    return told


def _told(error: BaseException) -> str | None:
    """The sentence for one error, without those that it came from."""
    if isinstance(error, OSError):
        return _of_the_system(error)
    if isinstance(error, sa.exc.DBAPIError) and not isinstance(error, sa.exc.ProgrammingError):
        return _of_the_database(error)
    if isinstance(error, DeltaError):
        return f"the lake cannot be used: {_first_line(error)}; restore its folder from a copy"
    if isinstance(error, RuntimeError) and "cannot cache function" in str(error):
        return "compiled code cannot be kept: name a folder that may be written in NUMBA_CACHE_DIR and run it again"
    if isinstance(error, _OF_THE_ENGINE) or type(error) is duckdb.Error:
        return f"the lake could not be read: {_first_line(error)}; {AGAIN}, or restore its folder from a copy"
    return None


def _of_the_system(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    what = error.strerror or _first_line(error)
    return f"{where}{what}; {AGAIN} once that is mended" if error.errno not in _FULL else f"{where}{what}: disk is full"


def _of_the_database(error: sa.exc.DBAPIError) -> str:
    what = _first_line(error.orig or error)
    if isinstance(error.orig, sqlite3.OperationalError) and "locked" in what:
        return f"the database is held by another program ({what}); close that and run it again"
    if is_damaged(error.orig):
        return f"the database is damaged ({what}); {mending(error.orig)}"
    if any(words in what.lower() for words in _FULL_WORDS):
        return f"the database could not be written: {what}"
    if any(words in what for words in ("no such table", "no such column")):
        return f"the database lacks what Highwater keeps there ({what}); restore it from a copy, or use another one"
    return f"the database could not be used: {what}; {mending(error.orig)}, then run it again"


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
