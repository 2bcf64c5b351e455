"""Accepting: takes bodies apart, judges rows by the dataset's expectations, and says which of them are news."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.walk import Array
from pipelines.expectations.judging import as_read, judge, printable, with_arrow
from pipelines.expectations.reading import read_batch
from pipelines.files import Broken, FeedRefused, check_types, once
from pipelines.live.index import SAME
from pipelines.live.journal import Entry
from pipelines.live.keys import Key
from sql.schema import Dataset

AHEAD = dt.timedelta(minutes=5)
"""How far a platform's clock may run ahead of ours."""
NO_RECORD = "is not a record; send objects whose names are the dataset's columns"
NO_VALUE = "is a list or an object where one value belongs"
ROWS_MAX = 50_000


class BodyRefused(Exception):
    """A body that cannot be read, with the sentence that says why."""


class DeskRefused(Exception):
    """Rows of a desk that the key does not reach."""


@dataclass
class Request:
    """A body on its way in: the rows that could be taken apart, with their places, and the others."""

    dataset: Dataset
    raw: pa.Table
    places: Array
    broken: list[Broken]
    key: Key
    answer: Future[dict[str, Any]] = field(default_factory=Future)

    @property
    def rows(self) -> int:
        """Rows in the body."""
        return int(self.raw.num_rows) + len(self.broken)


