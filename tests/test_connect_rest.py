"""MT5 gateway, Match-Trader and TradeLocker on local servers that answer in their shapes, with faults and limits."""

from __future__ import annotations

import asyncio
import calendar
import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pipelines.connect.kit.interface import ConnectRefused
from pipelines.connect.kit.settings import Settings
from sql.warehouse import Warehouse
from tests import connect_world as world
from tests.fixtures.connect.http_server import HttpServer, Request, running

NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)
Row = dict[str, Any]


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """The token and the password of every server here."""
    monkeypatch.setenv("TOKEN", "t0ken")
    monkeypatch.setenv("PASSWORD", "pa55word")


# --- MT5 -------------------------------------------------------------------------------------------------------------


def seconds(moment: dt.datetime) -> int:
    """A moment as the server's clock, two hours ahead all year, counts it."""
    return calendar.timegm((moment + dt.timedelta(hours=2)).timetuple())


def mt5_deal(number: int, at: dt.datetime, **values: Any) -> Row:
    """An MTDeal as the Web API writes it: numbers as texts."""
    told = {"Deal": number, "Login": 501, "Action": 0, "Entry": 0, "Reason": 0, "Time": seconds(at), "Symbol": "EURUSD"}
    told |= {"TimeMsc": seconds(at) * 1000 + 250, "Price": "1.10000", "Volume": 2500, "VolumeExt": 25_000_000}
    told |= {"Profit": "0.00", "Storage": "0.00", "Commission": "-1.25", "Fee": "0.00", "ExpertID": 0, "PositionID": 77}
    told |= {"PriceSL": "0.00000", "PriceTP": "1.20000", "Comment": ""}
    return {name: str(value) for name, value in (told | values).items()}


class Mt5:
    """A gateway with one login."""

    def __init__(self) -> None:
        self.deals = [
            mt5_deal(1, NOW - dt.timedelta(days=9), Action=2, Profit="10000.00", Commission="0.00", Symbol=""),
            mt5_deal(2, NOW - dt.timedelta(days=8)),
            mt5_deal(3, NOW - dt.timedelta(days=7), Action=1, Entry=1, Reason=4, Profit="25.50", Storage="-0.75"),
        ]
        self.balance, self.zone, self.retcodes = "10022.25", 120, list[str]()

    def answer(self, asked: Request) -> tuple[int, Any]:
        """The Web API's answers."""
        if asked.headers.get("authorization") != "Bearer t0ken":
            return 401, {}
        if self.retcodes:
            return 200, {"retcode": self.retcodes.pop(0)}
        return 200, {"retcode": "0 Done", "answer": self.body(asked.path, asked.query)}

    def body(self, path: str, query: dict[str, str]) -> Any:
        """What is asked for."""
        if path == "/api/time/get":
            return {"TimeZone": str(self.zone), "DaylightState": "0"}
        if path == "/api/user/logins":
            return ["501"]
        if path == "/api/user/account/get":
            return {"Login": "501", "Balance": self.balance, "Equity": "10100.00", "Credit": "0.00"}
        found = [deal for deal in self.deals if int(query["from"]) <= int(deal["Time"]) <= int(query["to"])]
        if path == "/api/deal/get_total":
            return {"total": str(len(found))}
        if path == "/api/deal/get_page":
            return found[int(query["offset"]) : int(query["offset"]) + int(query["total"])]
        return found


@pytest.fixture
def mt5() -> Iterator[tuple[Mt5, HttpServer, str]]:
    """A running gateway."""
    gateway = Mt5()
    server = HttpServer(gateway.answer)
    with running(server) as url:
        yield gateway, server, url


def mt5_settings(warehouse: Warehouse, url: str, **values: Any) -> Settings:
    """Settings for the gateway."""
    given = {"url": url, "token": {"env": "TOKEN"}, "server_zone": "UTC+2", "requests_per_second": 500} | values
    return world.settings(warehouse, rows_per_page=2, **given)


