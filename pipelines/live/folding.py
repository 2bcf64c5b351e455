"""Folds events into verdicts: the accounts that a micro-batch touches are walked on, and what changed is written.

Of each account a checkpoint is kept, a state of the walk at an instant that lies a while back, and the events since. A
fold walks on from there; an event that belongs before the checkpoint has the account read from the lake and walked from
where the last scoring run left it, if that lies before the event, else from its start; after that a longer stretch is
kept. Rules over whole histories come from the settling run (`pipelines.live.settling`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from models import checkpoints, events, terms, verdicts, walk
from models.catalogue import Rulebook
from models.checkpoints import Checkpoints
from models.clock import from_micros, to_micros
from models.walk import Array
from pipelines import score
from pipelines.live import decisions
from pipelines.live.book import ENGINE_MEMORY, FAR, Book, Told, read_book
from pipelines.live.decisions import UNCHANGED, Change, Said
from pipelines.live.index import CHANGED
from pipelines.live.memory import Found, Memory, read_found
from pipelines.live.putting_off import PutOff
from sql import duck, relations, schema
from sql.schema import DATASETS
from sql.warehouse import Warehouse, upsert_rows

FOLDED = ("deals", "equity")
DAYS_BACK = dt.timedelta(days=2)
"""A firm day begins at most a day and some hours before the instant that falls into it."""
SECOND = 1_000_000
KEPT_SECONDS = 10
"""How far behind an account's newest event its checkpoint stays at first."""
KEPT_SECONDS_MAX = 86_400
TAIL_EVENTS = 16
"""A checkpoint is moved on when so many events, and a quarter more than the last time left there, stand after it."""
LOAD_EVENTS_MAX = 4_000_000
FEW_ACCOUNTS = 500
DAY_SECONDS = 86_400
NOTHING: Mapping[str, dt.date] = {}
PLACE = np.dtype([("state", walk.STATE), ("newest", "i8"), ("kept_us", "i8"), ("tail_max", "i8"), ("loaded", "?")])
"""What the fold keeps of an account: its checkpoint, the newest instant walked, how far behind that the checkpoint
stays, how many events make it move, and whether its events since are in memory."""


@dataclass(frozen=True)
class Batch:
    """Rows of one dataset that are news: in arrival order, with what the index said of each."""

    number: int
    dataset: str
    segment: str
    rows: pa.Table
    told: Array


