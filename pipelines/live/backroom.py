"""The back room: landing and settling in a process of their own, so that they take no turn away from the folds.

It answers one question at a time over a pipe, ends when the pipe does, and is started again when it died; everything it
does can be done twice. One that has grown large makes room for a fresh one, so that what a long history took for a
moment is given back.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import logging
import os
import resource
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import sqlalchemy as sa

import sql.live_schema  # noqa: F401  its tables belong to the schema
from models.catalogue import Rulebook
from pipelines import care
from pipelines.land import land_frame
from pipelines.live import folding
from pipelines.live.book import ENGINE_MEMORY, FAR, Told, read_book
from pipelines.live.fork import START
from pipelines.live.journal import read_segment
from pipelines.live.memory import Found
from pipelines.live.settling import Settled, settle
from sql.schema import LOADS
from sql.warehouse import AWAY, Warehouse

if TYPE_CHECKING:
    from pipelines.live.lookout import Looked

LOG = logging.getLogger("highwater.live")
PATIENCE_SECONDS = 10.0
GROWN_MB = 384


class BackroomLost(Exception):
    """The process ended before it had answered."""


@dataclass(frozen=True)
class News:
    """What the lake says of accounts after a landing, and the events of those under other terms, in their order."""

    told: Told
    changed: list[str]
    found: Found


class Backroom:
    """The service's side: every method waits for the answer; what fails there is raised here."""

    def __init__(
        self, warehouse: Warehouse, rulebook: Rulebook, nicer: int = 0, grown_mb: int = GROWN_MB, *, apart: bool = False
    ) -> None:
        self.warehouse, self.rulebook = warehouse, rulebook
        self.nicer, self.grown_mb, self.apart = nicer, grown_mb, apart
        self._lock = threading.Lock()
        self._process: Any = None
        self._pipe: Connection | None = None

    def land(self, segments: list[Path]) -> dict[str, set[str]]:
        """Lands closed segments and removes them; returns the datasets of each."""
        landed: dict[str, set[str]] = self._ask("land", segments)
        return landed

    def settle(self, number: int, touched: set[str], *, everything: bool) -> Settled | None:
        """A settling run (`pipelines.live.settling.settle`)."""
        settled: Settled | None = self._ask("settle", number, touched, everything)
        return settled

    def news(self, digests: dict[str, int]) -> News:
        """Reads accounts anew; `digests` are those of the rows that are known."""
        news: News = self._ask("news", digests)
        return news

    def look(self) -> Looked | None:
        """One look over the firm (`pipelines.live.lookout.look`)."""
        looked: Looked | None = self._ask("look")
        return looked

    def refresh_pages(self) -> float | None:
        """Brings the marts of pages up to date (`pipelines.live.pages.refresh`)."""
        seconds: float | None = self._ask("refresh_pages")
        return seconds

    def score(self) -> float | None:
        """A scoring run (`pipelines.score.score`); returns the seconds that took, None while the lake is empty."""
        seconds: float | None = self._ask("score")
        return seconds

    def compact(self, files_min: int) -> int:
        """Puts small files of the lake together; returns how many are fewer."""
        done: list[dict[str, Any]] = self._ask("compact", files_min)
        return sum(one["before"] - one["after"] for one in done)

    def close(self) -> None:
        """Lets the process end."""
        with self._lock:
            if self._pipe is not None:
                self._pipe.close()
                self._process.join(PATIENCE_SECONDS)
            self._pipe = self._process = None

    def end(self) -> None:
        """Ends the process whatever it does; what it has not written comes with the next scoring run."""
        if self._process is not None:
            self._process.kill()
            self._process.join(PATIENCE_SECONDS)
        self._pipe = self._process = None

    def _ask(self, name: str, *questions: Any) -> Any:
        with self._lock:
            if self._pipe is None or not self._process.is_alive():
                self._start()
            assert self._pipe is not None
            try:
                self._pipe.send((name, questions))
                done, answer, ends = self._pipe.recv()
            except (EOFError, OSError) as error:
                self._pipe = None
                raise BackroomLost("the process that lands and settles has ended; it is started again") from error
            if ends:
                self._pipe = None
        if not done:
            raise answer
        return answer

    def _start(self) -> None:
        self._pipe, theirs = START.Pipe()
        home, database_url = str(self.warehouse.home), self.warehouse.database_url
        told = (theirs, home, database_url, self.rulebook, self.nicer, self.grown_mb, self.apart)
        self._process = START.Process(target=_serve, args=told, name="backroom", daemon=True)
        self._process.start()
        theirs.close()


