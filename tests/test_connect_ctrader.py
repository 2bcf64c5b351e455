"""cTrader's Open API on a local server: sign-in, paging, limits, gaps, events twice and out of order, and breaks."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from pipelines.connect.kit.interface import ConnectRefused
from pipelines.connect.kit.settings import Settings
from pipelines.connect.runner import Tally
from sql.warehouse import Warehouse
from tests import connect_world as world
from tests.fixtures.connect.ctrader_server import DAY, Account, CTraderServer, closing, deal, flow, now, running


@pytest.fixture
def server() -> CTraderServer:
    """A demo account funded with 10,000 that opened and closed one position ten days ago."""
    account, at = Account(), now()
    account.flows = [flow(1, at - 19 * DAY, 1, 1_000_000, 1_000_000, externalNote="Initial deposit")]
    account.deals = [
        deal(11, at - 10 * DAY),
        deal(12, at - 9 * DAY, side=2, closing=closing(2, 1_004_930, 5_000)),
        deal(13, at - 9 * DAY, dealStatus=4),
    ]
    return CTraderServer([account], now=at)


@pytest.fixture
def address(server: CTraderServer) -> Iterator[str]:
    """The running server."""
    with running(server) as url:
        yield url


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    """A home that knows login 501."""
    return world.home(tmp_path, "ctrader", {"501": "a-1"})


@pytest.fixture
def told(warehouse: Warehouse, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings for the server, quick where cTrader's own limits are not the point."""
    monkeypatch.setenv("CLIENT_ID", "client")
    monkeypatch.setenv("CLIENT_SECRET", "s3cret")
    (tmp_path / "tokens.json").write_text(json.dumps({"accessToken": "access-1", "refreshToken": "refresh-1"}))
    return world.settings(
        warehouse,
        url=address,
        live=False,
        client_id={"env": "CLIENT_ID"},
        client_secret={"env": "CLIENT_SECRET"},
        tokens=str(tmp_path / "tokens.json"),
        requests_per_second=1_000,
        historical_per_second=1_000,
        equity_every_seconds=60,
    )


@pytest.fixture(autouse=True)
def unhurried(server: CTraderServer) -> None:
    """No limit at the server unless a test sets one."""
    server.historical_limit = 100_000


def follow(warehouse: Warehouse, told: Settings, until: Callable[[], bool]) -> Tally:
    """Follow the stream until something holds."""
    return asyncio.run(world.follow(warehouse, "ctrader-open-api", told, until))


def once(warehouse: Warehouse, told: Settings, said: list[str] | None = None) -> Tally:
    """Catch up once."""
    return world.once(warehouse, "ctrader-open-api", told, said)


def streaming(warehouse: Warehouse) -> bool:
    """Tell whether the account is caught up and events are awaited."""
    return bool(world.state(warehouse)["state"] == "streaming")


class Script:
    """Steps to take one after the other, each once its condition holds; true when all are done and the last holds."""

    def __init__(self, *steps: tuple[Callable[[], bool], Callable[[], None]]) -> None:
        self.steps = list(steps)

    def __call__(self) -> bool:
        if self.steps and self.steps[0][0]():
            self.steps.pop(0)[1]()
        return not self.steps


def nothing() -> None:
    """The last step."""


def test_history_is_the_platforms_own_money(warehouse: Warehouse, told: Settings) -> None:
    """Lots by the symbol's lot size, money by its digits, commission where the balance shows it, refused deals out."""
    assert once(warehouse, told).landed == 4
    found = world.deals(warehouse)
    assert list(found) == ["11", "12", "cash-1"]
    assert [found["11"][name] for name in ("entry", "side", "volume", "profit")] == ["in", "buy", 0.1, Decimal(0)]
    assert [found["12"][name] for name in ("entry", "side", "profit", "commission")] == [
        *("out", "sell", Decimal(50), Decimal("-0.7"))
    ]
    assert [found["cash-1"][name] for name in ("kind", "profit", "comment")] == [
        *("balance", Decimal(10_000), "Initial deposit")
    ]
    assert sum(row["profit"] + (row["commission"] or 0) for row in found.values()) == Decimal("10049.30")
    assert world.findings(warehouse, "gap") == {}


