"""Trades and counts made on from those of an earlier run are those made from the start, whatever landed in between."""

from __future__ import annotations

import datetime as dt
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.coordination import held
from pipelines.surveillance import read_openings
from sql import kept_files, kept_records, kept_trades, relations
from sql.schema import DATASETS
from sql.warehouse import _lake_view

BEGIN = dt.datetime(2026, 3, 2, 9, tzinfo=dt.UTC)
INSTRUMENTS = {"EURUSD": "EURUSD", "GER40.x": "GER40"}
DEALS = st.lists(
    st.fixed_dictionaries(
        {
            "account_id": st.sampled_from(["A1", "A2"]),
            "deal_id": st.integers(1, 25).map(str),
            # ids that look like episodes, and positions without one, which are netted by symbol
            "position_id": st.sampled_from([None, None, "7", "9 1", "net EURUSD", "8"]),
            "entry": st.sampled_from(["in", "in", "out", "out", "inout", None]),
            "side": st.sampled_from(["buy", "sell"]),
            "symbol": st.sampled_from(["EURUSD", "GER40.x", "new", None]),
            "volume": st.sampled_from([0.25, 0.5, 1.0]),
            "minute": st.integers(0, 300),
            "profit": st.sampled_from([-64, -4, 0, 8, 128]),
            "kind": st.sampled_from(["trade", "trade", "trade", "balance"]),
            "stop_loss": st.sampled_from([None, 0, 1]),
        }
    ),
    min_size=4,
    max_size=25,
)
DAYS = st.lists(st.tuples(DEALS, st.integers(-60, 240)), min_size=2, max_size=3)


