"""Published tables as files: the same rows in the same order, whatever run made them."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import sqlalchemy as sa

from pipelines.whole import put
from sql import schema
from sql.one_line import in_a_cell
from sql.warehouse import Warehouse, read_frame

FORMATS = ("csv", "jsonl", "parquet")
ARROW = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_(), dt.date: pa.date32()}


class ExportRefused(Exception):
    """A table or a format that cannot be exported, and which can."""


def read_table(warehouse: Warehouse, table: str) -> pd.DataFrame:
    """A published table ordered by its columns; ExportRefused for a name that is none."""
    if table not in schema.PUBLISHED:
        raise ExportRefused(f"{table}: no published table; there are {', '.join(schema.PUBLISHED)}")
    found = schema.METADATA.tables[table]
    order = list(found.primary_key.columns) or list(found.columns)
    with warehouse.database.connect() as database:
        return read_frame(database, sa.select(found).order_by(*order))


def export_table(warehouse: Warehouse, table: str, out: Path, form: str | None = None) -> int:
    """Writes a published table as CSV, JSON Lines or Parquet (default: what the name says); returns the rows."""
    chosen = form or out.suffix.lstrip(".")
    if chosen not in FORMATS:
        raise ExportRefused(f"{out}: the format is not clear from the name; add --format {'|'.join(FORMATS)}")
    frame = _typed(read_table(warehouse, table), table)
    put(out, lambda beside: _write(frame, table, beside, chosen))
    return len(frame)


def for_spreadsheets(frame: pd.DataFrame) -> str:
    """Rows as CSV for people, who open it in a spreadsheet: no text of others becomes a formula there."""
    return str(frame.map(lambda told: in_a_cell(told) if isinstance(told, str) else told).to_csv(index=False))


def _typed(frame: pd.DataFrame, table: str) -> pd.DataFrame:
    """Columns of the table's own types, also where rows are missing or leave them empty."""
    for column in schema.METADATA.tables[table].columns:
        if isinstance(column.type, schema.Instant):
            frame[column.name] = pd.to_datetime(frame[column.name], utc=True)
        elif isinstance(column.type, sa.Integer):
            frame[column.name] = frame[column.name].astype("Int64")
    return frame


def _write(frame: pd.DataFrame, table: str, out: Path, form: str) -> None:
    if form == "parquet":
        _as_numbers(frame, table).to_parquet(out, index=False, schema=_arrow(table))
    elif form == "csv":
        _as_text(frame).to_csv(out, index=False)
    else:
        with out.open("w", encoding="utf-8") as lines:
            lines.writelines(_json_lines(_as_text(_as_numbers(frame, table))))


def _arrow(table: str) -> pa.Schema:
    """What Parquet calls each column, the same in every file of the table."""
    return pa.schema([(column.name, _arrow_type(column.type)) for column in schema.METADATA.tables[table].columns])


def _arrow_type(kind: Any) -> pa.DataType:
    if isinstance(kind, schema.Instant):
        return pa.timestamp("ns", tz="UTC")
    if isinstance(kind, schema.Money):
        return pa.float64()
    return ARROW[kind.python_type]


def _json_lines(frame: pd.DataFrame) -> Iterator[str]:
    """A line for each row, numbers in their shortest exact form and what is missing as null."""
    told = frame.astype(object)
    told[frame.isna()] = None
    for row in told.itertuples(index=False, name=None):
        named = dict(zip(told.columns, row, strict=True))
        yield (
            json.dumps(named, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=dt.date.isoformat)
            + "\n"
        )


def _as_numbers(frame: pd.DataFrame, table: str) -> pd.DataFrame:
    """Amounts as numbers, for formats that have them."""
    columns = schema.METADATA.tables[table].c
    money = [name for name in frame.columns if isinstance(columns[name].type, schema.Money)]
    return frame.assign(**{name: frame[name].astype(float) for name in money})


def _as_text(frame: pd.DataFrame) -> pd.DataFrame:
    """Times as ISO 8601 with microseconds and offset."""
    times = [name for name in frame.columns if isinstance(frame[name].dtype, pd.DatetimeTZDtype)]
    return frame.assign(**{name: frame[name].map(_iso, na_action="ignore") for name in times})


def _iso(instant: pd.Timestamp) -> str:
    return instant.isoformat(timespec="microseconds").replace("+00:00", "Z")
