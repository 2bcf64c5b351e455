"""The same feed gives the same published tables on SQLite and on PostgreSQL."""

from __future__ import annotations

from pathlib import Path

import pytest

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
