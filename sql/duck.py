"""DuckDB as Highwater opens it: in memory or in a file, and silent."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb

_PARSED: dict[str, list[Any]] = {}


def run(connection: duckdb.DuckDBPyConnection, fixed: str) -> None:
    """Executes statements that are the same in every run, and parses them once in a process: of statements over few
    rows that is a fifth of the work."""
    if fixed not in _PARSED:
        _PARSED[fixed] = connection.extract_statements(fixed)
    for statement in _PARSED[fixed]:
        connection.execute(statement)


def connect(config: Mapping[str, str | int | bool], path: Path | None = None) -> duckdb.DuckDBPyConnection:
    """A DuckDB, in memory without a path, that draws no progress bar: the output is for answers."""
    connection = duckdb.connect(":memory:" if path is None else str(path), config=dict(config))
    connection.execute("set enable_progress_bar = false")
    return connection


def engine(memory: str, folder: Path) -> duckdb.DuckDBPyConnection:
    """The DuckDB of one run: so much memory, and beyond it a folder."""
    return connect({"memory_limit": memory, "temp_directory": str(folder)})
