"""Which records are known: hash tables from a record's key to its values, filled from the lake, kept in memory.

They tell duplicates from news at once; what finally lands is decided by the lake's own comparison. Of a dataset that
grows with time only so many of the newest records are kept; an older one is looked up in the lake, so that memory does
not grow with history.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.clock import to_micros
from models.compiled import compiled
from models.walk import Array
from sql import duck
from sql.schema import DATASETS, Dataset
from sql.warehouse import Warehouse

NEW, SAME, CHANGED = 0, 1, 2
FIRST_SLOTS = 1 << 12
SLOTS_MAX = 1 << 20
"""Slots of one table; it takes two records for three slots, then another begins."""
TABLES_MAX = 8
RECORDS_KEPT = SLOTS_MAX * 2 // 3 * (TABLES_MAX - 1)
"""Records of a dataset that are kept at least; those before may be let go."""
NEVER = np.iinfo(np.int64).min


class Table:
    """Keys and values as 64-bit hashes in open addressing, and the newest instant of a record in it."""

    def __init__(self) -> None:
        self.keys: Array = np.zeros(FIRST_SLOTS, np.uint64)
        self.values: Array = np.zeros(FIRST_SLOTS, np.uint64)
        self.count = 0
        self.newest = int(NEVER)

    def has_room(self, records: int, slots_max: int | None) -> bool:
        """Whether so many more fit in, after growing if need be."""
        while 3 * (self.count + records) > 2 * len(self.keys):
            if slots_max is not None and 2 * len(self.keys) > slots_max and self.count:
                return False
            self._grow()
        return True

    def put(self, keys: Array, values: Array) -> Array:
        """Notes records in the order given; tells of each whether it was there, and as what."""
        told, added = _put(self.keys, self.values, keys, values)
        self.count += int(added)
        return np.asarray(told)

    def _grow(self) -> None:
        used = self.keys != 0
        keys, values = self.keys[used], self.values[used]
        self.keys = np.zeros(2 * len(self.keys), np.uint64)
        self.values = np.zeros(len(self.keys), np.uint64)
        _put(self.keys, self.values, keys, values)


class Index:
    """Tables of one dataset, oldest first; only the newest few where the dataset grows with time (`bounded`).

    Of a record at `horizon` (microseconds) or before, which no table holds, it is not known whether it was there.
    """

    def __init__(self, *, bounded: bool) -> None:
        self.bounded = bounded
        self.tables = [Table()]
        self.horizon = int(NEVER)

    @property
    def count(self) -> int:
        """Records held."""
        return sum(table.count for table in self.tables)

    def put(self, keys: Array, values: Array, at: Array | None = None) -> Array:
        """Notes records in the order given and tells of each whether it is NEW, the SAME as before or CHANGED."""
        told = np.zeros(len(keys), np.int8)
        for table in self.tables:
            # a record stays in the table where it is; a changed value is noted there
            _look_up(table.keys, table.values, keys, values, told)
        fresh = np.flatnonzero(told == NEW)
        if not self.tables[-1].has_room(len(fresh), SLOTS_MAX if self.bounded else None):
            self._begin_another(len(fresh))
        told[fresh] = self.tables[-1].put(keys[fresh], values[fresh])
        if at is not None and len(at):
            self.tables[-1].newest = max(self.tables[-1].newest, int(at.max()))
        return told

    def _begin_another(self, records: int) -> None:
        if len(self.tables) >= TABLES_MAX:
            self.horizon = max(self.horizon, self.tables.pop(0).newest)
        self.tables.append(Table())
        self.tables[-1].has_room(records, None)


@compiled
def _put(held_keys: Any, held_values: Any, keys: Any, values: Any) -> Any:
    mask = np.uint64(len(held_keys) - 1)
    told = np.zeros(len(keys), np.int8)
    added = 0
    for row in range(len(keys)):
        key = keys[row] if keys[row] != 0 else np.uint64(1)
        slot = key & mask
        while held_keys[slot] != 0 and held_keys[slot] != key:
            slot = (slot + np.uint64(1)) & mask
        if held_keys[slot] == 0:
            held_keys[slot], held_values[slot] = key, values[row]
            added += 1
        elif held_values[slot] == values[row]:
            told[row] = SAME
        else:
            held_values[slot] = values[row]
            told[row] = CHANGED
    return told, added


@compiled
def _look_up(held_keys: Any, held_values: Any, keys: Any, values: Any, told: Any) -> None:
    """Tells of the records that a table holds; changed ones get their new value there."""
    mask = np.uint64(len(held_keys) - 1)
    for row in range(len(keys)):
        if told[row] != NEW:
            continue
        key = keys[row] if keys[row] != 0 else np.uint64(1)
        slot = key & mask
        while held_keys[slot] != 0 and held_keys[slot] != key:
            slot = (slot + np.uint64(1)) & mask
        if held_keys[slot] == 0:
            continue
        told[row] = SAME if held_values[slot] == values[row] else CHANGED
        held_values[slot] = values[row]


class Known:
    """The indexes of every dataset."""

    def __init__(self) -> None:
        self.indexes = {name: Index(bounded=_grows_with_time(dataset)) for name, dataset in DATASETS.items()}
        self._connection = duck.connect({"threads": 1})
        self._connection.execute("set timezone = 'UTC'")

    @property
    def count(self) -> int:
        """Records held of all datasets."""
        return sum(index.count for index in self.indexes.values())

    def put(self, dataset: Dataset, rows: pa.Table, warehouse: Warehouse) -> Array:
        """Notes typed rows and tells of each whether it is NEW, the SAME or CHANGED."""
        self._connection.register("rows", rows)
        keys, values, at = _hashes(self._connection, dataset, "rows")
        self._connection.unregister("rows")
        index = self.indexes[dataset.name]
        told = index.put(keys, values, at)
        if at is not None and len(old := np.flatnonzero((told == NEW) & (at <= index.horizon))):
            self._ask_lake(dataset, rows.take(pa.array(old)), warehouse, index, (keys[old], values[old]), told, old)
        return told

    def _ask_lake(
        self, dataset: Dataset, rows: pa.Table, warehouse: Warehouse, index: Index, hashes: tuple[Array, Array],
        told: Array, places: Array,
    ) -> None:  # fmt: skip
        """Tells of records that are older than what is kept what the lake knows of them."""
        assert dataset.dated_by is not None
        span = pc.min_max(rows[dataset.dated_by]).as_py()
        keys, values = hashes
        with warehouse.engine(span["max"], INDEX_MEMORY) as connection:
            connection.register("asked", rows.select(list(dataset.key)))
            of_lake = f"lake.{dataset.name} semi join asked using ({', '.join(dataset.key)})"
            within = f"where {dataset.dated_by} between ? and ?"
            query = f"(select * from {of_lake} {within})"
            held_keys, held_values, _ = _hashes(connection, dataset, query, "order by _version", span.values())
        held = dict(zip(held_keys.tolist(), held_values.tolist(), strict=True))
        seen: dict[int, int] = {}
        for place, key, value in zip(places.tolist(), keys.tolist(), values.tolist(), strict=True):
            before = seen.get(key, held.get(key))
            if before is not None:
                told[place] = SAME if before == value else CHANGED
            seen[key] = value

    def fill(self, warehouse: Warehouse, memory: str) -> None:
        """Notes what the lake holds, newest versions last; of those that grow with time only as much as is kept."""
        with warehouse.engine(memory=memory) as connection:
            for dataset in DATASETS.values():
                if not warehouse.lake_files(dataset.name):
                    continue
                index, since = self.indexes[dataset.name], _kept_since(connection, dataset)
                query = f"(select * from lake.{dataset.name}" + (f" where {dataset.dated_by} > ?)" if since else ")")
                keys, values, at = _hashes(connection, dataset, query, "order by _version", [since] if since else [])
                index.horizon = to_micros(since) if since else int(NEVER)
                for start in range(0, len(keys), FILLED_AT_ONCE):
                    part = slice(start, start + FILLED_AT_ONCE)
                    index.put(keys[part], values[part], None if at is None else at[part])


INDEX_MEMORY = "512MB"
FILLED_AT_ONCE = 100_000


def _grows_with_time(dataset: Dataset) -> bool:
    """Whether a dataset tells of events rather than of things that there are."""
    return dataset.corrections or dataset.dated_by in dataset.key


def _kept_since(connection: duckdb.DuckDBPyConnection, dataset: Dataset) -> dt.datetime | None:
    """The instant after which about as many records lie as are kept; None where all are."""
    if not _grows_with_time(dataset):
        return None
    relation = f"lake.{dataset.name}"
    rows = connection.execute(f"select count(*) from {relation}").fetchall()[0][0]
    if rows <= RECORDS_KEPT // 2:
        return None
    share = 1 - RECORDS_KEPT / 2 / rows
    query = f"select make_timestamptz(approx_quantile(epoch_us({dataset.dated_by}), {share})) from {relation}"
    found: dt.datetime = connection.execute(query).fetchall()[0][0]
    return found.astimezone(dt.UTC)


def _hashes(
    connection: duckdb.DuckDBPyConnection, dataset: Dataset, relation: str, order: str = "", told: Any = ()
) -> tuple[Array, Array, Array | None]:
    """Hashes of keys and of values, and the instants of a dated dataset."""
    others = [name for name in dataset.names if name not in dataset.key] or list(dataset.key)
    columns = f"hash({', '.join(dataset.key)}) as key, hash({', '.join(others)}) as value"
    if dataset.dated_by is not None:
        columns += f", epoch_us({dataset.dated_by}) as at"
    found = connection.execute(f"select {columns} from {relation} {order}", list(told)).fetchnumpy()
    at = np.asarray(found["at"], np.int64) if "at" in found else None
    return np.asarray(found["key"], np.uint64), np.asarray(found["value"], np.uint64), at