def test_equity_is_balance_and_open_profit(warehouse: Warehouse, told: Settings, server: CTraderServer) -> None:
    """Unrealised profit net of costs is added to the balance."""
    server.accounts[0].open_profit = [12_345, -2_345]
    once(warehouse, told)
    with warehouse.engine() as connection:
        seen = connection.execute("select balance, equity from lake.equity").fetchall()
    assert seen == [(Decimal("10049.3"), Decimal("10149.3"))]


@pytest.mark.parametrize("newest_first", [False, True])
def test_pages_are_read_to_the_end(
    warehouse: Warehouse, told: Settings, server: CTraderServer, newest_first: bool
) -> None:
    """More deals in a week than a page holds, some at one millisecond, whichever end the server begins at."""
    server.newest_first = newest_first
    server.accounts[0].deals += [deal(100 + n, server.now - 3 * DAY + n // 2) for n in range(25)]
    told.values["rows_per_page"] = 4
    once(warehouse, told)
    assert len(world.deals(warehouse)) == 28


def test_a_second_run_reads_on_from_the_cursor(warehouse: Warehouse, told: Settings, server: CTraderServer) -> None:
    """Weeks that are stored are not asked for again, and nothing lands twice."""
    once(warehouse, told)
    before = len(server.asked)
    server.accounts[0].deals.append(deal(14, server.now - 60_000))
    second = once(warehouse, told)
    assert second.landed == 2
    assert server.asked[before:].count(2133) == 1


def test_the_servers_limit_is_kept(warehouse: Warehouse, told: Settings, server: CTraderServer) -> None:
    """Five historical requests in any second and never a sixth."""
    server.historical_limit = 5
    told.values["historical_per_second"] = 5
    once(warehouse, told)
    assert server.asked.count(2133) == 3
    assert server.refused_as_too_fast == 0


def test_too_fast_waits_as_long_as_it_is_told(warehouse: Warehouse, told: Settings, server: CTraderServer) -> None:
    """A blocked request is repeated after its pause; the reading is complete all the same."""
    server.faults[2133] = [{"errorCode": "BLOCKED_PAYLOAD_TYPE", "retryAfter": 1}]
    server.faults[2143] = [{"errorCode": "REQUEST_FREQUENCY_EXCEEDED"}]
    tally = once(warehouse, told)
    assert (tally.landed, tally.reconnects) == (4, 0)


def test_expired_tokens_are_renewed_and_kept(
    warehouse: Warehouse, told: Settings, server: CTraderServer, tmp_path: Path
) -> None:
    """The refresh token works once: the new pair is on disk, for no other user to read, and works next time."""
    server.tokens = set()
    assert once(warehouse, told).landed == 4
    file = tmp_path / "tokens.json"
    assert json.loads(file.read_text()) == {"accessToken": "access-2", "refreshToken": "refresh-2"}
    assert file.stat().st_mode & 0o077 == 0
    once(warehouse, told)
    assert server.asked.count(2173) == 1


def test_no_secret_is_said(
    warehouse: Warehouse,
    told: Settings,
    server: CTraderServer,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither logs nor messages nor the database hold client secret or tokens, even when a server repeats them."""
    said: list[str] = []
    caplog.set_level(logging.DEBUG, "highwater")
    server.tokens = set()
    server.faults[2133] = [{"errorCode": "SERVER_IS_UNDER_MAINTENANCE", "description": "at access-2 for s3cret"}]
    once(warehouse, told, said)
    server.faults[2100] = [{"errorCode": "CH_CLIENT_AUTH_FAILURE", "description": "s3cret is wrong"}]
    with pytest.raises(ConnectRefused) as refused:
        once(warehouse, told, said)
    shown = f"{caplog.text} {said} {refused.value} {world.state(warehouse)} {told}"
    assert not [secret for secret in ("s3cret", "access-1", "access-2", "refresh-2") if secret in shown]
    assert "CH_CLIENT_AUTH_FAILURE" in shown


def test_a_lost_account_does_not_stop_the_others(warehouse: Warehouse, told: Settings, server: CTraderServer) -> None:
    """A disabled account is reported; live accounts do not belong to a demo connection."""
    server.accounts.insert(0, Account(ctid=9002, login=502))
    server.accounts.append(Account(ctid=9003, login=503, is_live=True))
    server.faults[2102] = [{"errorCode": "RET_ACCOUNT_DISABLED"}]
    told.accounts = {"502": "a-2"}
    assert once(warehouse, told).landed == 4
    assert list(world.findings(warehouse, "lost_account")) == ["a-2"]
    assert world.findings(warehouse, "unknown_account") == {}


def test_a_break_in_the_middle_is_survived(warehouse: Warehouse, told: Settings, server: CTraderServer) -> None:
    """The connection breaks at several requests of the reading; it is taken up again and ends complete."""
    server.hang_up_at = {3, 8, 14, 22}
    tally = once(warehouse, told)
    assert tally.reconnects >= 3
    assert len(world.deals(warehouse)) == 3


def test_events_land_once_whatever_their_order(warehouse: Warehouse, told: Settings, server: CTraderServer) -> None:
    """Twice, late and before their time: every deal once, and no gap is left."""
    account = server.accounts[0]
    opening = deal(21, server.now, positionId=71)
    first = deal(22, server.now + 5, side=2, closing=closing(3, 1_005_860, 1_000), positionId=71)
    second = deal(23, server.now + 9, side=2, closing=closing(4, 1_006_790, 1_000), positionId=71)

    def push() -> None:
        account.deals += [opening, first, second]
        for one in (second, opening, second, first, first):
            server.execute(account, deal=one)

    def arrived() -> bool:
        return {"21", "22", "23"} <= world.deals(warehouse).keys()

    tally = follow(warehouse, told, Script((lambda: streaming(warehouse), push), (arrived, nothing)))
    assert world.findings(warehouse, "gap") == {}
    assert tally.landed == tally.rows - tally.duplicates
    with warehouse.engine() as connection:
        assert connection.execute("select max(_version), count(*) from lake.deals").fetchall() == [(1, 6)]


def test_an_event_that_never_came_is_fetched(warehouse: Warehouse, told: Settings, server: CTraderServer) -> None:
    """The balance before an event tells that one was missed: the account is read again at once."""
    account = server.accounts[0]
    missed = deal(22, server.now + 5, side=2, closing=closing(3, 1_005_860, 1_000))
    shown = deal(23, server.now + 9, side=2, closing=closing(4, 1_006_790, 1_000))

    def push() -> None:
        account.deals += [missed, shown]
        server.execute(account, deal=shown)

    follow(
        warehouse, told, Script((lambda: streaming(warehouse), push), (lambda: "22" in world.deals(warehouse), nothing))
    )
    assert world.findings(warehouse, "gap") == {}


def test_what_the_platform_itself_lost_is_reported(warehouse: Warehouse, told: Settings, server: CTraderServer) -> None:
    """A balance change that no list holds is named with both balances, not papered over."""
    server.accounts[0].deals.append(deal(24, server.now - DAY, side=2, closing=closing(7, 2_000_000, 1_000)))
    said: list[str] = []
    once(warehouse, told, said)
    detail = world.findings(warehouse, "gap")["a-1 balance"]
    assert "balance 10049.3 after change 2" in detail
    assert "19990.7 before change 7" in detail
    assert any("gap" in line for line in said)


def test_the_stream_survives_a_hang_up(warehouse: Warehouse, told: Settings, server: CTraderServer) -> None:
    """What happened while the line was down is there after reconnecting."""
    account = server.accounts[0]

    def hang_up() -> None:
        account.deals.append(deal(31, server.now + 1))
        server.hang_up()

    def push() -> None:
        account.deals.append(deal(32, server.now + 2))
        server.execute(account, deal=account.deals[-1])

    script = Script(
        (lambda: streaming(warehouse), hang_up),
        (lambda: "31" in world.deals(warehouse) and streaming(warehouse), push),
        (lambda: "32" in world.deals(warehouse), nothing),
    )
    assert follow(warehouse, told, script).reconnects >= 1


def test_an_invalidated_token_is_renewed_in_the_stream(
    warehouse: Warehouse, told: Settings, server: CTraderServer
) -> None:
    """The server ends the account's session: a new token, a new sign-in, and the account is read again."""
    account = server.accounts[0]

    def invalidate() -> None:
        server.tokens = set()
        account.deals.append(deal(41, server.now + 1))
        server.send(2147, {"ctidTraderAccountIds": [account.ctid], "reason": "changed"})

    script = Script((lambda: streaming(warehouse), invalidate), (lambda: "41" in world.deals(warehouse), nothing))
    assert follow(warehouse, told, script).reconnects == 0
    assert server.refresh == "refresh-2"


def test_operations_keep_their_sign_and_kind(warehouse: Warehouse, told: Settings, server: CTraderServer) -> None:
    """A withdrawal is negative whatever sign it came with; charges are costs; a correction is called one."""
    day = server.now - 5 * DAY
    server.accounts[0].flows += [
        flow(2, day, 3, 984_930, 20_000, 1),
        flow(3, day + 1, 4, 984_430, -500, "BALANCE_WITHDRAW_SWAP"),
        flow(4, day + 2, 5, 985_430, 1_000, 39),
        flow(5, day + 3, 6, 985_530, 100, 99),
    ]
    tally = once(warehouse, told)
    found = world.deals(warehouse)
    assert [(found[f"cash-{n}"]["kind"], found[f"cash-{n}"]["profit"]) for n in (2, 3, 4)] == [
        *(("balance", Decimal(-200)), ("fee", Decimal(-5)), ("balance", Decimal(10)))
    ]
    assert "correction" in found["cash-4"]["comment"]
    assert tally.rejects == 1


def test_the_order_tells_why_a_position_closed(warehouse: Warehouse, told: Settings, server: CTraderServer) -> None:
    """Stop loss, take profit and stop-out come from the closing order, label and comment with it."""
    account = server.accounts[0]
    account.deals += [
        deal(50 + n, server.now - DAY + n, side=2, closing=closing(3 + n, 1_004_930 - 70 * (n + 1), 0))
        for n in range(3)
    ]
    terms = {"tradeData": {"label": "bot 7", "comment": "grid"}, "orderStatus": 2}
    account.orders = [
        {"orderId": 1050, "utcLastUpdateTimestamp": server.now - DAY, "orderType": 4, "stopPrice": 1.09, **terms},
        {
            "orderId": 1051,
            "utcLastUpdateTimestamp": server.now - DAY,
            "orderType": "STOP_LOSS_TAKE_PROFIT",
            "limitPrice": 1.2,
        },
        {"orderId": 1052, "utcLastUpdateTimestamp": server.now - 15 * DAY, "orderType": 1, "isStopOut": True},
    ]
    once(warehouse, told)
    found = world.deals(warehouse)
    assert [found[number]["reason"] for number in ("50", "51", "52")] == ["sl", "tp", "so"]
    assert (found["50"]["magic"], found["50"]["comment"]) == ("bot 7", "grid")


def test_unknown_symbols_are_rejected_or_reported(warehouse: Warehouse, told: Settings, server: CTraderServer) -> None:
    """A symbol id that the server does not list is a reject with its number; a name unknown here lands and is told."""
    server.symbols[2] = ("QQQZZ7", 100)
    server.accounts[0].deals += [deal(61, server.now - DAY, symbolId=2), deal(62, server.now - DAY, symbolId=77)]
    tally = once(warehouse, told)
    assert tally.rejects == 1
    assert list(world.findings(warehouse, "unknown_symbol")) == ["QQQZZ7"]