def test_mt5_deals_and_equity(mt5: tuple[Mt5, HttpServer, str], tmp_path: Path) -> None:
    """Pages, Manager reasons and volumes, the server's clock, and a balance that its deals make."""
    warehouse = world.home(tmp_path, "mt5", {"501": "a-1"})
    assert world.once(warehouse, "mt5-gateway", mt5_settings(warehouse, mt5[2])).landed == 4
    found = world.deals(warehouse)
    assert [found["3"][name] for name in ("reason", "entry", "volume", "swap")] == ["tp", "out", 0.25, Decimal("-0.75")]
    assert found["2"]["executed_at"] == NOW - dt.timedelta(days=8) + dt.timedelta(milliseconds=250)
    assert world.findings(warehouse, "gap") == {}
    assert world.findings(warehouse, "clock") == {}


def test_mt5_says_what_does_not_add_up(mt5: tuple[Mt5, HttpServer, str], tmp_path: Path) -> None:
    """A balance that the deals do not make is a gap until they do; a wrong zone is told."""
    warehouse = world.home(tmp_path, "mt5", {"501": "a-1"})
    mt5[0].balance, mt5[0].zone = "9522.25", 180
    world.once(warehouse, "mt5-gateway", mt5_settings(warehouse, mt5[2]))
    assert world.findings(warehouse, "gap")["a-1 balance"] == "its deals make 10022.25, its balance is 9522.25"
    assert "180 minutes ahead of UTC" in next(iter(world.findings(warehouse, "clock").values()))
    mt5[0].deals.append(mt5_deal(4, NOW - dt.timedelta(days=6), Action=2, Profit="-500.00", Commission="0.00"))
    mt5[0].zone = 120
    world.once(warehouse, "mt5-gateway", mt5_settings(warehouse, mt5[2]))
    assert world.findings(warehouse, "gap") == world.findings(warehouse, "clock") == {}
    assert world.deals(warehouse)["4"]["profit"] == Decimal(-500)


def test_mt5_reads_on_and_finds_what_was_booked_into_the_past(mt5: tuple[Mt5, HttpServer, str], tmp_path: Path) -> None:
    """The second reading begins a day before the last deal; the balance still adds up."""
    warehouse = world.home(tmp_path, "mt5", {"501": "a-1"})
    world.once(warehouse, "mt5-gateway", mt5_settings(warehouse, mt5[2]))
    late = NOW - dt.timedelta(days=7, hours=3)
    mt5[0].deals.append(mt5_deal(5, late, Action=1, Entry=1, Profit="10.00"))
    mt5[0].balance = "10031.00"
    second = world.once(warehouse, "mt5-gateway", mt5_settings(warehouse, mt5[2]))
    assert second.landed == 2
    assert "5" in world.deals(warehouse)
    assert world.findings(warehouse, "gap") == {}


def test_mt5_faults_pass(mt5: tuple[Mt5, HttpServer, str], tmp_path: Path) -> None:
    """Hang-ups, limits, a server out of order and the Web API's own codes end in a complete reading."""
    warehouse = world.home(tmp_path, "mt5", {"501": "a-1"})
    mt5[1].faults = [(0, {}), (429, {"Retry-After": "0.05"}), (503, {}), (0, {})]
    mt5[0].retcodes = ["12 Too frequent", "10 No connection"]
    assert world.once(warehouse, "mt5-gateway", mt5_settings(warehouse, mt5[2])).landed == 4


def test_mt5_streams_new_deals_once(mt5: tuple[Mt5, HttpServer, str], tmp_path: Path) -> None:
    """A deal that appears in many polls lands once; a changed one is a new version."""
    warehouse = world.home(tmp_path, "mt5", {"501": "a-1"})
    pushed: list[int] = []
    moment = dt.datetime.now(dt.UTC).replace(microsecond=0)

    def arrived() -> bool:
        if not pushed and world.state(warehouse)["state"] == "streaming":
            mt5[0].deals.append(mt5_deal(6, moment))
            pushed.append(6)
        if pushed == [6] and "6" in world.deals(warehouse):
            mt5[0].deals[-1] = mt5_deal(6, moment, Commission="-2.00")
            pushed.append(7)
        return world.deals(warehouse).get("6", {}).get("commission") == Decimal(-2)

    told = mt5_settings(warehouse, mt5[2])
    asyncio.run(world.follow(warehouse, "mt5-gateway", told, arrived))
    with warehouse.engine() as connection:
        versions = connection.execute("select deal_id, count(*) from lake.deals group by all order by all").fetchall()
    assert versions == [("1", 1), ("2", 1), ("3", 1), ("6", 2)]


