"""Published tables as files: the same rows in the same order, whatever run made them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import sqlalchemy as sa

from pipelines.whole import put
from sql import schema
from sql.one_line import in_a_cell
from sql.warehouse import Warehouse, read_frame

FORMATS = ("csv", "jsonl", "parquet")


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
    frame = read_table(warehouse, table)
    for name in frame.columns:
        if isinstance(schema.METADATA.tables[table].c[name].type, schema.Instant):
            frame[name] = pd.to_datetime(frame[name], utc=True)
    put(out, lambda beside: _write(frame, table, beside, chosen))
    return len(frame)


def for_spreadsheets(frame: pd.DataFrame) -> str:
    """Rows as CSV for people, who open it in a spreadsheet: no text of others becomes a formula there."""
    return str(frame.map(lambda told: in_a_cell(told) if isinstance(told, str) else told).to_csv(index=False))


def _write(frame: pd.DataFrame, table: str, out: Path, form: str) -> None:
    if form == "parquet":
        _as_numbers(frame, table).to_parquet(out, index=False)
    elif form == "csv":
        _as_text(frame).to_csv(out, index=False)
    elif frame.empty:
        out.write_text("")  # pandas would write an empty line, which is no JSON
    else:
        _as_text(_as_numbers(frame, table)).to_json(out, orient="records", lines=True, force_ascii=False)


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
