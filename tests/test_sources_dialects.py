"""What goes into a platform's export comes out of its reader, whatever dialect, encoding, language or order it has."""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings

from pipelines.sources import Statement, read, recognise
from tests.fixtures.sources import dialects
from tests.fixtures.sources.history import History, Trade, histories

ZONE = "Europe/Athens"
Writer = Callable[[History], bytes]

WHOLE: dict[str, tuple[str, Writer]] = {
    "mt4": ("mt4-statement", dialects.mt4),
    "mt4 newest first, CRLF": ("mt4-statement", lambda h: dialects.mt4(h, newest_first=True, newline="\r\n")),
    "mt4 cp1252": ("mt4-statement", lambda h: dialects.mt4(h, encoding="cp1252")),
    "mt4 saved as a workbook": ("mt4-statement", lambda h: dialects.as_workbook(dialects.mt4(h))),
    "mt4 saved as text": ("mt4-statement", lambda h: dialects.as_text(dialects.mt4(h))),
    "mt5 saved as text": ("mt5-report", lambda h: dialects.as_text(dialects.mt5_html(h))),
    "mt5 saved as German text": ("mt5-report", lambda h: dialects.as_text(dialects.mt5_html(h), ";")),
    "mt5 html right to left": (
        "mt5-report",
        lambda h: dialects.mt5_html(h, encoding="utf-8").replace(b"<td>2", "<td>\u200f\u200e2".encode()),
    ),
    "mt5 html": ("mt5-report", dialects.mt5_html),
    "mt5 html old build": ("mt5-report", lambda h: dialects.mt5_html(h, old=True, labels=dialects.GERMAN)),
    "mt5 html re-saved": ("mt5-report", lambda h: dialects.mt5_html(h, encoding="utf-8", hidden=False)),
    "mt5 html odd byte": ("mt5-report", lambda h: dialects.mt5_html(h, tail=b"\n")),
    "mt5 xlsx": ("mt5-report", dialects.mt5_xlsx),
    "mt5 xlsx re-saved": ("mt5-report", lambda h: dialects.mt5_xlsx(h, native=False)),
    "ctrader html": ("ctrader-statement", dialects.ctrader_html),
}
TRADES_ONLY: dict[str, tuple[str, Writer]] = {
    "ctrader csv": ("ctrader-statement", dialects.ctrader_csv),
    "ctrader csv re-saved": ("ctrader-statement", lambda h: dialects.as_text(dialects.ctrader_csv(h), ";")),
    "ctrader csv gross": ("ctrader-statement", lambda h: dialects.ctrader_csv(h, gross=True)),
    "matchtrader": ("matchtrader-statement", dialects.matchtrader),
    "ftmo": ("ftmo-client-area", dialects.ftmo),
    "ftmo re-saved": ("ftmo-client-area", lambda h: dialects.as_text(dialects.ftmo(h))),
    "ftmo comma": ("ftmo-client-area", lambda h: dialects.ftmo(h, comma=True)),
}
ZONES = {"ctrader-statement csv": "UTC+8", "ctrader-statement": "UTC", "matchtrader-statement": "UTC"}
QUICK = settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))


def land(data: bytes, source: str | None = None) -> Statement:
    """Read bytes for account A1 on the test's server clock."""
    return read(source, data, file_name="export", account_id="A1", server_zone=ZONE)


def closings(statement: Statement) -> pd.DataFrame:
    """The closing deals, by symbol, time and price."""
    deals = statement.deals
    return deals[deals["entry"].isin(["out", "out_by"])]


def total(values: pd.Series) -> Decimal:
    """Exact sum of decimal texts."""
    return sum((Decimal(value) for value in values if value), Decimal(0))


