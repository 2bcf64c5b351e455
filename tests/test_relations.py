"""Relations built at once are those built one after another, and say what is wrong with them; amounts as walked."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.money import from_minor, to_minor
from sql import relations

AT = dt.datetime(2026, 3, 2, 9, 15, tzinfo=dt.UTC)
FILES = {
    "facts/numbers": "select range as n from range(1000)",
    "facts/even": "select n from facts.numbers where n % 2 = 0",
    "staging/odd": "select n from facts.numbers where n % 2 = 1",
    "marts/sums": "select (select sum(n) from facts.even) + (select sum(n) from staging.odd) as said",
    "marts/stands": "select getvariable('as_of') as said, getvariable('walked_after') as walked,"
    " getvariable('named') as named, current_setting('timezone') as zone",
    "marts/both": "select sums.said, stands.zone from marts.sums cross join marts.stands",
}


@pytest.fixture
def connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[duckdb.DuckDBPyConnection]:
    monkeypatch.setattr(relations, "FOLDER", tmp_path)
    for cached in (relations.text, relations.needs):
        cached.cache_clear()
    for name, query in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.sql").write_text(query)
    with duckdb.connect(config={"threads": 3}) as opened:
        opened.execute("set timezone = 'UTC'")
        opened.execute("set variable walked_after = cast(null as timestamptz); set variable named = ['NULL', '1,''2']")
        relations.prepare(opened, AT)
        yield opened
    for cached in (relations.text, relations.needs):
        cached.cache_clear()


def told(connection: duckdb.DuckDBPyConnection, name: str) -> list[tuple[object, ...]]:
    return connection.execute(f"from {name}").fetchall()


def test_those_that_wait_for_no_other_are_built_at_once(connection: duckdb.DuckDBPyConnection) -> None:
    """Each after what it reads, standing where the connection stands; what is there already is left and told too."""
    connection.execute("create table facts.even as select 0 as n")
    connection.execute("create table marts.sums as select 7 as said")
    found = relations.build_apart(connection, *relations.names("marts"), then=told)
    assert found == {
        "marts.both": [(7, "UTC")],
        "marts.stands": [(AT, None, ["NULL", "1,'2"], "UTC")],
        "marts.sums": [(7,)],
    }
    assert relations.are_there(connection, "facts.even", "marts.sums")
    assert not relations.are_there(connection, "facts.even", "staging.odd")
    assert connection.execute("select current_setting('threads')").fetchall() == [(3,)]


def test_what_most_waits_for_is_built_first(
    connection: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a processor idles at the end, while the last of a long row is built."""
    (relations.FOLDER / "marts/alone.sql").write_text("select 1 as said")
    made = list[str]()
    make = relations._make

    def noted(cursor: duckdb.DuckDBPyConnection, name: str, lazy: tuple[str, ...]) -> None:
        made.append(name)
        make(cursor, name, lazy)

    monkeypatch.setattr(relations, "MOST_AT_ONCE", 1)
    monkeypatch.setattr(relations, "_make", noted)
    relations.build_apart(connection, *relations.names("marts"), then=told)
    assert made[0] == "facts.numbers"
    assert set(made[-2:]) == {"marts.alone", "marts.both"}


def test_what_is_dropped_is_built_anew(connection: duckdb.DuckDBPyConnection) -> None:
    """A connection remembers what it holds; what is dropped, by itself or with its room, must not count as there."""
    relations.build(connection, "marts.sums")
    for forget, name in ((relations.drop, "marts.sums"), (relations.clear, "marts")):
        connection.execute("create or replace table marts.sums as select 7 as said")
        relations.build(connection, "marts.sums")
        assert told(connection, "marts.sums") == [(7,)]
        forget(connection, name)
        assert not relations.are_there(connection, "marts.sums")
        relations.build(connection, "marts.sums")
        assert told(connection, "marts.sums") == [(499_500,)]


def test_a_view_stays_one(connection: duckdb.DuckDBPyConnection) -> None:
    assert relations.build_apart(connection, "marts.sums", then=told) == {"marts.sums": [(499_500,)]}
    views = connection.execute("select view_name from duckdb_views() where not internal").fetchall()
    assert views == [("odd",)]


@pytest.mark.parametrize(
    ("query", "error", "sentence"),
    [
        ("select missing from facts.even", RuntimeError, "sql/marts/sums.sql does not run"),
        ("from marts.both", ValueError, "relations read each other"),
        ("from facts.missing", KeyError, "no relation facts.missing"),
    ],
)
def test_what_cannot_be_built_is_named(
    connection: duckdb.DuckDBPyConnection, query: str, error: type[Exception], sentence: str
) -> None:
    (relations.FOLDER / "marts/sums.sql").write_text(query)
    with pytest.raises(error, match=sentence):
        relations.build_apart(connection, *relations.names("marts"), then=told)
    assert connection.execute("select current_setting('threads')").fetchall() == [(3,)]


CURRENCIES = ("USD", "usd", "JPY", "KWD", "BTC", "XYZ")
EIGHTHS = st.decimals(-10_000, 10_000, places=8)
HALVES = st.decimals(-10, 10, places=2).map(lambda amount: amount + Decimal("0.005"))


@pytest.fixture(scope="module")
def walked() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        relations.prepare(connection, AT)
        yield connection


@given(amounts=st.lists(EIGHTHS | HALVES, min_size=1, max_size=20), currency=st.sampled_from(CURRENCIES))
def test_an_amount_is_rounded_in_sql_as_in_the_walk(
    walked: duckdb.DuckDBPyConnection, amounts: list[Decimal], currency: str
) -> None:
    """Guards what payouts sum: whole minor units of the currency, a half away from zero."""
    query = "select as_walked(cast(unnest(?) as decimal(18, 8)), ?)"
    told = walked.execute(query, [[str(amount) for amount in amounts], currency]).fetchall()
    assert [row[0] for row in told] == [from_minor(to_minor(one, currency), currency) for one in amounts]