def read_json(dataset: Dataset, body: bytes) -> tuple[pa.Table, Array, list[Broken]]:
    """Rows of a JSON body as text, numbers as they were written; BodyRefused when it is no record and no list."""
    try:
        told = json.loads(body, parse_float=str, parse_int=str, parse_constant=str, object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise BodyRefused(f"the body is not JSON: {printable(str(error))}") from error
    rows = told if isinstance(told, list) else [told]
    _check_size(len(rows))
    if not isinstance(told, list | dict):
        raise BodyRefused("the body is neither a record nor a list of records")
    broken = [Broken(place, *wrong) for place, row in enumerate(rows) if (wrong := _wrong(row, dataset))]
    skipped = {one.line for one in broken}
    places = np.array([place for place in range(len(rows)) if place not in skipped], np.int64)
    records: list[Mapping[str, Any]] = [rows[place] for place in places.tolist()]
    columns = {name: pa.array([_text(row.get(name)) for row in records], pa.string()) for name in dataset.names}
    return pa.table(columns), places, broken


def _written(value: Any) -> str:
    """What JSON held; numbers came as their text."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _check_size(rows: int) -> None:
    if rows > ROWS_MAX:
        raise BodyRefused(f"the body has {rows:,} records; send at most {ROWS_MAX:,} at a time")


def _wrong(row: Any, dataset: Dataset) -> tuple[str | None, str, str] | None:
    """Why something cannot be a row: column, value, reason."""
    if not isinstance(row, dict):
        return None, printable(_written(row)), NO_RECORD
    for name in dataset.names:
        value = row.get(name)
        if isinstance(value, list | dict):
            return name, printable(_written(value)), NO_VALUE
        if isinstance(value, str) and not encodable(value):
            return name, printable(value.encode("utf-8", "replace").decode()), "is not valid Unicode"
    return None


def encodable(value: str) -> bool:
    """Whether text can be written as UTF-8."""
    return value.isascii() or not any("\ud800" <= character <= "\udfff" for character in value)


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return "true" if value is True else "false"


def read_arrow(dataset: Dataset, body: bytes) -> tuple[pa.Table, Array, list[Broken]]:
    """Rows of an Arrow IPC stream; BodyRefused when it is none or a column's type cannot hold what belongs there."""
    try:
        with pa.ipc.open_stream(body) as reader:
            table = reader.read_all()
        table.validate(full=True)
        check_types("the body", dataset, table.schema)
    except FeedRefused as refusal:
        raise BodyRefused(str(refusal)) from refusal
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise BodyRefused(f"the body is not an Arrow IPC stream: {str(error).splitlines()[0][:200]}") from error
    _check_size(table.num_rows)
    names = [name for name in dataset.names if name in table.column_names]
    if len(set(table.column_names)) != len(table.column_names):
        raise BodyRefused("the body names a column twice")
    return table.select(names).combine_chunks(), np.arange(table.num_rows), []


@dataclass(frozen=True)
class Judged:
    """A request after validation: rows that hold (`_line` their place in the body) and those that do not."""

    request: Request
    held: pa.Table
    refused: list[Broken]


def judge_requests(requests: list[Request], now: dt.datetime) -> list[Judged]:
    """Judges requests of one dataset; those that came as text are judged together."""
    textual = [request for request in requests if all(map(pa.types.is_string, request.raw.schema.types))]
    judged = [_judge(request.dataset, [request], now)[0] for request in requests if request not in textual]
    return judged + (_judge(textual[0].dataset, textual, now) if textual else [])


def _judge(dataset: Dataset, requests: list[Request], now: dt.datetime) -> list[Judged]:
    raw = pa.concat_tables([request.raw for request in requests]) if len(requests) > 1 else requests[0].raw
    batch = read_batch(dataset, raw.combine_chunks(), pa.array(np.arange(raw.num_rows)))
    found = judge(batch, with_arrow)
    rejects = [Broken(int(line), *rest) for line, *rest in found.rejects.itertuples(index=False, name=None)]
    keep = found.keep & ~_ahead(dataset, batch.typed, now)
    for row in np.flatnonzero(found.keep & ~keep).tolist():
        assert dataset.dated_by is not None
        told = as_read(batch, dataset.dated_by, row)
        rejects.append(Broken(row, dataset.dated_by, told, f"lies in the future; it is {now.isoformat()}"))
    return _apart(requests, batch.typed, keep, rejects)


def _ahead(dataset: Dataset, typed: pa.Table, now: dt.datetime) -> Array:
    if dataset.dated_by is None:
        return np.zeros(typed.num_rows, np.bool_)
    limit = pa.scalar(now + AHEAD, pa.timestamp("us", tz="UTC"))
    late = pc.greater(typed[dataset.dated_by], limit).fill_null(False)
    return np.asarray(late.to_numpy(), dtype=np.bool_)


def _apart(requests: list[Request], typed: pa.Table, keep: Array, rejects: list[Broken]) -> list[Judged]:
    """What belongs to each request, lines as places in its body."""
    told, first = [], 0
    for request in requests:
        last = first + request.raw.num_rows
        held = typed.slice(first, last - first).filter(pa.array(keep[first:last]))
        held = held.append_column("_line", pa.array(request.places[keep[first:last]]))
        own = [b._replace(line=int(request.places[b.line - first])) for b in rejects if first <= b.line < last]
        told.append(Judged(request, held, sorted([*own, *request.broken], key=lambda broken: broken.line)))
        first = last
    return told


def as_entry(judged: list[Judged]) -> Entry:
    """Requests of one dataset as one entry of the journal, lines counted through."""
    tables, refused, first = [], [], 0
    for one in judged:
        lines = pa.array(one.held["_line"].to_numpy() + first)
        tables.append(one.held.set_column(one.held.num_columns - 1, "_line", lines))
        refused += [broken._replace(line=broken.line + first) for broken in one.refused]
        first += one.request.rows
    return Entry(judged[0].request.dataset.name, pa.concat_tables(tables), tuple(refused))


def answers(judged: list[Judged], told: Array) -> list[dict[str, Any]]:
    """What each request is answered, `told` saying of every row that holds whether it is news."""
    made, first = [], 0
    for one in judged:
        last = first + one.held.num_rows
        same = int((told[first:last] == SAME).sum())
        rejected = [{"index": b.line, "column": b.column, "value": b.value, "reason": b.reason} for b in one.refused]
        made.append({"accepted": one.held.num_rows - same, "duplicates": same, "rejected": rejected})
        first = last
    return made
