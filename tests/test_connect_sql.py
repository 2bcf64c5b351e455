"""Reporting databases of MT4 and MT5: units, server clock, partial closes, changed rows, paging, no secret shown."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from pipelines.connect.kit.interface import ConnectRefused
from pipelines.connect.kit.settings import Settings
from sql.warehouse import Warehouse
from tests import connect_world as world
from tests import postgres
from tests.conftest import BOTH_DATABASES

METADATA = sa.MetaData()
MT4 = sa.Table(
    "mt4_trades",
    METADATA,
    *(sa.Column(name, sa.Integer) for name in ("TICKET", "LOGIN", "CMD", "VOLUME", "MAGIC", "REASON")),
    *(sa.Column(name, sa.Text) for name in ("SYMBOL", "COMMENT")),
    *(sa.Column(name, sa.DateTime) for name in ("OPEN_TIME", "CLOSE_TIME", "MODIFY_TIME")),
    *(sa.Column(name, sa.Float) for name in ("OPEN_PRICE", "CLOSE_PRICE", "SL", "TP")),
    *(sa.Column(name, sa.Float) for name in ("COMMISSION", "SWAPS", "TAXES", "PROFIT")),
)
MT5 = sa.Table(
    "mt5_deals",
    METADATA,
    *(sa.Column(name, sa.BigInteger) for name in ("Deal", "Login", "Action", "Entry", "Reason", "Volume", "VolumeExt")),
    *(sa.Column(name, sa.BigInteger) for name in ("ExpertID", "PositionID", "Timestamp")),
    *(sa.Column(name, sa.Text) for name in ("Symbol", "Comment")),
    *(sa.Column(name, sa.DateTime) for name in ("Time", "TimeMsc")),
    *(sa.Column(name, sa.Float) for name in ("Price", "Profit", "Storage", "Commission", "Fee", "PriceSL", "PriceTP")),
)
OPEN = dt.datetime(1970, 1, 1)


def at(hour: int, minute: int = 0, month: int = 3) -> dt.datetime:
    """A reading of the server's clock."""
    return dt.datetime(2026, month, 2, hour, minute)


def trade(ticket: int, **values: Any) -> dict[str, Any]:
    """A row of mt4_trades: a closed buy of half a lot unless told otherwise."""
    row = {"TICKET": ticket, "LOGIN": 501, "CMD": 0, "VOLUME": 50, "MAGIC": 0, "REASON": 0, "SYMBOL": "EURUSD"}
    row |= {"COMMENT": "", "OPEN_TIME": at(11), "CLOSE_TIME": at(12), "MODIFY_TIME": at(12), "OPEN_PRICE": 1.1}
    row |= {"CLOSE_PRICE": 1.101, "SL": 0.0, "TP": 0.0, "COMMISSION": -3.5, "SWAPS": 0.0, "TAXES": 0.0, "PROFIT": 50.0}
    return row | values


def deal(number: int, **values: Any) -> dict[str, Any]:
    """A row of mt5_deals: an entry of a quarter of a lot unless told otherwise."""
    row: dict[str, Any] = {
        "Deal": number,
        "Login": 501,
        "Action": 0,
        "Entry": 0,
        "Reason": 0,
        "Volume": 2500,
        "VolumeExt": 25_000_000,
    }
    row |= {"ExpertID": 0, "PositionID": 77, "Timestamp": number, "Symbol": "EURUSD", "Comment": "", "Time": at(11)}
    row |= {"TimeMsc": at(11).replace(microsecond=250_000), "Price": 1.1, "Profit": 0.0, "Storage": 0.0}
    return row | {"Commission": -1.25, "Fee": 0.0, "PriceSL": 0.0, "PriceTP": 1.2} | values