@contextmanager
def house() -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB with an empty lake."""
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'; set threads = 1; create schema lake")
        connection.execute(_lake_view(DATASETS["deals"], []) + _lake_view(DATASETS["equity"], []))
        yield connection


def show(
    connection: duckdb.DuckDBPyConnection, rows: list[dict[str, Any]], until: int, instruments: dict[str, str]
) -> None:
    """Lets these deals have landed, as of a minute."""
    relations.prepare(connection, BEGIN + dt.timedelta(minutes=until))
    told = pa.table({"symbol": list(instruments), "instrument": list(instruments.values())})
    connection.register("told", told)
    connection.execute("create or replace table terms.instruments as from told; delete from lake.deals")
    if rows:
        connection.register("told", pa.Table.from_pylist(rows))
        connection.execute("insert into lake.deals by name from told")


def landed(days: list[tuple[list[dict[str, Any]], int]]) -> Iterator[tuple[list[dict[str, Any]], int]]:
    """What the lake holds after each day, and the minute as of which it is read; a record told again is a version."""
    rows: list[dict[str, Any]] = []
    versions: dict[tuple[str, str], int] = {}
    for load, (told, later) in enumerate(days, 1):
        for row in told:
            key = row["account_id"], row["deal_id"]
            versions[key] = versions.get(key, 0) + 1
            # instants apart, since which of two at one instant opened a position is not said
            at = BEGIN + dt.timedelta(minutes=row["minute"] + len(rows) / 1024)
            own = {"_load_id": load, "_line": len(rows) + 1, "_version": versions[key], "executed_at": at}
            rows.append({name: value for name, value in row.items() if name != "minute"} | own | {"price": 1.5})
        yield list(rows), 100 * load + later


Trades = list[tuple[Any, ...]]
TRADES = "select * from facts.trades order by account_id, trade_id"


def openings(connection: duckdb.DuckDBPyConnection, kept_in: Path | None) -> Any:
    """The openings that coordination reads, whatever their order: names in their order, then trades."""
    accounts, instruments, columns = read_openings(connection, kept_in)
    names = [accounts[columns.account], instruments[columns.instrument]]
    return (
        accounts.tolist(),
        instruments.tolist(),
        sorted(zip(*(one.tolist() for one in (*names, *columns[2:])), strict=True)),
    )


def check(
    folder: Path,
    rows: list[dict[str, Any]],
    until: int,
    instruments: dict[str, str],
    connection: duckdb.DuckDBPyConnection,
) -> tuple[Trades, Trades]:
    """Trades made on from what the folder keeps, and from the start."""
    show(connection, rows, until, instruments)
    relations.drop(connection, "facts.trades")
    kept_trades.build(connection, folder)
    on = connection.sql(TRADES).fetchall()
    relations.drop(connection, "facts.trades")
    relations.build(connection, "facts.trades")
    return on, connection.sql(TRADES).fetchall()


def counted(folder: Path, connection: duckdb.DuckDBPyConnection) -> tuple[Trades, Trades]:
    """Records counted on from what the folder keeps, and from the start; an observation goes with each deal."""
    connection.execute(
        "delete from lake.equity; insert into lake.equity by name"
        " select account_id, executed_at as observed_at, 1 as balance, 1 as equity, _load_id, _line, _version"
        " from lake.deals"
    )
    told = []
    for build in (kept_records.build, lambda connection, _: relations.build(connection, kept_records.NAME)):
        relations.drop(connection, kept_records.NAME)
        build(connection, folder)
        told.append(connection.sql(f"from {kept_records.NAME} order by all").fetchall())
    return told[0], told[1]


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with house() as opened:
        yield opened


@pytest.fixture(autouse=True)
def small_firms_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_trades, "KEPT_FROM_DEALS", 0)
    monkeypatch.setattr(kept_records, "KEPT_FROM_RECORDS", 0)


def test_a_deal_without_a_price_does_not_lower_the_price_of_its_trade(connection: duckdb.DuckDBPyConnection) -> None:
    deals = [("in", 1.5, 1.0), ("in", None, 3.0), ("out", None, 1.0), ("out", 1.75, 3.0)]
    rows = [
        {
            "account_id": "A1",
            "deal_id": str(place),
            "position_id": "7",
            "kind": "trade",
            "symbol": "EURUSD",
            "profit": 0,
        }
        | {"side": "buy" if entry == "in" else "sell", "entry": entry, "price": price, "volume": lots}
        | {"_load_id": 1, "_line": place, "_version": 1, "executed_at": BEGIN + dt.timedelta(minutes=place)}
        for place, (entry, price, lots) in enumerate(deals)
    ]
    show(connection, rows, 100, INSTRUMENTS)
    relations.build(connection, "facts.trades")
    assert connection.sql("select open_price, close_price from facts.trades").fetchall() == [(1.5, 1.75)]


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(days=DAYS, most=st.sampled_from([0.0, 0.5, 1.0]), learnt=st.booleans(), dropped=st.booleans())
def test_any_days_come_to_the_trades_of_a_whole_run(
    monkeypatch: pytest.MonkeyPatch,
    days: list[tuple[list[dict[str, Any]], int]],
    most: float,
    learnt: bool,
    dropped: bool,
) -> None:
    """Late and corrected deals, runs that stand earlier, symbols learnt later, rows that are no more."""
    monkeypatch.setattr(kept_trades, "MOST_ANEW", most)
    monkeypatch.setattr(kept_records, "MOST_ANEW", most)
    with tempfile.TemporaryDirectory() as folder, house() as connection:
        for number, (rows, until) in enumerate(landed(days)):
            instruments = INSTRUMENTS | ({"new": "NEW1"} if learnt and number else {})
            known = rows[1:] if dropped and number else rows
            on, whole = check(Path(folder), known, until, instruments, connection)
            assert on == whole
            assert openings(connection, Path(folder)) == openings(connection, None)
            on, whole = counted(Path(folder), connection)
            assert on == whole


def deal(number: int, minute: int, entry: str, position: str | None = "7") -> dict[str, Any]:
    told = {"account_id": "A1", "deal_id": str(number), "position_id": position, "entry": entry, "kind": "trade"}
    side = "buy" if entry == "in" else "sell"
    return told | {"side": side, "symbol": "EURUSD", "volume": 1.0, "minute": minute, "profit": 8, "stop_loss": None}


def test_only_positions_of_which_something_landed_are_made_anew(
    tmp_path: Path, connection: duckdb.DuckDBPyConnection
) -> None:
    """What is kept is believed: a trade that is changed in the file stays so until its position is named."""
    (first, until), (second, later) = landed(
        [([deal(1, 0, "in"), deal(2, 1, "in", "8")], 0), ([deal(3, 5, "out", "8")], 0)]
    )
    check(tmp_path, first, until, INSTRUMENTS, connection)
    file = tmp_path / kept_trades.FILE
    told = json.dumps(kept_files.read(connection, file))
    connection.execute(f"create table marked as select * replace (77 as lots) from read_parquet('{file}')")
    connection.execute(f"copy marked to '{file}' (format parquet, kv_metadata {{rests: '{told}'}})")
    kept_files.seal(file, file)
    on, whole = check(tmp_path, second, later, INSTRUMENTS, connection)
    assert [row for row in whole if row not in on] == [row for row in whole if row[1] == "7"]
    assert [row[5] for row in on] == [77, 1]


def test_only_accounts_with_another_version_are_counted_from_the_start(
    tmp_path: Path, connection: duckdb.DuckDBPyConnection
) -> None:
    """What is kept is believed: counts changed in the file go on by what landed, but where a record was told again."""
    days = [([deal(n, n, "in") | {"account_id": f"A{n}"} for n in (1, 2, 3)], 0)]
    days += [([deal(1, 9, "in"), deal(4, 5, "in") | {"account_id": "A2"}], 0)]
    (first, until), (second, later) = landed(days)
    show(connection, first, until, INSTRUMENTS)
    counted(tmp_path, connection)
    file = tmp_path / kept_records.FILE
    told = json.dumps(kept_files.read(connection, file))
    connection.execute(f"create table marked as select * replace (77 as records) from read_parquet('{file}')")
    connection.execute(f"copy marked to '{file}' (format parquet, kv_metadata {{rests: '{told}'}})")
    kept_files.seal(file, file)
    show(connection, second, later, INSTRUMENTS)
    on, _ = counted(tmp_path, connection)
    assert [(row[1], row[2]) for row in on if row[0] == "deals"] == [("A1", 1), ("A2", 78), ("A3", 77)]


@pytest.mark.parametrize("damage", ["nothing in it", "no Parquet", "one byte", "no seal"])
def test_a_damaged_file_is_not_read_and_replaced(
    tmp_path: Path, damage: str, connection: duckdb.DuckDBPyConnection
) -> None:
    """Also where it still reads as Parquet: a byte may have changed a price."""
    ((rows, until),) = landed([([deal(1, 0, "in"), deal(2, 1, "out")], 0)])
    check(tmp_path, rows, until, INSTRUMENTS, connection)
    file = tmp_path / kept_trades.FILE
    written = file.read_bytes()
    if damage == "no seal":
        file.with_name(f"{file.name}.sha256").unlink()
    elif damage == "one byte":
        at = written.index(b"EURUSD")
        file.write_bytes(written[:at] + b"G" + written[at + 1 :])
    else:
        file.write_bytes(b"" if damage == "nothing in it" else b"PAR1 no parquet PAR1")
    (tmp_path / f"{kept_trades.FILE}.left.part").write_bytes(b"of a run that was killed")
    assert kept_files.read(connection, file) is None
    on, whole = check(tmp_path, rows, until, INSTRUMENTS, connection)
    assert on == whole
    assert sorted(one.name for one in tmp_path.iterdir()) == [file.name, f"{file.name}.sha256"]
    assert kept_files.read(connection, tmp_path / kept_trades.FILE) is not None


def test_other_code_is_not_gone_on_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, connection: duckdb.DuckDBPyConnection
) -> None:
    (first, until), (second, later) = landed([([deal(1, 0, "in")], 0), ([deal(2, 5, "out")], 0)])
    check(tmp_path, first, until, INSTRUMENTS, connection)
    monkeypatch.setattr(kept_trades, "_code", lambda: "another")
    monkeypatch.setattr(kept_trades, "_made_on", lambda *_: pytest.fail("went on"))
    on, whole = check(tmp_path, second, later, INSTRUMENTS, connection)
    assert on == whole


def test_a_position_named_like_an_episode_is_told_by_its_whole_name(
    tmp_path: Path, connection: duckdb.DuckDBPyConnection
) -> None:
    days = [
        ([deal(1, 0, "in", "9 1"), deal(2, 1, "in", None)], 0),
        ([deal(3, 5, "out", "9 1"), deal(4, 6, "out", None)], 0),
    ]
    for rows, until in landed(days):
        on, whole = check(tmp_path, rows, until, INSTRUMENTS, connection)
        assert on == whole
        assert [row[1] for row in on] == ["9 1", "net EURUSD 1"]


def landed_on(tmp_path: Path, connection: duckdb.DuckDBPyConnection) -> None:
    """A day on top of what was read of the first: a late deal, one corrected into another position, a new account."""
    first = [deal(n, n, "in", str(n)) for n in range(1, 40)]
    later = [
        deal(3, 3, "in", "90"),
        deal(41, 50, "out", "5"),
        deal(42, 0, "in", "91"),
        deal(1, 9, "in") | {"account_id": "A0"},
    ]
    for rows, until in landed([(first, 0), (later, 0)]):
        on, whole = check(tmp_path, rows, until, INSTRUMENTS, connection)
        assert on == whole
        if until == 100:
            openings(connection, tmp_path)


def test_openings_are_read_of_trades_that_are_new_or_changed_alone(
    tmp_path: Path, connection: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_trades, "MOST_ANEW", 0.5)
    landed_on(tmp_path, connection)
    monkeypatch.setattr(held, "hold", lambda *_: pytest.fail("read all trades"))
    assert openings(connection, tmp_path) == openings(connection, None)
    assert len(openings(connection, tmp_path)[2]) == 41


@pytest.mark.parametrize("damage", ["gone", "cut", "changed", "no zip", "other trades", "other code"])
def test_openings_in_a_file_that_is_not_of_these_trades_are_read_anew(
    tmp_path: Path, connection: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    monkeypatch.setattr(kept_trades, "MOST_ANEW", 0.5)
    landed_on(tmp_path, connection)
    file, base = tmp_path / "openings.npz", kept_trades.base(connection)
    assert base is not None
    before, bytes_ = held.load(file, base), file.read_bytes()
    assert before is not None
    none = np.arange(0)
    emptied = held.hold(before.openings._replace(columns=before.openings.columns.take(none)), none)
    if damage == "gone":
        file.unlink()
    elif damage == "other trades":
        held.save(emptied, "another", file)
    elif damage == "other code":
        with monkeypatch.context() as other:
            other.setattr(held, "_code", lambda: "another")
            held.save(emptied, base, file)
    else:
        middle = len(bytes_) // 2
        told = {"cut": bytes_[:middle], "changed": bytes_[:middle] + bytes([bytes_[middle] ^ 1]) + bytes_[middle + 1 :]}
        file.write_bytes(told.get(damage, b"no zip"))
    assert held.load(file, base) is None
    assert openings(connection, tmp_path) == openings(connection, None)
    assert held.load(file, base) is not None


def test_openings_follow_an_instrument_that_is_renamed(
    tmp_path: Path, connection: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_trades, "MOST_ANEW", 0.5)
    landed_on(tmp_path, connection)
    told = [(deal(n, n, "in", str(n)) for n in range(1, 40))]
    ((rows, until),) = landed([(list(told[0]), 100)])
    check(tmp_path, rows, until, {"EURUSD": "EURUSD.r"}, connection)
    assert openings(connection, tmp_path)[1] == ["EURUSD.r"]
    assert openings(connection, tmp_path) == openings(connection, None)
