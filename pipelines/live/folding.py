"""Folds events into verdicts: the accounts that a micro-batch touches are walked again, and what changed is written.

A walk costs some ten nanoseconds an event, so an account is always walked from its start: late and corrected events
need no case of their own. Rules over whole histories come from the settling run (`pipelines.live.settling`).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field, replace
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from models import events, terms, verdicts, walk
from models.catalogue import Rulebook
from models.clock import from_micros, to_micros
from models.walk import Array
from pipelines.live import decisions
from pipelines.live.book import Book
from pipelines.live.decisions import Change, Said
from pipelines.live.index import CHANGED
from pipelines.live.memory import Found, Memory
from sql import relations
from sql.schema import ARROW_TYPES, DATASETS
from sql.warehouse import Warehouse

FOLDED = ("deals", "equity")
FAR = dt.datetime(2200, 1, 1, tzinfo=dt.UTC)
ENGINE_MEMORY = "1GB"
DAYS_BACK = dt.timedelta(days=2)
"""A firm day begins at most a day and some hours before the instant that falls into it."""


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
    loaded: set[int] = field(default_factory=set)
    stops: dict[int, tuple[int, str]] = field(default_factory=dict)
    pauses: dict[int, list[int]] = field(default_factory=dict)
    said: dict[str, set[Said]] = field(default_factory=dict)
    touched_by: dict[int, int] = field(default_factory=dict)
    pending: list[Batch] = field(default_factory=list)
    parked: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._connection = duckdb.connect(config={"threads": 1})
        self._connection.execute(
            "set timezone = 'UTC'; create schema staging; create schema facts; create schema decided"
        )

    # --- accounts and their events -----------------------------------------------------------------------------------

    def begin(self) -> None:
        """Reads accounts, what was said about them, and the events of those that may still change."""
        self.refresh()
        with self.warehouse.database.connect() as database:
            self.said = decisions.standing(database)
            ended = decisions.ended(database)
        self.load([code for account, code in self.book.codes.items() if account not in ended])

    def refresh(self) -> list[int]:
        """Reads the book anew; returns accounts under other terms, which are to be folded again."""
        changed = self.book.read(self.warehouse, self.rulebook, FAR, ENGINE_MEMORY)
        self.parked -= set(self.book.codes)
        names = list(self.book.codes)
        codes = pd.DataFrame({"account_id": pd.Series(names, dtype="string"), "account": np.arange(len(names))})
        self._connection.register("codes", codes)
        self._connection.execute("create or replace table decided.walked as select * from codes")
        self._connection.unregister("codes")
        return changed

    def load(self, codes: list[int]) -> None:
        """Loads accounts from the lake and from what has not landed yet."""
        if not codes:
            return
        waiting = list(self.pending)
        wanted = self.book.frame.iloc[codes][["account_id"]].assign(account=codes)
        self.memory.forget(np.array(codes, np.int64))
        with self.warehouse.engine(FAR, ENGINE_MEMORY) as connection:
            connection.register("wanted", wanted)
            connection.execute("create table decided.walked as select * from wanted")
            relations.build(connection, "staging.deals", "staging.equity")
            self.memory.add(Found(connection), replacing=False)
        self.loaded.update(codes)
        if waiting:
            found = self._found(waiting)
            found.keep(codes)
            self.memory.add(found, replacing=True)

    def _found(self, batches: list[Batch]) -> Found:
        """Events of batches, the last of each key, as the memory takes them."""
        for dataset in FOLDED:
            rows = [batch.rows for batch in batches if batch.dataset == dataset]
            self._connection.register(f"told_{dataset}", _numbered(dataset, rows))
            self._connection.execute(f"create or replace view staging.{dataset} as {_last_told(dataset)}")
        return Found(self._connection)

    # --- one micro-batch ---------------------------------------------------------------------------------------------

    def take(self, batches: list[Batch]) -> dict[int, int]:
        """Takes batches into memory; returns the accounts they touch and the earliest instant that changed of each."""
        events_of = [batch for batch in batches if batch.dataset in FOLDED]
        if not events_of:
            return {}
        self._park(events_of)
        found = self._found(events_of)
        since = found.touched()
        cold = [code for code in since if code not in self.loaded]
        self._take(found, [code for code in since if code in self.loaded], events_of)
        self.load(cold)
        self.touched_by.update(dict.fromkeys(since, batches[-1].number))
        return since

    def _take(self, found: Found, warm: list[int], batches: list[Batch]) -> None:
        """Adds events of the accounts that are loaded."""
        changed = any((batch.told == CHANGED).any() for batch in batches)
        found.keep(warm)
        self.memory.add(found, replacing=changed)

    def _park(self, batches: list[Batch]) -> None:
        for batch in batches:
            self.parked.update(set(batch.rows["account_id"].unique().to_pylist()) - self.book.codes.keys())

    def judge(self, since: dict[int, int]) -> dict[str, int]:
        """Walks accounts (code → earliest instant that changed) and writes what is no longer as it was."""
        opened = self.book.terms["opened_at"] <= to_micros(self.as_of) if since else self.book.judged
        codes = np.array(sorted(code for code in since if self.book.judged[code] and opened[code]), np.int64)
        if not len(codes):
            return {"walked": 0, "verdicts": 0}
        accounts = self.book.frame.iloc[codes].reset_index(drop=True)
        walked, told = self._walk(codes, accounts)
        status = self._stopped(codes, verdicts.account_status(accounts, self.book.terms[codes], walked, self.as_of))
        first_days = [_first_day(since[code]) for code in codes.tolist()]
        days = verdicts.account_days(accounts, _days_since(walked, first_days))
        change = self._change(accounts, walked, told)
        self._write(status, days, dict(zip(accounts["account_id"], first_days, strict=True)), change)
        return {"walked": len(codes), "verdicts": len(change.added)}

    def _walk(self, codes: Array, accounts: pd.DataFrame) -> tuple[walk.Walked, events.Told]:
        deals, equity = self.memory.tables(codes)
        resting = [(place, at) for place, code in enumerate(codes.tolist()) for at in self.pauses.get(code, ())]
        places, instants = np.array(resting, np.int64).reshape(-1, 2).T
        prepared = events.with_pauses(events.prepare(deals, equity, accounts), places, instants)
        compiled = self.book.terms[codes].copy()
        for place, code in enumerate(codes.tolist()):
            if code in self.stops:
                compiled["closed_at"][place] = min(compiled["closed_at"][place], self.stops[code][0])
        first, last = terms.span(compiled, prepared.at, self.as_of)
        schedules = terms.schedules(self.book.clocks, first, last)
        walked = walk.walk(prepared, compiled, schedules, to_micros(self.as_of), want_days=True)
        return walked, events.Told(prepared, deals, equity)

    def _stopped(self, codes: Array, status: pd.DataFrame) -> pd.DataFrame:
        """The status of accounts that a rule over their history ended is the one that it gave."""
        for place, code in enumerate(codes.tolist()):
            if code in self.stops and status.at[place, "status"] == "closed":
                status.at[place, "status"] = self.stops[code][1]
        return status

    def _change(self, accounts: pd.DataFrame, walked: walk.Walked, told: events.Told) -> Change:
        """Verdicts of the walk that are new, and those that it no longer gives."""
        names, scale = accounts["account_id"].tolist(), verdicts.scales(accounts)
        found: dict[str, set[Said]] = {name: set() for name in names}
        new = np.zeros(len(walked.verdicts), np.bool_)
        for place, row in enumerate(walked.verdicts):
            what = _walk_said(row, scale[row["account"]])
            found[names[row["account"]]].add(what)
            new[place] = what not in self.said.get(names[row["account"]], ())
        gone = [
            (name, what)
            for name in names
            for what in self.said.get(name, set()) - found[name]
            if what[0] in decisions.WALK_RULES
        ]
        added = verdicts.verdicts(accounts, replace(walked, verdicts=walked.verdicts[new]), told, self.rulebook)
        return Change(added, gone)

    def _write(self, status: pd.DataFrame, days: pd.DataFrame, since: dict[str, dt.date], change: Change) -> None:
        with self.warehouse.database.begin() as database:
            decisions.write_status(database, status)
            decisions.write_days(database, days, since)
            decisions.write_change(database, change, self.book.desk_of, dt.datetime.now(dt.UTC))
        self.note(change)

    def note(self, change: Change) -> None:
        """Remembers what has been written about verdicts."""
        for account, what in change.gone:
            self.said.get(account, set()).discard(what)
        columns = ["account_id", "rule", "outcome", "happened_at", "observed", "allowed"]
        for account, *row in change.added[columns].itertuples(index=False, name=None):
            self.said.setdefault(account, set()).add(decisions.said(tuple(row)))


def _numbered(dataset: str, rows: list[pa.Table]) -> pa.Table:
    table = pa.concat_tables(rows) if rows else _NOTHING[dataset]
    return table.append_column("_row", pa.array(np.arange(table.num_rows)))


def _empty(dataset: str) -> pa.Table:
    columns = DATASETS[dataset].columns
    fields = [(column.name, ARROW_TYPES[column.kind]) for column in columns]
    return pa.schema([*fields, ("_line", pa.int64())]).empty_table()


_NOTHING = {dataset: _empty(dataset) for dataset in FOLDED}


def _last_told(dataset: str) -> str:
    key = ", ".join(DATASETS[dataset].key)
    return (
        f"select * exclude (_line, _row), null::bigint as _load_id, null::bigint as _line from told_{dataset}"
        f" qualify row_number() over (partition by {key} order by _row desc) = 1"
    )


def _first_day(micros: int) -> dt.date:
    return (from_micros(micros) - DAYS_BACK).date()


def _days_since(walked: walk.Walked, first: list[dt.date]) -> walk.Walked:
    floor = np.array([(day - verdicts.EPOCH_DAY).days for day in first])
    keep = walked.days["firm_day"] >= floor[walked.days["account"]]
    return replace(walked, days=walked.days[keep])


def _walk_said(row: Any, scale: float) -> Said:
    rule, outcome = walk.RULE_NAMES[row["rule"]], verdicts.OUTCOMES[row["outcome"]]
    return rule, outcome, int(row["at"]), round(row["observed"] / scale, 6), round(row["allowed"] / scale, 6)
