"""The scoring run and the ingest under way, each told in a small file of the home: written as it begins and at each
step, gone when done.

A run that fails adds the sentence that it ended with, one that is killed leaves the file as it was. Who reads it tells
the two and a run under way apart by a lock, which the system frees when its holder dies. The file stays until a run
succeeds, and is no part of the database, because the database may be what failed.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from filelock import Timeout

from pipelines import faults
from pipelines.whole import WriteRefused, put_bytes
from sql.one_line import one_line
from sql.warehouse import Warehouse

RUN, INGEST = "run", "ingest"
KINDS = (RUN, INGEST)
FIRST_STEP = "reading the terms"
MOST_TOLD = 1_000
Say = Callable[[str], None]
Sentence = Callable[[BaseException], str | None]


@dataclass(frozen=True)
class Attempt:
    """A run that has not succeeded: when it began, its last step, and what it ended with (None: nothing was said)."""

    started_at: dt.datetime
    step: str
    step_at: dt.datetime
    ended_at: dt.datetime | None = None
    told: str | None = None
    running: bool = False
    kind: str = RUN


@contextlib.contextmanager
def begun(
    warehouse: Warehouse,
    say: Say = lambda _: None,
    sentence: Sentence = faults.sentence,
    kind: str = RUN,
    first: str = FIRST_STEP,
) -> Iterator[Callable[[str], None]]:
    """A run from its first to its last step; gives what each step is told to as it begins, which passes it on.

    Scoring runs wait for each other. An ingest beside another does not: it is told only if it began alone.
    """
    file, lock = _file(warehouse, kind), warehouse.lock(_named(kind))
    try:
        lock.acquire(timeout=-1 if kind == RUN else 0)
    except Timeout:
        yield say
        return
    try:
        now = dt.datetime.now(dt.UTC)
        stands = Attempt(now, one_line(first), now, kind=kind)
        _write(file, stands)

        def step(named: str) -> None:
            nonlocal stands
            stands = replace(stands, step=one_line(named), step_at=dt.datetime.now(dt.UTC))
            _write(file, stands)
            say(named)

        try:
            yield step
        except BaseException as error:
            told = one_line(sentence(error) or f"{type(error).__name__}: {error}")[:MOST_TOLD]
            _write(file, replace(stands, ended_at=dt.datetime.now(dt.UTC), told=told))
            raise
        with contextlib.suppress(OSError):
            file.unlink(missing_ok=True)
    finally:
        lock.release()


def _named(kind: str) -> str:
    return f"attempt-{kind}"


def _file(warehouse: Warehouse, kind: str) -> Path:
    return warehouse.home / f"{_named(kind)}.json"


def _write(file: Path, attempt: Attempt) -> None:
    """Puts a whole file in the place of the one before; a disk that takes none must not end a run."""
    told = {name: at.isoformat() if isinstance(at, dt.datetime) else at for name, at in vars(attempt).items()}
    with contextlib.suppress(WriteRefused):
        put_bytes(file, json.dumps(told).encode())


def last(warehouse: Warehouse, kind: str = RUN) -> Attempt | None:
    """The run that is under way or ended without success; None after one that succeeded."""
    try:
        held = json.loads(_file(warehouse, kind).read_text(encoding="utf-8"))
        times = {
            name: None if held[name] is None else dt.datetime.fromisoformat(held[name])
            for name in ("started_at", "step_at", "ended_at")
        }
    except (OSError, ValueError, KeyError, TypeError):
        return None
    ended = times["ended_at"] is not None
    return Attempt(**(held | times | {"running": not ended and _is_held(warehouse, kind), "kind": kind}))


def _is_held(warehouse: Warehouse, kind: str) -> bool:
    try:
        with warehouse.lock(_named(kind)).acquire(timeout=0):
            return False
    except (Timeout, OSError):
        return True
