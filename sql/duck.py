"""DuckDB as Highwater opens it: in memory or in a file, and silent."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import duckdb


def connect(config: Mapping[str, str | int | bool], path: Path | None = None) -> duckdb.DuckDBPyConnection:
    """A DuckDB, in memory without a path, that draws no progress bar: the output is for answers."""
    connection = duckdb.connect(":memory:" if path is None else str(path), config=dict(config))
    connection.execute("set enable_progress_bar = false")
    return connection


def engine(memory: str, folder: Path) -> duckdb.DuckDBPyConnection:
    """The DuckDB of one run: so much memory, and beyond it a folder."""
    return connect({"memory_limit": memory, "temp_directory": str(folder)})
