"""A mart's table is the mart, whatever stood there before, and what did not change is not written again."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines import marts
from sql import schema
from sql.warehouse import Warehouse
from tests import postgres

AT = dt.datetime(2026, 3, 2, 9, 15, 0, 250_000, tzinfo=dt.UTC)
ROWS = st.lists(
    st.tuples(
        st.sampled_from(["A1", "A2", "A3", "A'4"]),
        st.sampled_from([None, float("nan"), 0.0, 0.1, -1e9]),
        st.sampled_from([None, AT, AT + dt.timedelta(microseconds=1)]),
        st.sampled_from([None, True, False]),
        st.sampled_from([None, dt.date(2026, 3, 2)]),
        st.sampled_from([None, 0, 7]),
    ),
    max_size=6,
)


def known(value: Any) -> Any:
    """A value as it was before it was a cell of a frame."""
    return None if pd.isna(value) else value


def told(database: sa.Connection) -> Counter[Any]:
    rows = [tuple(map(known, one)) for one in marts.read(database, "made").itertuples(index=False, name=None)]
    return Counter((*one[:3], None if one[3] is None else bool(one[3]), *one[4:]) for one in rows)


def bring(connection: duckdb.DuckDBPyConnection, database: sa.Connection, rows: list[Any]) -> int:
    connection.execute(
        "create or replace table marts.made (account_id varchar, share double, status_at timestamptz, waits boolean,"
        " firm_day date, place bigint)"
    )
    if rows:
        connection.executemany("insert into marts.made values (?, ?, ?, ?, ?, ?)", rows)
    return again(connection, database)


def again(connection: duckdb.DuckDBPyConnection, database: sa.Connection) -> int:
    return marts.bring(connection, database, "marts.made", marts.number(connection, "marts.made"))


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as opened:
        opened.execute("set timezone = 'UTC'; create schema marts")
        yield opened


def in_memory() -> sa.Engine:
    house = sa.create_engine("sqlite://")
    schema.MART_ROWS.create(house)
    return house


@pytest.fixture(autouse=True, params=[0, 10_000], ids=["kept", "read"])
def kept_from(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What rows say is kept beside their table, or read from it; and as few as there are here are put over others."""
    monkeypatch.setattr(marts, "KEPT_FROM_ROWS", request.param)
    monkeypatch.setattr(marts, "OVER_FROM_ROWS", 1)


def follows(connection: duckdb.DuckDBPyConnection, engine: sa.Engine, steps: list[list[Any]]) -> None:
    with engine.begin() as database:
        before: Counter[Any] = Counter()
        for rows in steps:
            written = bring(connection, database, rows)
            wanted = Counter((one[0], None if one[1] != one[1] else one[1], *one[2:]) for one in rows)
            assert told(database) == wanted
            if before == wanted:
                assert written <= 2 * sum(one[1] is None for one in wanted)  # nan and nothing are kept alike
            before = wanted


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(ROWS, min_size=1, max_size=4))
def test_any_mart_may_follow_any_other(connection: duckdb.DuckDBPyConnection, steps: list[list[Any]]) -> None:
    house = in_memory()
    follows(connection, house, steps)
    house.dispose()


@pytest.mark.postgres
def test_and_on_postgresql(connection: duckdb.DuckDBPyConnection, tmp_path: Path, postgres_server: str) -> None:
    house = Warehouse.open(tmp_path, postgres.new_database(postgres_server))
    one, two, three = (
        ("A1", 0.1, AT, True, AT.date(), 7),
        ("A1", None, None, None, None, None),
        ("A2", 1.5, AT, False, None, 0),
    )
    follows(connection, house.database, [[one, one, two], [one, three], [three, one], [], [two]])
    house.database.dispose()


def test_only_what_changed_is_written(connection: duckdb.DuckDBPyConnection) -> None:
    """Of 100 rows one changes: one is taken away and one written; a copy of a row is one more row."""
    rows = [(f"A{n}", n / 7, AT, True, None, n) for n in range(100)]
    house = in_memory()
    with house.begin() as database:
        assert bring(connection, database, rows) == 100
        assert bring(connection, database, rows) == 0
        assert bring(connection, database, [*rows[:-1], ("A99", 0.0, AT, True, None, 99)]) == 2
        assert bring(connection, database, [*rows[:-1], ("A99", 0.0, AT, True, None, 99), rows[0]]) == 1
        assert told(database)[("A0", 0.0, AT, True, None, 0)] == 2
        indexes = {one["name"] for one in sa.inspect(database).get_indexes("mart_made")}
        assert indexes == {f"ix_mart_made_{name}" for name in ("account_id", "status_at", "waits")}
    house.dispose()


def test_a_few_changed_rows_are_taken_away_and_put_beside(
    connection: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Matching them with what they replace would take longer; the table says the same."""
    monkeypatch.setattr(marts, "OVER_FROM_ROWS", 3)
    house = in_memory()
    first = [(f"A{n}", 0.0, AT, True, None, n) for n in range(9)]
    follows(
        connection,
        house,
        [first, [*first[:-2], ("A7", 0.5, AT, True, None, 7), ("A8", 0.5, None, False, None, 9)], first, first[:4]],
    )
    house.dispose()


def test_a_changed_row_stays_where_it_stood(connection: duckdb.DuckDBPyConnection) -> None:
    """An account that moves is written over itself, what it is sought by included; who is new comes after all."""
    rows = [(f"A{n}", n / 7, AT, True, None, n) for n in range(10)]
    house = in_memory()
    query = "select _row, account_id, place, waits from mart_made order by _row"
    with house.begin() as database:
        bring(connection, database, rows)
        before = database.exec_driver_sql(query).fetchall()
        bring(
            connection, database, [("B", 0.0, AT, True, None, 1), *rows[:3], ("A3", 0.5, AT, False, None, 8), *rows[4:]]
        )
        after = database.exec_driver_sql(query).fetchall()
        assert after[:10] == [*before[:3], (before[3][0], "A3", 8, 0), *before[4:]]
        assert [one[1] for one in after[10:]] == ["B"]
    house.dispose()


def test_rows_changed_by_another_hand_are_seen(connection: duckdb.DuckDBPyConnection) -> None:
    """What is kept of a table's rows is believed only while it has as many of them and they end alike."""
    rows = [(f"A{n}", n / 7, AT, True, None, n) for n in range(10)]
    house = in_memory()
    with house.begin() as database:
        bring(connection, database, rows)
        database.exec_driver_sql("delete from mart_made where account_id = 'A3'")
        assert bring(connection, database, rows) == 1
        assert bring(connection, database, rows) == 0
    house.dispose()


def test_what_is_written_in_parts_is_seen(connection: duckdb.DuckDBPyConnection) -> None:
    rows = [(f"A{n}", n / 7, AT, True, None, n) for n in range(10)]
    house = in_memory()
    with house.begin() as database:
        bring(connection, database, rows)
        connection.execute("update marts.made set share = 0.5 where place > 5")
        for part in marts.differing(database, "marts.made", marts.number(connection, "marts.made")).parts(2):
            marts.write(connection, database, part)
        assert again(connection, database) == 0
    house.dispose()


def test_a_mart_with_other_columns_is_made_anew(connection: duckdb.DuckDBPyConnection) -> None:
    house = in_memory()
    with house.begin() as database:
        bring(connection, database, [("A1", 0.1, AT, True, None, 7)])
        connection.execute("create or replace table marts.made as select 'B' as account_id")
        assert again(connection, database) == 1
        assert marts.read(database, "made").to_dict("list") == {"account_id": ["B"]}
    house.dispose()
