"""The service behind the endpoints: three threads from a body to a verdict to the lake.

The accepting thread validates what waits, journals it in one write and answers; the folding thread turns it into
verdicts; the landing thread brings closed segments of the journal into the lake and settles what folds cannot know.
A process that dies at any instant has lost nothing that it acknowledged: the journal lands at the next start.
"""

from __future__ import annotations

import datetime as dt
import gc
import logging
import queue
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

import sql.live_schema  # noqa: F401  its tables belong to the schema
from models.catalogue import Rulebook
from pipelines import lost, marts, seals
from pipelines.land import recover
from pipelines.live import alerts, outbox
from pipelines.live.accepting import (
    DeskRefused,
    Judged,
    Request,
    answers,
    as_entry,
    judge_requests,
)
from pipelines.live.backroom import Backroom, News, give_back
from pipelines.live.book import ENGINE_MEMORY
from pipelines.live.folding import FOLDED, Batch, Folding
from pipelines.live.index import SAME, Known
from pipelines.live.journal import Journal
from pipelines.live.keys import Key, Keyring
from pipelines.live.settling import Settled, take_over
from pipelines.live.silence import Silence
from sql.schema import DATASETS, RUNS
from sql.warehouse import AWAY, Warehouse, newest_fact

LOG = logging.getLogger("highwater.live")
BOOKED = ("accounts", "challenges", "traders", "desks")
LAST_TRIES = 5
TELLING_SECONDS_MAX = 10.0
DISK_SECONDS = 10
BATCH_ROWS_MAX = 20_000
LOOK_TICK_SECONDS = 0.5
BACKROOM_NICER, LOOKOUT_NICER = 5, 10
"""Folds come first: landing and settling take what time they leave, a look what all of these leave, on one core."""
Result = TypeVar("Result")
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class Busy(Exception):
    """More waits than may, or a key sends more than it may; `seconds` says when to come again."""

    def __init__(self, seconds: int, why: str = "too much is waiting") -> None:
        super().__init__(f"{why}; try again in {seconds} s")
        self.seconds = seconds


class DiskFull(Busy):
    """The journal cannot be written; nothing of the body was taken."""


@dataclass(frozen=True)
class Pace:
    """How the service spends its time: seconds between landings, settling runs, looks, what pages show anew, and runs.

    A scoring run brings what a look leaves out: payouts, partners, churn and cases.
    """

    landing_seconds: float = 2.0
    settling_seconds: float = 60.0
    idle_seconds: float = 1.0
    telling_seconds: float = 0.5
    looking_seconds: float = 10.0
    paging_seconds: float = 3.0
    writing_seconds: float = 1.0
    """How long the rows of accounts about which nothing new is said may wait to be written together."""
    written_at_once: int = 500
    """So few are written as soon as nothing else waits."""
    scoring_seconds: float = 900.0
    scoring_rests: float = 9.0
    """After a scoring run comes a rest of so many times what it took."""
    waiting_rows_max: int = 100_000
    """Rows that may wait for a verdict."""
    compacted_files: int = 150
    """A dataset of so many files has the small ones put together."""


@dataclass
class Counts:
    """What the metrics tell."""

    rows: Counter[tuple[str, str]] = field(default_factory=Counter)
    requests: Counter[str] = field(default_factory=Counter)
    folds: int = 0
    walked: int = 0
    verdicts: int = 0
    fold_seconds: deque[float] = field(default_factory=lambda: deque(maxlen=1_000))
    landings: int = 0
    settlings: int = 0
    compacted: int = 0
    looks: int = 0
    look_seconds: float = 0.0
    pages: int = 0
    runs: int = 0
    failures: int = 0
    actions: int = 0
    alerts: int = 0
    last_by_dataset: dict[str, float] = field(default_factory=dict)