@dataclass
class Folding:
    """Accounts, their events in memory, and what has been said about them; used by one thread."""

    warehouse: Warehouse
    rulebook: Rulebook
    as_of: dt.datetime
    book: Book = field(default_factory=Book)
    memory: Memory = field(default_factory=Memory)
    places: Array = field(default_factory=lambda: np.zeros(0, PLACE))
    stops: dict[int, tuple[int, str]] = field(default_factory=dict)
    pauses: dict[int, list[int]] = field(default_factory=dict)
    said: dict[str, set[Said]] = field(default_factory=dict)
    touched_by: dict[int, int] = field(default_factory=dict)
    pending: list[Batch] = field(default_factory=list)
    parked: set[str] = field(default_factory=set)
    put_off: PutOff = field(default_factory=PutOff)

    def __post_init__(self) -> None:
        self._connection = duck.connect({"threads": 1})
        self._connection.execute(
            "set timezone = 'UTC'; create schema staging; create schema facts; create schema decided"
        )

    # --- accounts and their events -----------------------------------------------------------------------------------

    def begin(self) -> None:
        """Reads accounts, what was said about them, and the events of those that may still change."""
        self.refresh()
        self.remember()
        with self.warehouse.database.connect() as database:
            ended = decisions.ended(database)
        for part in self._parts([code for account, code in self.book.codes.items() if account not in ended]):
            self._load(part)
            self.move_on(np.array(part, np.int64))

    def remember(self) -> None:
        """Reads what stands of every account: a scoring run has said it, or a service before this one."""
        with self.warehouse.database.connect() as database:
            self.said = decisions.standing(database)

    def refresh(self) -> list[int]:
        """Reads the book anew; returns accounts under other terms, which are to be loaded and folded again."""
        return self.take_book(read_book(self.warehouse, self.rulebook))

    def take_book(self, told: Told) -> list[int]:
        """Takes over what was read about accounts; returns those under other terms."""
        changed = self.book.take(told, self.rulebook)
        self.parked -= set(self.book.codes)
        names = list(self.book.codes)
        events.register_walked(self._connection, names)
        new = np.zeros(len(names) - len(self.places), PLACE)
        new["kept_us"], new["tail_max"] = KEPT_SECONDS * SECOND, TAIL_EVENTS
        self.places = np.concatenate([self.places, new])
        return changed

    def load(self, codes: list[int]) -> None:
        """Loads accounts from the lake and from what has not landed yet, many events at a time."""
        for part in self._parts(codes):
            self._load(part)

    def _load(self, codes: list[int]) -> None:
        names = self.book.frame["account_id"].take(codes).tolist()
        with self.warehouse.engine(FAR, ENGINE_MEMORY) as connection:
            stored = self._stored(codes, connection)
            self.take_events(codes, read_events(connection, names, stored), stored.states)

    def _stored(self, codes: list[int], connection: duckdb.DuckDBPyConnection) -> Checkpoints:
        """Where the last scoring run left accounts, where nothing said since belongs before that."""
        accounts = self.book.frame.iloc[codes].reset_index(drop=True)
        rests = checkpoints.fingerprints(accounts, self.book.terms[codes], self.book.clocks)
        news = score.said_since(self.warehouse, self.rulebook, connection, FAR)
        if news is None:
            return checkpoints.none(rests)
        for name, at in self._waiting_since(accounts["account_id"]).items():
            news[name] = min(at, news.get(name, at))
        with self.warehouse.database.connect() as database:
            return checkpoints.read(database, accounts["account_id"].tolist(), rests, news)

    def _waiting_since(self, names: pd.Series[str]) -> dict[str, int]:
        """The earliest instant of each of these accounts of whose events some have not landed; the first of all where
        one was corrected, since what it was before may have stood at any."""
        found: dict[str, int] = {}
        for batch in self.pending:
            dated = DATASETS[batch.dataset].dated_by if batch.dataset in FOLDED else None
            if dated is None:
                continue
            mine = pc.is_in(batch.rows["account_id"], pa.array(names, pa.string()))
            rows, told = batch.rows.filter(mine), batch.told[mine.to_numpy()]
            instants = np.where(told == CHANGED, -walk.NEVER, _micros(rows[dated]))
            for name, at in zip(rows["account_id"].to_pylist(), instants.tolist(), strict=True):
                found[name] = min(at, found.get(name, at))
        return found

    def _parts(self, codes: list[int]) -> list[list[int]]:
        """Accounts in groups that are read at a time, so that a large firm needs no more memory than a small one."""
        if len(codes) <= FEW_ACCOUNTS:
            return [codes] if codes else []
        with self.warehouse.engine(FAR, ENGINE_MEMORY) as connection:
            query = "select account_id, count(*) from (from lake.deals select account_id union all from lake.equity" + (
                " select account_id) group by account_id"
            )
            counts = dict(connection.execute(query).fetchall())
        held = np.cumsum([counts.get(name, 0) for name in self.book.frame["account_id"].take(codes)])
        groups = np.split(np.array(codes), np.flatnonzero(np.diff(held // LOAD_EVENTS_MAX)) + 1)
        return [group.tolist() for group in groups]

    def take_events(self, codes: list[int], found: Found, states: Array | None = None) -> None:
        """Puts accounts, whose events (`found`, by their place in `codes`) were read from the lake, at their start, or
        at the states after which these events come."""
        listed = np.array(codes, np.int64)
        self.memory.forget(listed)
        self.places["state"][listed] = np.zeros((), walk.STATE) if states is None else states
        self.places["newest"][listed] = walk.NEVER
        self.places["tail_max"][listed], self.places["loaded"][listed] = TAIL_EVENTS, True
        self.memory.add(found.renamed(listed), replacing=False)
        waiting = [batch for batch in self.pending if batch.dataset in FOLDED]
        if waiting:
            told = self._found(waiting)
            told.keep(codes)
            self.memory.add(told, replacing=True)

    def unload(self, codes: Sequence[int]) -> None:
        """Lets go of accounts; the next event has them loaded anew."""
        listed = np.array(codes, np.int64)
        self.memory.forget(listed)
        self.places["loaded"][listed] = False

    def _found(self, batches: list[Batch]) -> Found:
        """Events of batches, the last of each key, as the memory takes them."""
        told = [dataset for dataset in FOLDED if any(batch.dataset == dataset for batch in batches)]
        for dataset in told:
            rows = [batch.rows for batch in batches if batch.dataset == dataset]
            self._connection.register(f"told_{dataset}", _numbered(rows))
            self._connection.execute(f"create view if not exists staging.{dataset} as {_last_told(dataset)}")
        return read_found(self._connection, *told)

    # --- one micro-batch ---------------------------------------------------------------------------------------------

    def take(self, batches: list[Batch]) -> dict[int, int]:
        """Takes batches into memory; returns the accounts they touch and the earliest instant that changed of each."""
        events_of = [batch for batch in batches if batch.dataset in FOLDED]
        if not events_of:
            return {}
        self._park(events_of)
        found = self._found(events_of)
        since, corrected = found.touched(), self._corrected(events_of)
        cold = [code for code in since if code in corrected or not self._is_warm(code, since[code])]
        # the place of a late event is known; of what else was missed it is not
        whole = [code for code in cold if code in corrected or not self.places["loaded"][code]]
        found.keep(sorted(since.keys() - set(cold)))
        self.memory.add(found, replacing=any((batch.told == CHANGED).any() for batch in events_of))
        self.load(cold)
        self.touched_by.update(dict.fromkeys(since, batches[-1].number))
        return since | dict.fromkeys(whole, 0)

    def _corrected(self, batches: list[Batch]) -> set[int]:
        """Accounts with a deal that was there before with other values, perhaps before the checkpoint."""
        changed = [batch.rows["account_id"].filter(pa.array(batch.told == CHANGED)) for batch in batches]
        names = {name for accounts in changed for name in accounts.unique().to_pylist()}
        return {self.book.codes[name] for name in names if name in self.book.codes}

    def _is_warm(self, code: int, at: int) -> bool:
        """Whether an event can be walked from the checkpoint; after one that cannot, more is kept of the account."""
        place = self.places[code]
        if not place["loaded"]:
            return False
        if not place["state"]["begun"] or at > place["state"]["at"]:
            return True
        late = 2 * (int(place["newest"]) - at) if place["newest"] != walk.NEVER else 0
        self.places["kept_us"][code] = min(max(int(place["kept_us"]), late), KEPT_SECONDS_MAX * SECOND)
        return False

    def _park(self, batches: list[Batch]) -> None:
        for batch in batches:
            self.parked.update(set(batch.rows["account_id"].unique().to_pylist()) - self.book.codes.keys())

    def judge(self, since: dict[int, int], *, putting_off: bool = False) -> dict[str, int]:
        """Walks accounts (code → earliest instant that changed) and writes what is no longer as it was.

        With `putting_off` the rows of accounts about which nothing new is said are left for `write_put_off`.
        """
        opened = self.book.terms["opened_at"] <= to_micros(self.as_of) if since else self.book.judged
        codes = np.array(sorted(code for code in since if self.book.judged[code] and opened[code]), np.int64)
        if not len(codes):
            return {"walked": 0, "verdicts": 0}
        accounts = self.book.frame.iloc[codes].reset_index(drop=True)
        stood = self.places["state"][codes]
        told, walked = self._walk(codes, accounts, stood.copy())
        status = self._stopped(codes, verdicts.account_status(accounts, self.book.terms[codes], walked, self.as_of))
        since_us = np.array([since[code] for code in codes.tolist()], np.int64)
        floors = np.maximum((since_us // SECOND - int(DAYS_BACK.total_seconds())) // DAY_SECONDS, stood["firm_day"])
        days = verdicts.account_days(accounts, _days_since(walked, floors))
        rewritten = since_us <= self.places["newest"][codes]
        names = accounts["account_id"].tolist()
        again = {names[place]: _day(floors[place]) for place in np.flatnonzero(rewritten).tolist()}
        change = self._change(accounts, walked, told, stood["at"])
        self.put_off.add(status, days, dict(zip(names, since_us.tolist(), strict=True)), again)
        self.write_put_off(again.keys() | change.accounts if putting_off else None, again, change)
        self._note_newest(codes, told.events)
        self.move_on(codes[np.diff(told.events.starts) > self.places["tail_max"][codes]])
        return {"walked": len(codes), "verdicts": len(change.added)}

    def _walk(
        self, codes: Array, accounts: pd.DataFrame, states: Array, until: Array | None = None
    ) -> tuple[events.Told, walk.Walked]:
        """Walks accounts on from `states` to the service's instant or one of each; leaves there where it came to."""
        held = self.memory.held(codes, until)
        needed = None if until is None else np.zeros(held.deals.num_rows, np.bool_)
        resting = [(place, at) for place, code in enumerate(codes.tolist()) for at in self.pauses.get(code, ())]
        places, instants = np.array(resting, np.int64).reshape(-1, 2).T
        told = events.prepare(held.deals, held.equity, accounts, needed, states["deposited"] != 0)
        prepared = events.with_pauses(told, places, instants)
        compiled = self.book.terms[codes].copy()
        for place, code in enumerate(codes.tolist()):
            if code in self.stops:
                compiled["closed_at"][place] = min(compiled["closed_at"][place], self.stops[code][0])
        if until is not None:
            compiled["closed_at"] = np.minimum(compiled["closed_at"], until)
        first, last = terms.span(compiled, prepared.at, self.as_of)
        schedules = terms.schedules(self.book.clocks, _new_year(first), last)
        walked = walk.walk(prepared, compiled, schedules, to_micros(self.as_of), want_days=True, states=states)
        if needed is not None:
            self.memory.forget_told(held, needed)
        return events.Told(prepared, held.deals, held.equity), walked

    def _note_newest(self, codes: Array, told: walk.Events) -> None:
        """Remembers how far accounts have been walked."""
        ends = told.starts[1:]
        any_told = np.diff(told.starts) > 0
        newest = np.zeros(len(codes), np.int64)
        newest[any_told] = told.at[ends[any_told] - 1]
        before = self.places["newest"][codes]
        self.places["newest"][codes] = np.where(before == walk.NEVER, newest, np.maximum(before, newest))

    def move_on(self, codes: Array) -> None:
        """Moves the checkpoints of accounts on where that can be, and lets go of the events before them."""
        newest = np.minimum(self._newest_held(codes), to_micros(self.as_of))
        stood = self.places["state"]["at"][codes]
        until = np.maximum(newest, self.places["kept_us"][codes]) - self.places["kept_us"][codes]
        may = self.book.judged[codes] & (until > stood) & (until >= self.book.terms["opened_at"][codes])
        # which trade was the best is told by all of them
        may &= self.book.terms["cs_unit"][codes] == 0
        codes, until = codes[may], until[may]
        if not len(codes):
            return
        states = self.places["state"][codes]
        self._walk(codes, self.book.frame.iloc[codes].reset_index(drop=True), states, until)
        self.places["state"][codes] = states
        left = self.memory.deals.counts(codes) + self.memory.equity.counts(codes)
        self.places["tail_max"][codes] = left + left // 4 + TAIL_EVENTS

    def _newest_held(self, codes: Array) -> Array:
        return np.maximum(self.memory.deals.newest(codes), self.memory.equity.newest(codes))

    def _stopped(self, codes: Array, status: pd.DataFrame) -> pd.DataFrame:
        """The status of accounts that a rule over their history ended is the one that it gave."""
        for place, code in enumerate(codes.tolist()):
            if code in self.stops and status.at[place, "status"] == "closed":
                status.at[place, "status"] = self.stops[code][1]
        return status

    def _change(self, accounts: pd.DataFrame, walked: walk.Walked, told: events.Told, stood_at: Array) -> Change:
        """Verdicts of the walk that are new, and those after where it began that it no longer gives."""
        names, scale = accounts["account_id"].tolist(), verdicts.scales(accounts)
        found: dict[str, set[Said]] = {name: set() for name in names}
        new = np.zeros(len(walked.verdicts), np.bool_)
        for place, row in enumerate(walked.verdicts):
            what = _walk_said(row, scale[row["account"]])
            found[names[row["account"]]].add(what)
            new[place] = what not in self.said.get(names[row["account"]], ())
        gone = [
            (name, what)
            for name, at in zip(names, stood_at.tolist(), strict=True)
            for what in self.said.get(name, set()) - found[name]
            if what[0] in decisions.WALK_RULES and what[2] > at
        ]
        if not new.any() and not gone:
            return UNCHANGED
        added = verdicts.verdicts(accounts, replace(walked, verdicts=walked.verdicts[new]), told, self.rulebook)
        return Change(added, gone)

    def write_put_off(
        self, names: Set[str] | None = None, again: Mapping[str, dt.date] = NOTHING, change: Change = UNCHANGED
    ) -> None:
        """Writes what was put off about accounts, all of them without `names`, and what is new about them, in one
        transaction; `again` says from which day on nothing else is left of an account."""
        status, days, since = self.put_off.of(names)
        if status.empty and change is UNCHANGED:
            return
        with self.warehouse.database.begin() as database:
            checkpoints.let_go(database, since)
            upsert_rows(database, schema.ACCOUNT_STATUS, status)
            decisions.write_days(database, days, again)
            if change is not UNCHANGED:
                now = dt.datetime.now(dt.UTC)
                decisions.write_change(database, change, self.book.desk_of, now, self.about)
        self.put_off.leave_out(names)
        if change is not UNCHANGED:
            self.note(change)

    def about(self, account_id: str) -> dict[str, str]:
        """What an action says of its account: whose it is, where it trades, and which stage follows, if one does."""
        if account_id not in self.book.codes:
            return {}
        row = self.book.frame.iloc[self.book.codes[account_id]]
        told = {name: str(row[name]) for name in decisions.TOLD if pd.notna(row[name])}
        version = self.rulebook.version(row["product"], int(row["product_version"]))
        following = version.next_stage.get(row["stage"])
        return told | ({"next_stage": following} if following else {})

    def note(self, change: Change) -> None:
        """Remembers what has been written about verdicts."""
        for account, what in change.gone:
            self.said.get(account, set()).discard(what)
        columns = ["account_id", "rule", "outcome", "happened_at", "observed", "allowed"]
        for account, *row in change.added[columns].itertuples(index=False, name=None):
            self.said.setdefault(account, set()).add(decisions.said(tuple(row)))


def read_events(connection: duckdb.DuckDBPyConnection, names: list[str], stored: Checkpoints | None = None) -> Found:
    """Events of accounts from the lake, by their place in `names`; of those with a checkpoint what came after it."""
    events.register_walked(connection, names, stored)
    relations.build(connection, "staging.deals", "staging.equity")
    return read_found(connection, *FOLDED, checkpoints=stored)


def _micros(column: pa.ChunkedArray) -> Array:
    return np.asarray(column.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()).to_numpy(), np.int64)


def _numbered(rows: list[pa.Table]) -> pa.Table:
    table = pa.concat_tables(rows)
    return table.append_column("_row", pa.array(np.arange(table.num_rows)))


def _last_told(dataset: str) -> str:
    key = ", ".join(DATASETS[dataset].key)
    return (
        f"select * exclude (_line, _row), null::bigint as _load_id, null::bigint as _line from told_{dataset}"
        f" qualify row_number() over (partition by {key} order by _row desc) = 1"
    )


def _day(number: int) -> dt.date:
    return verdicts.EPOCH_DAY + dt.timedelta(days=int(number))


def _new_year(micros: int) -> int:
    """The beginning of an instant's year: resets are reckoned once for all accounts of a firm."""
    return to_micros(from_micros(micros).replace(month=1, day=1, hour=0, minute=0, second=0, microsecond=0))


def _days_since(walked: walk.Walked, floors: Array) -> walk.Walked:
    keep = walked.days["firm_day"] >= floors[walked.days["account"]]
    return replace(walked, days=walked.days[keep])


def _walk_said(row: Any, scale: float) -> Said:
    rule, outcome = walk.RULE_NAMES[row["rule"]], verdicts.OUTCOMES[row["outcome"]]
    return rule, outcome, int(row["at"]), round(row["observed"] / scale, 6), round(row["allowed"] / scale, 6)