@pytest.fixture(params=BOTH_DATABASES)
def database(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[sa.Engine]:
    """An empty reporting database whose address waits in the environment, once in a file and once on a server."""
    address = f"sqlite:///{tmp_path}/report.db"
    if request.param == "postgres":
        address = postgres.new_database(request.getfixturevalue("postgres_server"))
    monkeypatch.setenv("REPORT_DATABASE", address)
    engine = sa.create_engine(address)
    METADATA.create_all(engine)
    yield engine
    engine.dispose()


def add(database: sa.Engine, table: sa.Table, *rows: dict[str, Any]) -> None:
    """Write rows."""
    with database.begin() as connection:
        connection.execute(sa.insert(table), list(rows))


def told(warehouse: Warehouse, layout: str, **values: Any) -> Settings:
    """Settings for the reporting database."""
    secret = {"env": "REPORT_DATABASE"}
    given = {"layout": layout, "database": secret, "server_zone": "Europe/Athens", "rows_per_page": 2} | values
    return world.settings(warehouse, **given)


def test_mt4_rows_become_deals(database: sa.Engine, tmp_path: Path) -> None:
    """Lots are hundredths, times the server's clock, ids the statement's; an open trade has no out; pending none."""
    warehouse = world.home(tmp_path, "mt4", {"501": "a-1"})
    add(
        database,
        MT4,
        trade(1, CMD=6, PROFIT=10000.0, COMMENT="Initial deposit", COMMISSION=0.0),
        trade(2, COMMENT="[sl]", SL=1.09),
        trade(3, CLOSE_TIME=OPEN, MODIFY_TIME=at(13), CMD=1),
        trade(4, CMD=2, MODIFY_TIME=at(14)),
    )
    tally = world.once(warehouse, "sql-pull", told(warehouse, "mt4"))
    found = world.deals(warehouse)
    assert list(found) == ["10", "20", "21", "30"]
    assert tally.landed == tally.rows == 4
    assert (found["10"]["kind"], found["10"]["profit"]) == ("balance", Decimal(10000))
    closing = found["21"]
    assert (closing["volume"], closing["side"], closing["entry"], closing["reason"]) == (0.5, "sell", "out", "sl")
    assert (closing["profit"], closing["commission"], closing["stop_loss"]) == (Decimal(50), Decimal("-3.5"), 1.09)
    assert closing["executed_at"] == dt.datetime(2026, 3, 2, 10, tzinfo=dt.UTC)
    assert found["30"]["side"] == "sell"


def test_the_clock_follows_daylight_saving(database: sa.Engine, tmp_path: Path) -> None:
    """Noon on the server is ten in winter and nine in summer."""
    warehouse = world.home(tmp_path, "mt4", {"501": "a-1"})
    add(
        database, MT4, trade(2, CLOSE_TIME=OPEN, OPEN_TIME=at(12)), trade(3, CLOSE_TIME=OPEN, OPEN_TIME=at(12, month=7))
    )
    world.once(warehouse, "sql-pull", told(warehouse, "mt4"))
    assert [found["executed_at"].astimezone(dt.UTC).hour for found in world.deals(warehouse).values()] == [10, 9]


def test_parts_of_a_trade_share_the_first_ticket(database: sa.Engine, tmp_path: Path) -> None:
    """A remainder of a remainder belongs to the ticket it began as."""
    warehouse = world.home(tmp_path, "mt4", {"501": "a-1"})
    add(database, MT4, trade(2, COMMENT="to #3"), trade(3, COMMENT="from #2"), trade(5, COMMENT="from #3[tp]"))
    world.once(warehouse, "sql-pull", told(warehouse, "mt4"))
    assert {found["position_id"] for found in world.deals(warehouse).values()} == {"2"}


def test_mt5_rows_become_deals(database: sa.Engine, tmp_path: Path) -> None:
    """Manager reasons (4 is a take profit), lots by VolumeExt, milliseconds, money rows by type and comment."""
    warehouse = world.home(tmp_path, "mt5", {"501": "a-1"})
    add(
        database,
        MT5,
        deal(1, Action=2, Profit=10000.0, Commission=0.0, Symbol="", PositionID=0),
        deal(2),
        deal(3, Action=1, Entry=1, Reason=4, Profit=25.5, Storage=-0.75),
        deal(4, Entry=255),
        deal(5, Action=5, Profit=-10.0, Commission=0.0, Comment="rolled back"),
        deal(6, Action=99),
    )
    tally = world.once(warehouse, "sql-pull", told(warehouse, "mt5"))
    assert (tally.rows, tally.landed, tally.rejects) == (5, 4, 1)
    found = world.deals(warehouse)
    assert list(found) == ["1", "2", "3", "5"]
    assert [found["3"][name] for name in ("reason", "entry", "side", "swap")] == ["tp", "out", "sell", Decimal("-0.75")]
    assert [found["2"][name] for name in ("volume", "take_profit", "position_id")] == [0.25, 1.2, "77"]
    assert found["2"]["executed_at"].microsecond == 250_000
    assert found["5"]["comment"] == "rolled back (correction)"


def test_a_run_resumes_where_the_last_one_ended(database: sa.Engine, tmp_path: Path) -> None:
    """Only changed and new rows are read again; a trade that has closed since brings its closing deal."""
    warehouse = world.home(tmp_path, "mt4", {"501": "a-1"})
    add(database, MT4, *(trade(n, MODIFY_TIME=at(9, n)) for n in range(2, 12)), trade(40, CLOSE_TIME=OPEN))
    assert world.once(warehouse, "sql-pull", told(warehouse, "mt4")).landed == 21
    with database.begin() as connection:
        closed = {"CLOSE_TIME": at(15), "MODIFY_TIME": at(15)}
        connection.execute(sa.update(MT4).where(MT4.c.TICKET == 40).values(**closed))
    second = world.once(warehouse, "sql-pull", told(warehouse, "mt4"))
    assert (second.landed, second.rows) == (1, 2)


def test_rows_of_one_instant_are_paged_whole(database: sa.Engine, tmp_path: Path) -> None:
    """More rows changed at one instant than a page holds."""
    warehouse = world.home(tmp_path, "mt4", {"501": "a-1"})
    add(database, MT4, *(trade(n, MODIFY_TIME=at(9)) for n in range(2, 9)))
    assert world.once(warehouse, "sql-pull", told(warehouse, "mt4")).landed == 14


def test_the_stream_brings_changes_and_nothing_twice(database: sa.Engine, tmp_path: Path) -> None:
    """What is written after the start arrives; what stays is not landed again and again."""
    warehouse = world.home(tmp_path, "mt5", {"501": "a-1"})
    add(database, MT5, deal(2))
    written: list[bool] = []

    def arrived() -> bool:
        if not written and world.state(warehouse)["state"] == "streaming":
            add(database, MT5, deal(3, Login=777), deal(4))
            written.append(True)
        return bool(world.state(warehouse)["rows_landed"] == 2)

    tally = asyncio.run(world.follow(warehouse, "sql-pull", told(warehouse, "mt5"), arrived))
    assert (tally.landed, set(world.deals(warehouse))) == (2, {"2", "4"})
    assert tally.duplicates <= 1


def test_unknown_accounts_and_symbols_are_reported_not_guessed(database: sa.Engine, tmp_path: Path) -> None:
    """A login without an account waits; once known it lands from its beginning."""
    warehouse = world.home(tmp_path, "mt5", {"501": "a-1"})
    add(database, MT5, deal(2, Symbol="QQQZZ7"), deal(3, Login=777))
    world.once(warehouse, "sql-pull", told(warehouse, "mt5"))
    assert list(world.findings(warehouse, "unknown_account")) == ["777"]
    assert list(world.findings(warehouse, "unknown_symbol")) == ["QQQZZ7"]
    named = told(warehouse, "mt5")
    named.accounts = {"777": "a-7"}
    world.once(warehouse, "sql-pull", named)
    assert {found["account_id"] for found in world.deals(warehouse).values()} == {"a-1", "a-7"}
    assert world.findings(warehouse, "unknown_account") == {}


def test_what_cannot_be_read_is_refused_without_its_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database: sa.Engine
) -> None:
    """A wrong table, a secret in the file, an address nobody answers: one sentence each, and no password in any."""
    warehouse = world.home(tmp_path, "mt5", {"501": "a-1"})
    with pytest.raises(ConnectRefused, match="do not belong into this file"):
        world.once(warehouse, "sql-pull", told(warehouse, "mt5", database="sqlite:///x.db"))
    with pytest.raises(ConnectRefused, match="cannot be read"):
        world.once(warehouse, "sql-pull", told(warehouse, "mt5", table="absent"))
    monkeypatch.setenv("REPORT_DATABASE", "postgresql+psycopg://me:pa55word@127.0.0.1:1/x")
    said: list[str] = []
    with pytest.raises(ConnectRefused) as refused:
        world.once(warehouse, "sql-pull", told(warehouse, "mt5"), said)
    assert "pa55word" not in f"{refused.value} {said} {world.state(warehouse)}"
