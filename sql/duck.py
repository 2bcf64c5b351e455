"""DuckDB as Highwater opens it: in memory, and silent."""

from __future__ import annotations

from collections.abc import Mapping

import duckdb


def connect(config: Mapping[str, str | int | bool]) -> duckdb.DuckDBPyConnection:
    """A DuckDB in memory that draws no progress bar: the output is for answers."""
    connection = duckdb.connect(config=dict(config))
    connection.execute("set enable_progress_bar = false")
    return connection
