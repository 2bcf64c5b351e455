"""Which records are known: a hash table from a record's key to its values, filled from the lake, kept in memory.

It tells duplicates from news at once; what finally lands is decided by the lake's own comparison.
"""

from __future__ import annotations

from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from numba import njit

from models.walk import Array
from sql.schema import DATASETS, Dataset
from sql.warehouse import Warehouse

NEW, SAME, CHANGED = 0, 1, 2
FIRST_SLOTS = 1 << 12


class Index:
    """Keys and values of one dataset as 64-bit hashes, in open addressing."""

    def __init__(self) -> None:
        self.keys: Array = np.zeros(FIRST_SLOTS, np.uint64)
        self.values: Array = np.zeros(FIRST_SLOTS, np.uint64)
        self.count = 0

    def put(self, keys: Array, values: Array) -> Array:
        """Notes records in the order given and tells of each whether it is NEW, the SAME as before or CHANGED."""
        while 3 * (self.count + len(keys)) > 2 * len(self.keys):
            self._grow()
        told, added = _put(self.keys, self.values, keys, values)
        self.count += int(added)
        return np.asarray(told)

    def _grow(self) -> None:
        used = self.keys != 0
        keys, values = self.keys[used], self.values[used]
        self.keys = np.zeros(2 * len(self.keys), np.uint64)
        self.values = np.zeros(len(self.keys), np.uint64)
        _put(self.keys, self.values, keys, values)


@njit(cache=True)
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


class Known:
    """The indexes of every dataset."""

    def __init__(self) -> None:
        self.indexes = {name: Index() for name in DATASETS}
        self._connection = duckdb.connect(config={"threads": 1})
        self._connection.execute("set timezone = 'UTC'")

    def put(self, dataset: Dataset, rows: pa.Table) -> Array:
        """Notes typed rows and tells of each whether it is NEW, the SAME or CHANGED."""
        self._connection.register("rows", rows)
        keys, values = _hashes(self._connection, dataset, "rows")
        self._connection.unregister("rows")
        return self.indexes[dataset.name].put(keys, values)

    def fill(self, warehouse: Warehouse, memory: str) -> None:
        """Notes everything that the lake holds, newest versions last."""
        with warehouse.engine(memory=memory) as connection:
            for dataset in DATASETS.values():
                order = "order by _version" if warehouse.lake_files(dataset.name) else ""
                keys, values = _hashes(connection, dataset, f"lake.{dataset.name}", order)
                self.indexes[dataset.name].put(keys, values)


def _hashes(
    connection: duckdb.DuckDBPyConnection, dataset: Dataset, relation: str, order: str = ""
) -> tuple[Array, Array]:
    others = [name for name in dataset.names if name not in dataset.key] or list(dataset.key)
    columns = f"hash({', '.join(dataset.key)}) as key, hash({', '.join(others)}) as value"
    found = connection.execute(f"select {columns} from {relation} {order}").fetchnumpy()
    return np.asarray(found["key"], np.uint64), np.asarray(found["value"], np.uint64)