def check_trades(statement: Statement, history: History, zone: str) -> None:
    """Hold every trade against the history: count, instants, prices, sizes, sides and money."""
    out = closings(statement)
    trades = statement.deals[statement.deals["kind"] == "trade"]
    assert len(out) == len(history.trades)
    assert len(trades) == 2 * len(history.trades)
    found = sorted(zip(out["executed_at"], out["price"].map(Decimal), out["volume"].map(Decimal), strict=True))
    closed = pd.DatetimeIndex([trade.closed for trade in history.trades]).tz_localize(zone).tz_convert("UTC")
    expected = zip(closed, history.trades, strict=True)
    assert found == sorted((at, trade.close_price, trade.lots) for at, trade in expected)
    for name in ("commission", "swap", "profit"):
        assert total(trades[name]) == history.sum_of(name)
    assert sorted(out["side"]) == sorted("sell" if trade.side == "buy" else "buy" for trade in history.trades)
    assert statement.rows == sum(statement.facts["accounted"].values()) + len(statement.rejects)
    assert statement.rejects.empty
    assert statement.deals["deal_id"].is_unique


def check_positions(statement: Statement, history: History) -> None:
    """Every closing deal is tied to the opening deal of its own trade."""
    trades = statement.deals[statement.deals["kind"] == "trade"]
    pairs = trades.groupby("position_id")
    assert pairs.ngroups == len(history.trades)
    assert all(sorted(group["entry"]) == ["in", "out"] for _, group in pairs)


@pytest.mark.parametrize("dialect", WHOLE)
@given(history=histories())
@QUICK
def test_whole_statements_come_back_to_the_cent(dialect: str, history: History) -> None:
    """Formats that print totals: all trades and money rows return, and the rows equal every printed figure."""
    source, write = WHOLE[dialect]
    data = write(history)
    if not (source == "ctrader-statement" and not history.trades):
        assert recognise(data, "x.dat") == source
    statement = land(data)
    check_trades(statement, history, ZONES.get(source, ZONE))
    check_positions(statement, history)
    balances = statement.deals[statement.deals["kind"] == "balance"]
    assert total(balances["profit"]) == history.cash("balance")
    assert statement.reconciliation.outcome == "exact", statement.reconciliation.checks


@pytest.mark.parametrize("dialect", TRADES_ONLY)
@given(history=histories())
@QUICK
def test_trade_lists_come_back_to_the_cent(dialect: str, history: History) -> None:
    """Formats that hold trades alone: nothing is invented and nothing is lost; the account's costs stay negative."""
    source, write = TRADES_ONLY[dialect]
    statement = land(write(history), source if not history.trades else None)
    check_trades(statement, history, "Etc/GMT-8" if dialect.startswith("ctrader csv") else ZONES.get(source, ZONE))
    check_positions(statement, history)
    assert statement.reconciliation.outcome in ("exact", "explained")


@given(history=histories())
@QUICK
def test_mapped_csv_comes_back_to_the_cent(history: History) -> None:
    """A platform nobody knows: a mapping names its columns, its net profit and its positive costs."""
    data = dialects.generic(history)
    statement = read(None, data, file_name="x", account_id="A1", server_zone=ZONE, mapping=dialects.MAPPING)
    assert statement.source == "generic-csv"
    check_trades(statement, history, ZONE)


def test_a_mapping_that_tells_commas_reads_a_point_as_thousands_and_leaves_texts_alone() -> None:
    """1.234 of such a file is no 1.234; a ticket and a comment are no numbers."""
    mapping = """[file]
decimal = ","
delimiter = ";"
[columns]
ticket = "No"
side = "Way"
symbol = "What"
volume = "Lots"
opened_at = "In"
open_price = "At"
closed_at = "Out"
close_price = "To"
profit = "Result"
comment = "Note"
"""
    row = "1.234;buy;XAUUSD;0,5;2026-03-02T09:00:00;2.345;2026-03-02T10:00:00;2.346,50;1.075;1,5 lots"
    data = f"No;Way;What;Lots;In;At;Out;To;Result;Note\n{row}\n".encode()
    statement = read(None, data, file_name="x", account_id="A1", server_zone=ZONE, mapping=mapping)
    opened, closed = (statement.deals[statement.deals["entry"] == entry].iloc[0] for entry in ("in", "out"))
    assert (opened["price"], closed["price"], closed["profit"], closed["volume"]) == ("2345", "2346.50", "1075", "0.5")
    assert (opened["position_id"], closed["comment"]) == ("1.234", "1,5 lots")