class Steady:
    """The time, which goes on where the machine's clock is set back: nobody's present is refused as the future."""

    def __init__(self) -> None:
        self._began, self._ticks = time.time(), time.monotonic()

    def now(self) -> dt.datetime:
        """The later of what the clock says and what it said at first, with the time since."""
        return dt.datetime.fromtimestamp(max(time.time(), self._began + time.monotonic() - self._ticks), dt.UTC)


class Turn:
    """Whose turn it is: work that is due once something has happened, and rests as long as it took, or longer."""

    def __init__(self, seconds: float, rests: float) -> None:
        self._seconds, self._rests = seconds, rests
        self._wanted = threading.Event()
        self._next = time.monotonic() + seconds

    def want(self) -> None:
        """Notes that something has happened."""
        self._wanted.set()

    def soon(self, seconds: float) -> None:
        """Makes it due after so many seconds at the latest, whatever happens."""
        self._wanted.set()
        self._next = min(self._next, time.monotonic() + seconds)

    def due(self) -> bool:
        """Whether it is time; what happens from now on is for the next time."""
        if not self._wanted.is_set() or time.monotonic() < self._next:
            return False
        self._wanted.clear()
        return True

    def took(self, seconds: float | None) -> None:
        """Notes how long it took; None where it could not be done and is wanted still."""
        if seconds is None:
            self._wanted.set()
        self._next = time.monotonic() + max(self._seconds, self._rests * (seconds or 0.0))