def test_mt5_wrong_token_is_refused(
    mt5: tuple[Mt5, HttpServer, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One sentence, without the token."""
    monkeypatch.setenv("TOKEN", "wr0ng")
    warehouse = world.home(tmp_path, "mt5", {"501": "a-1"})
    with pytest.raises(ConnectRefused, match="look at the setting token") as refused:
        world.once(warehouse, "mt5-gateway", mt5_settings(warehouse, mt5[2]))
    assert "wr0ng" not in f"{refused.value} {world.state(warehouse)}"


# --- Match-Trader ----------------------------------------------------------------------------------------------------


def closing(number: str, at: dt.datetime, **values: Any) -> Row:
    """A closed position as the Broker API gives it: net and gross, commission positive."""
    row = {"id": number, "openTime": (at - dt.timedelta(hours=1)).isoformat(), "openPrice": 1.1, "symbol": "EURUSD"}
    row |= {"volume": 0.5, "stopLoss": 0, "takeProfit": 1.2, "time": at.isoformat(), "closePrice": 1.101, "swap": 0.0}
    told = row | {"commission": 3.5, "profit": 50.0, "netProfit": 46.5, "side": "BUY", "closingOrderID": "c1"}
    return told | {"reason": "TP", "comment": None} | values


class MatchTrader:
    """A broker with one account."""

    def __init__(self) -> None:
        self.closed = [closing("W1", NOW - dt.timedelta(days=40)), closing("W2", NOW - dt.timedelta(days=2), swap=-1.0)]
        self.closed[1]["netProfit"] = 45.5
        at = (NOW - dt.timedelta(days=60)).isoformat()
        self.ledgers = [{"id": "1", "type": "DEPOSIT", "time": at, "profit": 10_000, "comment": "Initial deposit"}]
        self.ledgers += [{"id": "2", "type": "WITHDRAWAL", "time": at, "profit": 500, "comment": ""}]
        self.ledgers += [{"id": "3", "type": "CREDIT_IN", "time": at, "profit": 100, "comment": ""}]

    def answer(self, asked: Request) -> tuple[int, Any]:
        """The Broker API's answers."""
        if asked.headers.get("authorization") != "Bearer t0ken":
            return 401, {}
        finance = {"balance": 9592.0, "equity": 9600.5, "currency": "USD"}
        account = {"login": "501", "created": (NOW - dt.timedelta(days=61)).isoformat(), "financeInfo": finance}
        if asked.path == "/v1/trading-accounts":
            return 200, {"content": [account], "totalPages": 1}
        if asked.method == "GET":
            return 200, account
        name, rows = ("closedPositions", self.closed) if "closed" in asked.path else ("operations", self.ledgers)
        found = [row for row in rows if asked.body["from"] <= row["time"] <= asked.body["to"]]
        return 200, {name: found[: asked.body["limit"]]}


@pytest.fixture
def broker() -> Iterator[tuple[MatchTrader, HttpServer, str]]:
    """A running broker."""
    match = MatchTrader()
    server = HttpServer(match.answer)
    with running(server) as url:
        yield match, server, url


def broker_settings(warehouse: Warehouse, url: str, **values: Any) -> Settings:
    """Settings for the broker."""
    return world.settings(warehouse, url=url, token={"env": "TOKEN"}, requests_per_second=500, **values)


def test_matchtrader_closings_ledgers_and_equity(broker: tuple[MatchTrader, HttpServer, str], tmp_path: Path) -> None:
    """Each closing is an in and an out, gross with its costs negative; ledgers are signed by their type."""
    warehouse = world.home(tmp_path, "matchtrader", {"501": "a-1"})
    broker[1].faults = [(429, {}), (0, {})]
    assert world.once(warehouse, "matchtrader", broker_settings(warehouse, broker[2])).landed == 8
    found = world.deals(warehouse)
    out = next(row for name, row in found.items() if name.startswith("W2") and name.endswith("-out"))
    assert [out[name] for name in ("profit", "commission", "swap")] == [Decimal(50), Decimal("-3.5"), Decimal(-1)]
    assert (out["side"], out["reason"], out["volume"], out["take_profit"]) == ("sell", "tp", 0.5, 1.2)
    assert [(found[f"ledger-{n}"]["kind"], found[f"ledger-{n}"]["profit"]) for n in (1, 2, 3)] == [
        *(("balance", Decimal(10_000)), ("balance", Decimal(-500)), ("credit", Decimal(100)))
    ]


def test_matchtrader_full_answers_are_halved(broker: tuple[MatchTrader, HttpServer, str], tmp_path: Path) -> None:
    """An answer as long as its limit may lack rows: it is asked for in halves; parts of a position stay apart."""
    warehouse = world.home(tmp_path, "matchtrader", {"501": "a-1"})
    moments = [NOW - dt.timedelta(days=3, minutes=n) for n in range(12)]
    broker[0].closed = [closing("W9", at, closingOrderID=f"c{n}") for n, at in enumerate(moments)]
    broker[0].closed.append(closing("W9", moments[0], closingOrderID="c99"))
    told = broker_settings(warehouse, broker[2], rows_per_page=4)
    world.once(warehouse, "matchtrader", told)
    assert sum(name.endswith("-out") for name in world.deals(warehouse)) == 13
    again = world.once(warehouse, "matchtrader", told)
    assert again.landed == 1


def test_matchtrader_repeats_and_late_closings_land_once(
    broker: tuple[MatchTrader, HttpServer, str], tmp_path: Path
) -> None:
    """Closings twice in an answer and newest first, hang-ups while following, and one that is told late."""
    warehouse = world.home(tmp_path, "matchtrader", {"501": "a-1"})
    broker[0].closed = [*broker[0].closed[::-1], broker[0].closed[0]]
    pushed: list[dt.datetime] = []

    def arrived() -> bool:
        if not pushed and world.state(warehouse)["state"] == "streaming":
            now = dt.datetime.now(dt.UTC)
            pushed.extend([now, now - dt.timedelta(minutes=2)])
            broker[1].faults = [(0, {}), (503, {}), (429, {"Retry-After": "0.02"})]
            broker[0].closed += [closing("W4", pushed[0]), closing("W3", pushed[1])]
        return {"W3", "W4"} <= {name[:2] for name in world.deals(warehouse)}

    told = broker_settings(warehouse, broker[2])
    asyncio.run(world.follow(warehouse, "matchtrader", told, arrived))
    names = sorted(name[:2] for name in world.deals(warehouse) if name.endswith("-out"))
    assert names == ["W1", "W2", "W3", "W4"]
    with warehouse.engine() as connection:
        assert connection.execute("select max(_version) from lake.deals").fetchone() == (1,)


# --- TradeLocker -----------------------------------------------------------------------------------------------------

ORDER_COLUMNS = ["id", "tradableInstrumentId", "qty", "side", "status", "filledQty", "avgPrice", "createdDate"]
ORDER_COLUMNS += ["lastModified", "positionId"]


class TradeLocker:
    """A server with one account whose access token runs out."""

    def __init__(self) -> None:
        start = int(NOW.timestamp() * 1000) - 86_400_000
        self.orders = [
            ["1", 278, 0.5, "buy", "Filled", 0.5, 1.1, start, start, "9"],
            ["2", 278, 0.5, "sell", "Filled", 0.2, 1.101, start + 1, start + 9000, "9"],
            ["3", 278, 0.5, "sell", "Cancelled", 0, 0, start + 2, start + 2, "9"],
            ["4", 999, 0.5, "buy", "Filled", 0.5, 1.1, start + 3, start + 3, "10"],
        ]
        self.access, self.renewed = "a-1", 0

    def answer(self, asked: Request) -> tuple[int, Any]:
        """The public API's answers."""
        if asked.path == "/auth/jwt/token":
            known = asked.body == {"email": "me@example.org", "password": "pa55word", "server": "DEMO"}
            return (201, {"accessToken": "expired", "refreshToken": "r-1"}) if known else (401, {})
        if asked.path == "/auth/jwt/refresh":
            self.renewed += 1
            return (201, {"accessToken": self.access, "refreshToken": "r-2"})
        if asked.headers.get("authorization") != f"Bearer {self.access}":
            return 401, {}
        if asked.path == "/auth/jwt/all-accounts":
            return 200, {"accounts": [{"id": "501", "accNum": "1", "currency": "USD", "accountBalance": "10020"}]}
        return (200, {"s": "ok", "d": self.data(asked)}) if asked.headers.get("accnum") == "1" else (400, {})

    def data(self, asked: Request) -> Any:
        """What is asked about the account."""
        if asked.path == "/trade/config":
            details = ["balance", "projectedBalance", "openNetPnL"]
            told = {"ordersHistoryConfig": ORDER_COLUMNS, "accountDetailsConfig": details}
            return {name: {"columns": [{"id": column} for column in columns]} for name, columns in told.items()}
        if asked.path.endswith("/state"):
            return {"accountDetailsData": [10_020.0, 10_020.0, 5.5]}
        if asked.path.endswith("/instruments"):
            return {"instruments": [{"tradableInstrumentId": 278, "name": "EURUSD"}]}
        window = int(asked.query["from"]), int(asked.query["to"])
        found = [order for order in self.orders if window[0] <= int(str(order[7])) <= window[1]]
        newest = sorted(found, key=lambda order: -int(str(order[7])))
        return {"ordersHistory": newest[:2], "hasMore": len(newest) > 2}


def test_tradelocker_orders_become_deals(tmp_path: Path) -> None:
    """Columns by the config, tokens renewed, pages followed back, profit by contract size, unlisted money told."""
    locker = TradeLocker()
    with running(HttpServer(locker.answer)) as url:
        warehouse = world.home(tmp_path, "tradelocker", {"501": "a-1"})
        given = {"url": url, "email": "me@example.org", "server": "DEMO", "password": {"env": "PASSWORD"}}
        told = world.settings(warehouse, requests_per_second=500, **given)
        tally = world.once(warehouse, "tradelocker", told)
    found = world.deals(warehouse)
    assert list(found) == ["1", "2"]
    assert [found["2"][name] for name in ("entry", "side", "volume", "profit")] == ["out", "sell", 0.2, Decimal(20)]
    assert (tally.rejects, locker.renewed) == (1, 1)
    assert "fills make 20, the balance is 10020" in world.findings(warehouse, "gap")["a-1 balance"]
    with warehouse.engine() as connection:
        assert connection.execute("select equity from lake.equity").fetchall() == [(Decimal("10025.5"),)]


def test_tradelocker_faults_pass_and_repeats_land_once(tmp_path: Path) -> None:
    """Hang-ups, limits, maintenance, orders twice and in any order: the same deals, nothing new the next time."""
    locker = TradeLocker()
    locker.orders = [locker.orders[1], locker.orders[0], locker.orders[1]]
    server = HttpServer(locker.answer, faults=[(0, {}), (503, {}), (429, {"Retry-After": "0.02"}), (0, {})])
    with running(server) as url:
        warehouse = world.home(tmp_path, "tradelocker", {"501": "a-1"})
        given = {"url": url, "email": "me@example.org", "server": "DEMO", "password": {"env": "PASSWORD"}}
        told = world.settings(warehouse, requests_per_second=500, **given)
        world.once(warehouse, "tradelocker", told)
        before = world.deals(warehouse)
        server.faults = [(503, {})]
        world.once(warehouse, "tradelocker", told)
    assert list(before) == ["1", "2"]
    assert world.deals(warehouse) == before
    with warehouse.engine() as connection:
        assert connection.execute("select count(*), max(_version) from lake.deals").fetchone() == (2, 1)
