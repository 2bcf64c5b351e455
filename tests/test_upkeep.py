"""A database that an earlier Highwater made is brought up to today's tables, whole or not at all."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
import sqlalchemy as sa

from pipelines import marts
from sql import schema, upkeep
from sql.warehouse import Warehouse, WarehouseRefused

LOAD: dict[str, object] = {
    "load_id": 7,
    "dataset": "deals",
    "file": "deals.csv",
    "rows": 1,
    "landed": 1,
    "duplicates": 0,
    "rejects": 0,
}
LOAD |= {"started_at": dt.datetime(2026, 3, 2, tzinfo=dt.UTC)}


def age(warehouse: Warehouse, *statements: str) -> None:
    """Makes a database look like an earlier one."""
    with warehouse.database.begin() as connection:
        connection.execute(sa.delete(upkeep.STATE))
        for statement in statements:
            connection.execute(sa.text(statement))


def columns(warehouse: Warehouse, table: str) -> set[str]:
    return {column["name"] for column in sa.inspect(warehouse.database).get_columns(table)}


def keep_a_load(warehouse: Warehouse) -> None:
    with warehouse.database.begin() as connection:
        connection.execute(sa.insert(schema.LOADS).values(**LOAD))


def test_missing_tables_and_columns_are_made_and_rows_stay(warehouse: Warehouse) -> None:
    keep_a_load(warehouse)
    age(warehouse, "alter table loads drop column source", "drop table churn_scores")
    again = Warehouse.open(warehouse.home, warehouse.database_url)
    assert columns(again, "churn_scores") == {c.name for c in schema.METADATA.tables["churn_scores"].columns}
    with again.database.connect() as connection:
        assert connection.execute(sa.select(schema.LOADS.c.load_id, schema.LOADS.c.source)).all() == [(7, None)]
    again.database.dispose()


def test_a_table_without_rows_is_made_anew(warehouse: Warehouse) -> None:
    age(warehouse, "alter table verdicts drop column outcome")
    again = Warehouse.open(warehouse.home, warehouse.database_url)
    assert "outcome" in columns(again, "verdicts")
    again.database.dispose()


def test_a_column_that_rows_must_have_is_refused_by_name_and_nothing_is_done(warehouse: Warehouse) -> None:
    keep_a_load(warehouse)
    age(warehouse, "alter table loads drop column dataset", "drop table churn_scores")
    with pytest.raises(WarehouseRefused, match="loads was made by an earlier Highwater and lacks dataset"):
        Warehouse.open(warehouse.home, warehouse.database_url)
    assert "churn_scores" not in sa.inspect(warehouse.database).get_table_names()


def test_what_a_newer_highwater_asks_of_every_row_is_refused_by_name(warehouse: Warehouse) -> None:
    """Else a run would break off where it writes, with the database's own words; a table without rows is made anew."""
    newer = schema.CHURN_SCORES.to_metadata(sa.MetaData())
    newer.append_column(sa.Column("shade", sa.String(9), nullable=False))
    row = {
        "trader_id": "T",
        "probability": 0.5,
        "horizon_days": 60,
        "reasons": "[]",
        "model_version": "1",
        "shade": "x",
    }
    with warehouse.database.begin() as connection:
        schema.CHURN_SCORES.drop(connection)
        newer.create(connection)
        connection.execute(sa.insert(newer).values(**row, as_of=LOAD["started_at"]))
    age(warehouse)
    with pytest.raises(WarehouseRefused, match=r"churn_scores has shade, .* another version made it"):
        Warehouse.open(warehouse.home, warehouse.database_url)
    age(warehouse, "delete from churn_scores")
    Warehouse.open(warehouse.home, warehouse.database_url).database.dispose()
    assert "shade" not in columns(warehouse, "churn_scores")


def test_what_runs_make_anew_is_left_as_it_is(warehouse: Warehouse) -> None:
    """A published mart has keys of its own once a run wrote it: an update must neither refuse the home nor empty it."""
    written = duckdb.connect()
    written.execute("create schema marts")
    named = ", ".join(f"'1' as {column.name}" for column in schema.METADATA.tables["cohorts"].columns)
    written.execute(f"create table marts.cohorts as select {named}")
    with warehouse.database.begin() as connection:
        marts.bring(written, connection, "marts.cohorts", marts.number(written, "marts.cohorts"))
    age(warehouse, "drop table churn_scores")
    again = Warehouse.open(warehouse.home, warehouse.database_url)
    assert columns(again, "churn_scores") and set(marts.OWN) < columns(again, "cohorts")
    with again.database.connect() as connection:
        assert (
            connection.execute(sa.select(sa.func.count()).select_from(schema.METADATA.tables["cohorts"])).scalar() == 1
        )
    again.database.dispose()


def test_a_current_database_is_not_looked_through(
    opener: Callable[[Path], Warehouse], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse = opener(tmp_path / "home")
    monkeypatch.setattr(upkeep, "bring_up", lambda _: pytest.fail("brought up again"))
    Warehouse.open(warehouse.home, warehouse.database_url).database.dispose()


def test_the_fingerprint_sees_every_change_of_a_column(monkeypatch: pytest.MonkeyPatch) -> None:
    before = upkeep.fingerprint()
    column = schema.LOADS.c.dataset
    monkeypatch.setattr(column, "nullable", not column.nullable)
    assert upkeep.fingerprint() != before