# --- in the process ------------------------------------------------------------------------------------------------


def _serve(
    pipe: Connection, home: str, database_url: str, rulebook: Rulebook, nicer: int, grown_mb: int, apart: bool
) -> None:
    """Answers until the other side is gone; only the service decides when that is."""
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        os.nice(nicer)
    if apart:
        keep_to_one_core()
    gc.freeze()  # what was loaded stays: looking through it after every answer would cost more than small answers do
    warehouse = Warehouse(Path(home), database_url)
    answers: dict[str, Callable[..., Any]] = {
        "land": lambda segments: _land(warehouse, segments),
        "settle": lambda number, touched, everything: settle(
            warehouse, rulebook, number, touched, everything=everything
        ),
        "look": lambda: _look(warehouse, rulebook),
        "refresh_pages": lambda: _refresh_pages(warehouse, rulebook),
        "score": lambda: _score(warehouse, rulebook),
        "compact": lambda files_min: care.compact(warehouse, files_min=files_min),
        "news": lambda digests: _news(warehouse, rulebook, digests),
    }
    with contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            name, questions = pipe.recv()
            try:
                answer = True, answers[name](*questions)
            except Exception as error:
                LOG.exception("%s failed", name)
                answer = False, _plain(error)
            gc.collect()
            give_back()
            ends = held_mb() > grown_mb
            pipe.send((*answer, ends))
            if ends:
                return


def keep_to_one_core() -> None:
    """Leaves all cores but one to others, also while this process has work for several; a lone core is shared."""
    with contextlib.suppress(OSError, AttributeError):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def held_mb() -> float:
    """What this process holds of the machine's memory; where the system does not tell, the most that it ever held."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def give_back() -> None:
    """Returns to the system what the work before has left unused: allocators would keep it for work as large."""
    pa.default_memory_pool().release_unused()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _plain(error: Exception) -> Exception:
    """An error that every process can read."""
    if isinstance(error, AWAY):
        return type(error)(str(error.statement), None, Exception(str(error.orig)))
    return RuntimeError(f"{type(error).__name__}: {error}")


def _look(warehouse: Warehouse, rulebook: Rulebook) -> Looked | None:
    from pipelines.live.lookout import look  # what learns takes seconds to import: neither a start nor a landing waits

    return look(warehouse, rulebook)


def _refresh_pages(warehouse: Warehouse, rulebook: Rulebook) -> float | None:
    from pipelines.live.pages import refresh  # as above

    return refresh(warehouse, rulebook)


def _score(warehouse: Warehouse, rulebook: Rulebook) -> float | None:
    from pipelines.score import score  # as above

    began = time.monotonic()
    return None if score(warehouse, rulebook).as_of is None else time.monotonic() - began


def _land(warehouse: Warehouse, segments: list[Path]) -> dict[str, set[str]]:
    done: dict[str, set[str]] = {}
    for path in segments:
        deliveries = read_segment(path) if path.exists() else []
        for delivery in deliveries:
            if not _is_landed(warehouse, delivery.fingerprint):
                land_frame(
                    warehouse, delivery.dataset, delivery.held, file=f"live/{path.stem}",
                    fingerprint=delivery.fingerprint, refused=delivery.refused, quick=True,
                )  # fmt: skip
        path.unlink(missing_ok=True)
        done[str(path)] = {delivery.dataset for delivery in deliveries}
    warehouse.checkpoint()
    return done


def _is_landed(warehouse: Warehouse, fingerprint: str) -> bool:
    query = sa.select(LOADS.c.load_id).where(LOADS.c.fingerprint == fingerprint, LOADS.c.finished_at.is_not(None))
    with warehouse.database.connect() as database:
        return database.execute(query).first() is not None


def _news(warehouse: Warehouse, rulebook: Rulebook, digests: dict[str, int]) -> News:
    told = read_book(warehouse, rulebook)
    changed = told.changed_from(digests)
    with warehouse.engine(FAR, ENGINE_MEMORY) as connection:
        return News(told, changed, folding.read_events(connection, changed))
