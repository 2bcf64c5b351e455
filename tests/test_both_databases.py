"""The same feed gives the same published tables on SQLite and on PostgreSQL."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from models import catalogue
from pipelines.demo import write_demo
from pipelines.export import export_table, read_table
from pipelines.land import land_paths
from pipelines.score import score
from sql import schema
from sql.warehouse import Warehouse
from tests import postgres


@pytest.mark.postgres
def test_a_small_firm_is_told_alike_by_both(tmp_path: Path, postgres_server: str) -> None:
    feed = tmp_path / "feed"
    write_demo(feed, traders=50, days=20, seed=3)
    told: dict[str, dict[str, list[str]]] = {}
    for name, url in (("sqlite", None), ("postgres", postgres.new_database(postgres_server))):
        house = Warehouse.open(tmp_path / name, url)
        land_paths(house, [feed])
        score(house, catalogue.load())
        told[name] = {}
        for table in schema.PUBLISHED:
            if table == "loads":
                continue
            out = tmp_path / f"{name}-{table}.csv"
            export_table(house, table, out)
            told[name][table] = sorted(out.read_text().splitlines())
        house.database.dispose()
    for table, rows in told["sqlite"].items():
        assert rows == told["postgres"][table], table
    assert len(told["sqlite"]["account_status"]) > 30


def test_an_unknown_table_is_refused_with_the_names_there_are(warehouse: Warehouse) -> None:
    with pytest.raises(Exception, match="no published table; there are loads, rejects, account_status"):
        read_table(warehouse, "account_state")


def test_a_table_without_rows_is_json_lines_without_lines(warehouse: Warehouse, tmp_path: Path) -> None:
    out = tmp_path / "links.jsonl"
    assert export_table(warehouse, "links", out) == 0
    assert out.read_bytes() == b""


DAY = {
    "account_id": "A1",
    "firm_day": dt.date(2026, 3, 2),
    "opened_at": dt.datetime(2026, 3, 1, 23, 0, 0, 250, dt.UTC),
    "open_equity": "100000.005",
    "high_equity": "100000.005",
    "low_equity": "99999",
    "close_equity": "99999",
    "close_balance": "99999",
    "closed_profit": "-1.005",
    "daily_floor": None,
    "max_floor": None,
    "trades": 2,
    "money_moved": "0",
}


def test_all_formats_say_the_same_of_a_row(warehouse: Warehouse, tmp_path: Path) -> None:
    """JSON Lines had told a day as milliseconds since 1970 and numbers to ten decimals only."""
    strength = 0.9999999999982414
    with warehouse.database.begin() as database:
        database.execute(sa.insert(schema.METADATA.tables["account_days"]), DAY)
        database.execute(
            sa.insert(schema.METADATA.tables["copy_rings"]),
            {"ring_id": "ring-A1", "account_id": "A1", "kind": "ring", "strength": strength},
        )
    lines, cells, columns = (
        _exported(warehouse, tmp_path, "account_days", form) for form in ("jsonl", "csv", "parquet")
    )
    assert (lines["firm_day"], cells["firm_day"], columns["firm_day"]) == ("2026-03-02", "2026-03-02", DAY["firm_day"])
    assert lines["opened_at"] == cells["opened_at"] == "2026-03-01T23:00:00.000250Z"
    assert lines["closed_profit"] == float(cells["closed_profit"]) == columns["closed_profit"] == -1.005
    assert (lines["daily_floor"], cells["daily_floor"], columns["daily_floor"]) == (None, "", None)
    lines, cells, columns = (_exported(warehouse, tmp_path, "copy_rings", form) for form in ("jsonl", "csv", "parquet"))
    assert lines["strength"] == float(cells["strength"]) == columns["strength"] == strength


def _exported(warehouse: Warehouse, tmp_path: Path, table: str, form: str) -> dict[str, Any]:
    out = tmp_path / f"{table}.{form}"
    assert export_table(warehouse, table, out) == 1
    if form == "jsonl":
        return dict(json.loads(out.read_text()))
    if form == "csv":
        return dict(pd.read_csv(out, dtype=str, keep_default_na=False).iloc[0])
    return dict(pq.read_table(out).to_pylist()[0])


@pytest.mark.parametrize("table", schema.PUBLISHED)
def test_columns_have_their_types_without_rows_too(warehouse: Warehouse, tmp_path: Path, table: str) -> None:
    """Files of a table that are read together must not differ because one of them holds nothing in a column."""
    out = tmp_path / f"{table}.parquet"
    export_table(warehouse, table, out)
    for column, kind in zip(schema.METADATA.tables[table].columns, pq.read_schema(out), strict=True):
        assert not pa.types.is_null(kind.type)
        assert pa.types.is_integer(kind.type) == isinstance(column.type, sa.Integer), column
        assert pa.types.is_timestamp(kind.type) == isinstance(column.type, schema.Instant), column