class Service:
    """Accepts, keeps, judges and lands; `start` before use, `stop` ends it with everything landed and settled."""

    def __init__(self, warehouse: Warehouse, rulebook: Rulebook, pace: Pace | None = None) -> None:
        self.warehouse, self.rulebook, self.pace = warehouse, rulebook, pace or Pace()
        self.keys = Keyring(warehouse)
        self.counts = Counts()
        self.silence = Silence()
        self.journal = Journal(warehouse.home / "live" / "wal")
        self.known = Known()
        self.folding = Folding(warehouse, rulebook, EPOCH)
        self.backroom = Backroom(warehouse, rulebook, BACKROOM_NICER)
        self.lookout = Backroom(warehouse, rulebook, LOOKOUT_NICER, apart=True)
        self.ready = self.failed = False
        self._waiting: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self._to_fold: queue.SimpleQueue[Batch | Callable[[], None] | None] = queue.SimpleQueue()
        self._rows_waiting = 0
        self._rows_lock = threading.Lock()
        self._number = 0
        self._land_now = threading.Event()
        self._stopping = threading.Event()
        self._landed_number = 0
        self._rebook = False
        self._since: dict[int, int] = {}
        self._unsettled = False
        self._run: int | None = None
        self._run_ended = False
        self._settled_at = self._last_event = 0.0
        self._clock = Steady()
        self._looks = Turn(self.pace.looking_seconds, 1.0)
        self._pages = Turn(self.pace.paging_seconds, 2.0)
        self._scores = Turn(self.pace.scoring_seconds, self.pace.scoring_rests)
        self._threads: list[threading.Thread] = []

    # --- life --------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Lands what a former process left, judges what is due, and begins to serve."""
        recover(self.warehouse)
        self.warehouse.leave_checkpoints()
        self._land_closed()
        self.known.fill(self.warehouse, ENGINE_MEMORY)
        brought = lost.landed(self.warehouse)
        seals.refuse(self.warehouse)
        with self.warehouse.engine(memory=ENGINE_MEMORY) as connection:
            lost.refuse(self.warehouse, connection, brought)
            self.folding.as_of = newest_fact(connection) or EPOCH
        self._note_run()
        self.folding.begin()
        settled = self.backroom.settle(0, set(), everything=not self._comparable())
        if settled:
            take_over(self.folding, settled)
        self._run_ended = False
        self._settled_at = time.monotonic()
        if not marts.are_there(self.warehouse):
            self._scores.soon(self.pace.looking_seconds)
        loops = (
            self._accept_loop, self._fold_loop, self._land_loop, self._send_loop, self._tell_loop, self._look_loop,
        )  # fmt: skip
        self._threads = [threading.Thread(target=loop, name=loop.__name__, daemon=True) for loop in loops]
        for thread in self._threads:
            thread.start()
        # what was loaded stays: looking through it for garbage would hold up every thread for as long as a fold takes
        gc.collect()
        gc.freeze()
        self.ready = True

    def stop(self) -> None:
        """Takes nothing more, finishes what was accepted, lands and settles it."""
        self.ready = False
        if not self._threads:
            return
        accepting, folding, landing, sending, telling, _ = self._threads
        self._waiting.put(None)
        accepting.join()
        self._stopping.set()
        self._land_now.set()
        landing.join()
        self._to_fold.put(None)
        folding.join()
        self.backroom.close()
        self.lookout.end()
        sending.join(TELLING_SECONDS_MAX)
        telling.join(TELLING_SECONDS_MAX)

    def _comparable(self) -> bool:
        """Whether what was decided was decided by this rulebook."""
        with self.warehouse.database.connect() as database:
            query = sa.select(RUNS.c.rulebook).order_by(RUNS.c.run_id.desc()).limit(1)
            return database.execute(query).scalar() == self.rulebook.digest

    # --- accepting ---------------------------------------------------------------------------------------------------

    def submit(self, request: Request) -> None:
        """Puts a request in line; Busy when too many rows wait."""
        with self._rows_lock:
            if not self.ready or self._rows_waiting + request.rows > self.pace.waiting_rows_max:
                raise Busy(2 if self.ready else 5)
            self._rows_waiting += request.rows
        self._waiting.put(request)

    @property
    def rows_waiting(self) -> int:
        """Rows accepted or in line that no verdict has been written for yet."""
        return self._rows_waiting

    def _released(self, rows: int) -> None:
        with self._rows_lock:
            self._rows_waiting -= rows

    def _accept_loop(self) -> None:
        while (first := self._waiting.get()) is not None:
            requests, rows = [first], first.rows
            while rows < BATCH_ROWS_MAX and not self._waiting.empty():
                more = self._waiting.get()
                if more is None:
                    self._waiting.put(None)
                    break
                requests.append(more)
                rows += more.rows
            self._accept(requests)

    def _accept(self, requests: list[Request]) -> None:
        """Validates, journals and answers what was waiting; a failure is told to whoever waits for an answer."""
        try:
            groups = self._judged(requests)
            self._keep(groups)
        except OSError as error:
            LOG.error("the journal cannot be written: %s", error)
            self._fail(requests, DiskFull(DISK_SECONDS, f"the disk takes no more ({error.strerror})"))
        except Exception as error:
            LOG.exception("a batch could not be taken")
            self._fail(requests, error)

    def _fail(self, requests: list[Request], error: Exception) -> None:
        self.counts.failures += 1
        for request in requests:
            if not request.answer.done():
                self._released(request.rows)
                request.answer.set_exception(error)

    def _judged(self, requests: list[Request]) -> list[list[Judged]]:
        by_dataset: defaultdict[str, list[Request]] = defaultdict(list)
        for request in requests:
            by_dataset[request.dataset.name].append(request)
        now = self._clock.now()
        judged = [judge_requests(group, now) for group in by_dataset.values()]
        return [allowed for group in judged if (allowed := [one for one in group if self._allowed(one)])]

    def _allowed(self, judged: Judged) -> bool:
        """Whether the key reaches the desks of the rows; who is refused is answered here."""
        wrong = self._wrong_desk(judged.request.key, judged.held)
        if wrong is None:
            return True
        self._released(judged.request.rows)
        judged.request.answer.set_exception(DeskRefused(wrong))
        return False

    def _wrong_desk(self, key: Key, rows: pa.Table) -> str | None:
        if not key.desks:
            return None
        book = self.folding.book
        for column, desks in (
            ("desk_id", lambda value: {value}),
            ("account_id", lambda value: {book.desk_of[value]} if value in book.desk_of else set()),
            ("trader_id", lambda value: book.desks_of_trader.get(value, set())),
        ):
            for value in rows[column].unique().to_pylist() if column in rows.column_names else ():
                if value is not None and (found := desks(value)) and not found & key.desks:
                    return f"this key does not reach {column} {value}"
        return None

    def _keep(self, groups: list[list[Judged]]) -> None:
        """Journals, then tells news from duplicates, answers, and hands the news to the folding thread."""
        if not groups:
            return
        with self.journal.lock:
            segment = self.journal.append([as_entry(group) for group in groups])
            self._number += 1
            for group in groups:
                self._hand_over(group, segment)
        self._unsettled = True

    def _hand_over(self, group: list[Judged], segment: Path) -> None:
        dataset = group[0].request.dataset
        rows = pa.concat_tables([one.held for one in group])
        told = self.known.put(dataset, rows.drop_columns(["_line"]), self.warehouse)
        for one, answer in zip(group, answers(group, told), strict=True):
            one.request.answer.set_result(answer)
            for name, count in (("accepted", answer["accepted"]), ("duplicates", answer["duplicates"])):
                self.counts.rows[dataset.name, name] += count
            self.counts.rows[dataset.name, "rejected"] += len(answer["rejected"])
        self.silence.heard(dataset.name, self._clock.now().timestamp())
        self.counts.last_by_dataset[dataset.name] = time.time()
        self._last_event = time.monotonic()
        delivered = sum(one.request.rows for one in group)
        news = rows.filter(pa.array(told != SAME))
        self._released(delivered - news.num_rows)
        if news.num_rows:
            batch = Batch(self._number, dataset.name, str(segment), news, told[told != SAME])
            self._to_fold.put(batch)
        if dataset.name in BOOKED:
            self._land_now.set()

    # --- folding -----------------------------------------------------------------------------------------------------

    def _fold_loop(self) -> None:
        while (first := self._next_to_fold()) is not None:
            if not isinstance(first, Batch):
                # others ask of this thread what stands on all that was judged before
                self._again(self.folding.write_put_off)
                self._again(first)
                continue
            batches, after = self._more(first)
            began = time.perf_counter()
            self._again(lambda batches=batches: self._take(batches))  # type: ignore[misc]
            self._again(self._judge)
            self.counts.fold_seconds.append(time.perf_counter() - began)
            if after is not None or self._writing_due():
                self._again(self.folding.write_put_off)
            self._released(sum(batch.rows.num_rows for batch in batches))
            if after is not None:
                self._again(after)
        self._again(self.folding.write_put_off)

    def _next_to_fold(self) -> Batch | Callable[[], None] | None:
        """What is to be done next; what was put off is written when nothing comes for so long."""
        while True:
            left = max(self.pace.writing_seconds - self.folding.put_off.seconds, 0.0)
            try:
                return self._to_fold.get(timeout=left if self.folding.put_off else None)
            except queue.Empty:
                self._again(self.folding.write_put_off)

    def _writing_due(self) -> bool:
        waiting = self.folding.put_off
        few = len(waiting) <= self.pace.written_at_once and self._to_fold.empty()
        return few or waiting.seconds >= self.pace.writing_seconds

    def _more(self, first: Batch) -> tuple[list[Batch], Callable[[], None] | None]:
        """Every batch that waits behind the first, up to the next command."""
        batches = [first]
        while sum(batch.rows.num_rows for batch in batches) < BATCH_ROWS_MAX and not self._to_fold.empty():
            more = self._to_fold.get()
            if more is None:
                self._to_fold.put(None)
                break
            if not isinstance(more, Batch):
                return batches, more
            batches.append(more)
        return batches, None

    def _again(self, work: Callable[[], None]) -> None:
        """Does work of the folding thread, again and again while the database is away."""
        pause = 0.1
        while True:
            try:
                work()
                return
            except AWAY as error:
                LOG.warning("the database is away: %s", str(error.orig).splitlines()[0])
                self.counts.failures += 1
                time.sleep(pause)
                pause = min(2 * pause, 5.0)
            except Exception:
                LOG.exception("a fold failed; the settling run will judge these accounts")
                self.counts.failures += 1
                self._since = {}
                self.folding.put_off.leave_out(None)
                self.folding.unload(list(self.folding.book.codes.values()))
                return

    def _in_fold(self, work: Callable[[], Result]) -> Result:
        """Has the folding thread do work between two batches; waits for its result."""
        done: Future[Result] = Future()

        def run() -> None:
            try:
                done.set_result(work())
            except AWAY:
                raise
            except Exception as error:
                done.set_exception(error)

        self._to_fold.put(run)
        return done.result()

    def _take(self, batches: list[Batch]) -> None:
        self._advance(batches)
        self.folding.pending += [batch for batch in batches if batch.dataset in FOLDED]
        for code, at in self.folding.take(batches).items():
            self._since[code] = min(at, self._since.get(code, at))

    def _judge(self) -> None:
        done = self.folding.judge(self._since, putting_off=True)
        self._since = {}
        self._pages.want()
        self.counts.folds += 1
        self.counts.walked += done["walked"]
        self.counts.verdicts += done["verdicts"]

    def _advance(self, batches: Sequence[Batch]) -> None:
        """The instant the service stands at is that of the newest fact."""
        for batch in batches:
            dated_by = DATASETS[batch.dataset].dated_by
            if dated_by:
                newest = pc.max(batch.rows[dated_by]).as_py()
                self.folding.as_of = max(self.folding.as_of, newest)

    # --- landing and settling ----------------------------------------------------------------------------------------

    def _land_loop(self) -> None:
        while not self._stopping.is_set():
            self._land_now.wait(self.pace.landing_seconds)
            self._land_now.clear()
            self._land_and_settle()
        for _ in range(LAST_TRIES):
            if self._unsettled:
                self._land_and_settle(now=True)

    def _land_and_settle(self, *, now: bool = False) -> None:
        try:
            self._land()
            self._note_run()
            if now or self._run_ended or self._settling_due():
                self._settle()
        except Exception:
            LOG.exception("landing or settling failed; it is tried again")
            self.counts.failures += 1
            self._unsettled = True
            time.sleep(1.0)

    def _land(self) -> None:
        with self.journal.lock:
            self.journal.rotate()
            number = self._number
        landed = self._land_closed()
        self._landed_number = number
        self._rebook |= any(datasets & set(BOOKED) for datasets in landed.values())
        if self._rebook:
            news = self.backroom.news(self.folding.book.digests)
            self._in_fold(lambda: self._landed(set(landed), news))
            self._rebook = False
        elif landed:
            self._in_fold(lambda: self._landed(set(landed), None))

    def _land_closed(self) -> dict[str, set[str]]:
        """Lands every closed segment; returns the datasets of each."""
        closed = self.journal.closed()
        landed = self.backroom.land(closed) if closed else {}
        self.counts.landings += len(landed)
        if landed:
            self._looks.want()
            self._scores.want()
        return landed

    def _landed(self, segments: set[str], news: News | None) -> None:
        """In the folding thread: what has landed waits no more; news about accounts makes them be judged again."""
        self.folding.pending = [batch for batch in self.folding.pending if batch.segment not in segments]
        if news is None:
            return
        changed = self.folding.take_book(news.told)
        self.folding.take_events([self.folding.book.codes[name] for name in news.changed], news.found)
        # what waits may be of accounts that nobody knew when it came: a settling run that has not read it is older
        newest = max((batch.number for batch in self.folding.pending), default=0)
        for code in changed:
            self.folding.touched_by[code] = max(self.folding.touched_by.get(code, 0), newest)
        self.folding.judge(dict.fromkeys(changed, 0))

    # --- what goes out -----------------------------------------------------------------------------------------------

    def _send_loop(self) -> None:
        """Sends actions to platforms; a slow one holds up neither folds nor alerts."""
        while not self._stopping.wait(self.pace.telling_seconds):
            self._try_to(self._send, "actions could not be sent")

    def _send(self) -> None:
        self.counts.actions += outbox.deliver(self.warehouse, dt.datetime.now(dt.UTC))

    def _tell_loop(self) -> None:
        """Tells people of what they subscribed to."""
        while not self._stopping.wait(self.pace.telling_seconds):
            self._try_to(self._tell, "alerts could not be sent")

    def _tell(self) -> None:
        now = dt.datetime.now(dt.UTC)
        if silences := self.silence.news(self._clock.now().timestamp()):
            with self.warehouse.database.begin() as database:
                alerts.raise_news(database, silences, now)
        self.counts.alerts += alerts.tell(self.warehouse, now)

    def _try_to(self, work: Callable[[], None], words: str) -> None:
        try:
            work()
        except Exception:
            LOG.exception("%s; it is tried again", words)
            self.counts.failures += 1

    def _look_loop(self) -> None:
        """Brings pages up to date, looks at the firm again and has a scoring run, each when there is something new.

        What takes long is followed by as long a rest.
        """
        while not self._stopping.wait(min(LOOK_TICK_SECONDS, self.pace.looking_seconds)):
            if self._pages.due():
                self._take_turn(self._pages, self._refresh_pages)
            if self._looks.due():
                self._take_turn(self._looks, self._look)
            if self._scores.due():
                self._take_turn(self._scores, self._score)

    def _take_turn(self, turn: Turn, work: Callable[[], float | None]) -> None:
        try:
            turn.took(work())
        except Exception:
            turn.took(None)
            if not self._stopping.is_set():
                LOG.exception("a look failed; it is tried again")
                self.counts.failures += 1

    def _refresh_pages(self) -> float | None:
        seconds = self.lookout.refresh_pages()
        self.counts.pages += seconds is not None
        return seconds

    def _look(self) -> float | None:
        looked = self.lookout.look()
        if looked is None:
            return None
        self.counts.compacted += self.lookout.compact(self.pace.compacted_files)
        self.counts.looks += 1
        self.counts.look_seconds = looked.seconds
        self._pages.want()
        return looked.seconds

    def _score(self) -> float | None:
        seconds = self.lookout.score()
        self.counts.runs += seconds is not None
        return seconds

    def _note_run(self) -> None:
        """Notes whether a scoring run has ended: it may have written what stood before events that it had not read."""
        with self.warehouse.database.connect() as database:
            newest = database.execute(sa.select(sa.func.max(RUNS.c.run_id))).scalar()
        self._run_ended, self._run = self._run_ended or newest != self._run, newest

    def _settling_due(self) -> bool:
        if not self._unsettled:
            return False
        idle = time.monotonic() - self._last_event > self.pace.idle_seconds
        return idle or time.monotonic() - self._settled_at > self.pace.settling_seconds

    def _settle(self) -> None:
        """Judges from the lake and has the folding thread take it over; waits until it has."""
        with self.journal.lock:
            number = self._landed_number
            self._unsettled = self._number > number
        if self._run_ended:
            self._in_fold(self.folding.remember)
        touched = self._in_fold(self._touched)
        settled = self.backroom.settle(number, touched, everything=self._run_ended)
        if settled is not None:
            self._in_fold(lambda: self._take_over(settled))
        self._run_ended = False
        self._settled_at = time.monotonic()
        self.counts.settlings += 1
        give_back()

    def _take_over(self, settled: Settled) -> None:
        take_over(self.folding, settled)
        self._pages.want()
        if self.folding.touched_by:
            self._unsettled = True

    def _touched(self) -> set[str]:
        names = list(self.folding.book.codes)
        return {names[code] for code in self.folding.touched_by}