def test_futures_lists_land_short_and_long() -> None:
    """Tradovate and TopstepX: the side comes from the order of the times and from the sign of the size."""
    for write, source in ((dialects.tradovate, "tradovate-performance"), (dialects.topstepx, "topstepx-trades")):
        history = dialects_history()
        statement = land(write(history))
        assert statement.source == source
        entries = statement.deals[statement.deals["entry"] == "in"]
        assert list(entries["side"]) == ["buy", "sell"]
        assert total(statement.deals["profit"]) == Decimal("62.50") - Decimal("41.25")
        assert statement.facts["unknown_symbols"] == []


def dialects_history() -> History:
    """One long and one short trade of a future, five dollars a point."""
    day = datetime(2025, 1, 22, 10)
    long = Trade(11, "buy", "MES", Decimal(1), day, Decimal("6117.75"), day.replace(hour=11), Decimal("6130.25"),
                 Decimal("-1.24"), Decimal(0), Decimal("62.50"))  # fmt: skip
    short = Trade(21, "sell", "MES", Decimal(1), day.replace(hour=12), Decimal("6150.00"), day.replace(hour=13),
                  Decimal("6158.25"), Decimal("-1.24"), Decimal(0), Decimal("-41.25"))  # fmt: skip
    return History([long, short])


@pytest.mark.parametrize(
    "heading",
    [
        "Ticket,openTime,Type,Size,Symbol,Price,S/L,T/P,closeTime,Price,Commission,Taxes,Swap,Profit",
        "order,opentime,type,size,symbol,openprice,s/l,t/p,closetime,closeprice,commission,taxes,swap,profit",
        '"Ticket","Open Time","Type","Size","Symbol","Price","S / L","T / P","Close Time","Price","Commission","Taxes",'
        '"Swap","Profit"',
    ],
)
def test_a_bare_list_of_mt4_trades_is_known_however_its_columns_are_spelt(heading: str) -> None:
    rows = [
        "7,2020.02.06 15:57:15,balance,ADJUSTMENT,,,,,,,,,,5000",
        "8,2020.02.10 01:34:29,sell,0.01,eurgbp-2,0.84924,0,0,2020.02.10 01:38:08,0.84949,0,0,0,-0.33",
    ]
    content = "\n".join([heading, *rows, ""]).encode()
    statement = read(None, content, file_name="list.csv", account_id="A1", server_zone="UTC")
    assert statement.source == "mt4-statement"
    assert statement.deals["profit"].astype(float).sum() == pytest.approx(4999.67)
    assert list(statement.deals["deal_id"]) == ["70", "80", "81"]


@pytest.mark.parametrize("written", ["02/03/2026 08:00:00.000", "2026-03-02 08:00", "02.03.2026 08:00:00"])
def test_a_ctrader_history_says_when_in_the_ways_its_users_have_it(written: str) -> None:
    head = "ID,Symbol,Opening Direction,Opening Time (UTC+2),Closing Time (UTC+2),Entry Price,Closing Price,"
    head += "Closing Quantity,Commission,Swap,Gross USD,Net USD,Balance USD"
    row = f"PID1,XAGUSD,Sell,{written},{written},31.500,31.200,5000 Oz,-2.00,-1.25,1500.00,1496.75,11496.75"
    statement = read(None, f"{head}\n{row}\n".encode(), file_name="h.csv", account_id="A1")
    assert statement.rejects.empty
    assert set(statement.deals["executed_at"].map(str)) == {"2026-03-02 06:00:00+00:00"}
