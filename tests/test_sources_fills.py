"""Fills without a result: paired first in, first out, split where they reverse, priced by the contract."""

import json
from decimal import Decimal

import pytest

from pipelines.sources import SourceRefusal, Statement, read

FILLS = (
    "_id,_orderId,_contractId,_timestamp,_tradeDate,_action,_qty,_price,_active,_accountId,Fill ID,Order ID,Timestamp,"
    "Date,Account,B/S,Quantity,Price,_priceFormat,_priceFormatType,_tickSize,Contract,Product,Product Description,"
    "commission"
)
ORDERS = "orderId,Account,Order ID,B/S,Contract,Product,Description,avgPrice,filledQty,Fill Time,lastId,Status"


def land(text: str, currency: str | None = None) -> Statement:
    """Read text for account A1; New York is the browser's zone."""
    zone = "America/New_York"
    return read(None, text.encode(), file_name="export", account_id="A1", server_zone=zone, currency=currency)


def fill(
    number: int, minute: int, side: str, size: int, price: str, contract: str = "MNQH6", account: str = "X1"
) -> str:
    """Return a row of Fills; words have a leading space."""
    start = f"{number},{number},1,2026-02-11 14:{minute:02d}:00.500Z,2026-02-11,1,{size},{price},true,9"
    shown = f"{number},{number},02/11/2026 09:00:00,2/11/26,{account}, {side},{size},{price}"
    return f"{start},{shown},-2,0,0.25,{contract},MNQ,Micro,0.50"


def test_fills_are_paired_first_in_first_out() -> None:
    """Two buys, one sell of both and one more: the rest opens a short, the commission is split with the fill."""
    rows = [
        fill(1, 0, "Buy", 1, "100"),
        fill(2, 1, "Buy", 1, "110"),
        fill(3, 2, "Sell", 4, "120"),
        fill(4, 3, "Buy", 2, "119"),
    ]
    statement = land("\n".join([FILLS, *rows]))
    deals = statement.deals.set_index("deal_id")
    assert statement.source == "tradovate-fills"
    assert list(deals.index) == ["1", "2", "3-out", "3-in", "4"]
    assert [Decimal(text) for text in deals["profit"][["3-out", "4"]]] == [Decimal(60), Decimal(4)]
    assert list(deals["position_id"].unique()) == ["MNQH6-1", "MNQH6-3"]
    assert sum(Decimal(text) for text in deals["commission"]) == Decimal("-2.00")
    assert f"{statement.deals['executed_at'].iloc[0]:%H:%M:%S.%f}" == "14:00:00.500000"


def test_an_unknown_contract_rejects_its_row() -> None:
    """No contract size, no profit: the row is kept in the rejects and the others land."""
    statement = land("\n".join([FILLS, fill(1, 0, "Buy", 1, "100"), fill(2, 1, "Sell", 1, "101", contract="QQQZ9")]))
    assert list(statement.rejects["value"]) == ["QQQZ9"]
    assert list(statement.deals["deal_id"]) == ["1"]


def test_two_accounts_in_one_file_are_refused() -> None:
    """An export of several accounts cannot be landed under one."""
    with pytest.raises(SourceRefusal, match="2 accounts"):
        land("\n".join([FILLS, fill(1, 0, "Buy", 1, "100"), fill(2, 1, "Sell", 1, "101", account="Y")]))


def test_orders_land_what_was_filled() -> None:
    """Filled orders become deals in the browser's zone; cancelled ones are counted."""
    rows = [
        "11,X1,11, Buy,MESH6,MES,Micro,6000.25,1,02/11/2026 09:30:00,11, Filled",
        "12,X1,12, Sell,MESH6,MES,Micro,6010.25,1,02/11/2026 09:40:00,12, Filled",
        "13,X1,13, Sell,MESH6,MES,Micro,,0,,13, Canceled",
    ]
    statement = land("\n".join([ORDERS, *rows]))
    assert statement.source == "tradovate-orders"
    assert statement.facts["accounted"] == {"filled orders": 2, "other orders": 1}
    assert Decimal(statement.deals["profit"].iloc[-1]) == Decimal(50)
    assert f"{statement.deals['executed_at'].iloc[0]:%H:%M}" == "14:30"


def test_tradelocker_executions_close_their_own_positions() -> None:
    """Two positions of one instrument stay apart; numbers of instruments are named by the list beside them."""
    rows = [
        ["e1", 1.1, "buy", 1770820200000, 1.0, "o1", "p1", 315],
        ["e2", 1.2, "buy", 1770820260000, 0.5, "o2", "p2", 315],
        ["e3", 1.1010, "sell", 1770820320000, 1.0, "o3", "p1", 315],
        ["e4", 1.5, "buy", 1770820380000, 1.0, "o4", "p3", 999],
    ]
    answer = {"d": {"executions": rows, "instruments": [{"tradableInstrumentId": 315, "name": "EURUSD"}]}}
    statement = land(json.dumps(answer))
    assert statement.source == "tradelocker-executions"
    out = statement.deals[statement.deals["entry"] == "out"]
    assert list(out["position_id"]) == ["p1"]
    assert Decimal(out["profit"].iloc[0]) == Decimal(100)
    assert list(statement.rejects["value"]) == ["999"]


def test_a_bare_list_of_tradelocker_executions_is_known() -> None:
    names = ["id", "price", "side", "createdDate", "qty", "orderId", "positionId", "symbol"]
    rows = [["e1", 1.1, "buy", 1770820200000, 1.0, "o1", "p1", "EURUSD"]]
    rows += [["e3", 1.1010, "sell", 1770820320000, 1.0, "o3", "p1", "EURUSD"]]
    statement = land(json.dumps([dict(zip(names, row, strict=True)) for row in rows]))
    assert statement.source == "tradelocker-executions"
    assert Decimal(statement.deals["profit"].iloc[-1]) == Decimal(100)


BROKEN = ['{"executions": 5}', '{"executions": [[1]]}', '{"executions": [{}]}', '{"d": {"executions": [1]}}']
BROKEN += ['[{"createdDate": 1, "positionId": 2, "qty": 3}, 4]', '["createdDate", "positionId", "qty"]']


@pytest.mark.parametrize("text", BROKEN)
def test_a_broken_answer_is_refused_or_rejected(text: str) -> None:
    """An answer of another shape never raises anything but a refusal."""
    try:
        statement = land(text)
    except SourceRefusal:
        return
    assert statement.deals.empty
    assert len(statement.rejects) == statement.rows


def test_dxtrade_executions_and_cash_land() -> None:
    """Units become lots, costs are fees of their day, rejected executions are counted."""
    early, late = "2026-02-11T14:00:00Z", "2026-02-11T15:00:00Z"
    execution = {"instrument": "EURUSD", "status": "FILLED", "lastQuantity": "50000"}
    executions = [
        {**execution, "executionCode": "x1", "side": "BUY", "lastPrice": "1.1", "transactionTime": early},
        {**execution, "executionCode": "x2", "side": "SELL", "lastPrice": "1.101", "transactionTime": late},
        {**execution, "executionCode": "x3", "status": "REJECTED"},
    ]  # fmt: skip
    cash = [
        {"transactionCode": "c1", "type": "DEPOSIT", "value": 1000, "transactionTime": "2026-02-11T09:00:00+01:00"},
        {"transactionCode": "c2", "type": "FINANCING", "value": -1.5, "transactionTime": "2026-02-11T23:00:00Z"},
        {"transactionCode": "c3", "type": "WITHDRAWAL", "value": -100, "transactionTime": "2026-02-12"},
    ]
    statement = land(json.dumps({"account": "default:7", "executions": executions, "cashTransactions": cash}))
    assert statement.source == "dxtrade-account"
    assert statement.facts["accounted"] == {"executions": 2, "other executions": 1, "cash transactions": 2}
    assert list(statement.rejects["value"]) == ["2026-02-12"]
    assert list(statement.deals["kind"]) == ["balance", "trade", "trade", "fee"]
    assert [Decimal(text) for text in statement.deals["volume"].dropna()] == [Decimal("0.5"), Decimal("0.5")]
    assert Decimal(statement.deals["profit"].iloc[2]) == Decimal(50)


def test_dxtrade_cash_is_in_the_accounts_currency_and_a_withdrawal_takes_out() -> None:
    """Protects balances from euros counted as dollars, payouts as deposits and credit as money."""
    flows = [("DEPOSIT", 1000, "USD"), ("WITHDRAWAL", 100, "USD"), ("CREDIT", 50, "USD"), ("DEPOSIT", 7, "EUR")]
    cash = [
        {"transactionCode": f"c{n}", "type": kind, "value": value, "currency": currency,
         "transactionTime": f"2026-02-11T14:0{n}:00Z"}
        for n, (kind, value, currency) in enumerate(flows)
    ]  # fmt: skip
    deals = land(json.dumps({"cashTransactions": cash}), currency="USD").deals
    assert list(zip(deals["kind"], deals["profit"], strict=True)) == [
        ("balance", "1000"), ("balance", "-100"), ("credit", "50")
    ]  # fmt: skip
    execution = {"executionCode": "x1", "instrument": "EURUSD", "side": "BUY", "lastQuantity": 1000, "lastPrice": 1.1}
    file = {"executions": [{**execution, "transactionTime": "2026-02-11T14:00:00Z"}], "cashTransactions": cash[3:]}
    assert land(json.dumps(file)).facts["currency"] == "EUR"


def test_dxtrade_parts_of_an_order_that_tell_only_the_whole_are_taken_apart() -> None:
    """Guards that an order filled in three parts is not counted as the sum of what was filled up to each."""
    up_to = [("y1", 20000, 1.1), ("y3", 60000, 1.102), ("y2", 50000, 1.101)]
    executions = [
        {"executionCode": code, "orderCode": "o1", "instrument": "EURUSD", "status": "PARTIALLY_FILLED", "side": "BUY",
         "filledQuantity": filled, "averagePrice": average, "transactionTime": f"2026-02-11T14:00:0{code[1]}Z"}
        for code, filled, average in up_to
    ]  # fmt: skip
    deals = land(json.dumps({"executions": [*executions, executions[1]]})).deals
    assert [Decimal(text) for text in deals["volume"]] == [Decimal("0.2"), Decimal("0.3"), Decimal("0.1")]
    assert list(deals["price"]) == ["1.1", "1.10166667", "1.107"]


@pytest.mark.parametrize("first", [{"averagePrice": 1.0995}, {"lastQuantity": 100000, "lastPrice": 1.0995}])
def test_dxtrade_price_of_a_part_keeps_the_digits_that_an_average_hides(first: dict[str, float]) -> None:
    """Guards that an average of 1.1 does not cut 1.1005 to 1.1, and that a part before it that tells itself counts."""
    executions = [
        {"executionCode": code, "orderCode": "o1", "instrument": "EURUSD", "status": "FILLED", "side": "BUY",
         "filledQuantity": filled, "transactionTime": f"2026-02-11T14:00:0{code[1]}Z", **told}
        for code, filled, told in (("y1", 100000, first), ("y2", 200000, {"averagePrice": 1.1}))
    ]  # fmt: skip
    deals = land(json.dumps({"executions": executions})).deals
    assert [Decimal(text) for text in deals["volume"]] == [Decimal(1), Decimal(1)]
    assert list(deals["price"]) == ["1.0995", "1.1005"]
    huge = {**executions[1], "averagePrice": "9" * 24}
    assert len(land(json.dumps({"executions": [executions[0], huge]})).deals) == 2


def test_numbers_of_deals_that_a_spreadsheet_rounded_refuse_the_file() -> None:
    """Guards that fills or positions of 18 digits do not become one, and that long ones of a platform are taken."""

    def told(numbers: list[str]) -> str:
        lines = [f"{n},1.1,buy,1770820200000,1.0,o,{n},EURUSD" for n in numbers]
        return "\n".join(["id,price,side,createdDate,qty,orderId,positionId,symbol", *lines]) + "\n"

    long = [f"36028797018976{tail}" for tail in range(5041, 5047)]
    times = [f"202601020930{second}000" for second in range(10, 16)]
    by_chance = ["360287970189635000", "360287970189635041"]
    for whole in (long, times, by_chance[:1], by_chance):
        assert list(land(told(whole)).deals["deal_id"]) == whole
    for rounded in (["3.60288E+17"], ["360287970189635000", "360287970189636000"]):
        with pytest.raises(SourceRefusal, match="rounded the numbers of deals"):
            land(told(rounded))


def tradelocker(symbol: str, opened: float, closed: float, currency: str | None = None) -> Statement:
    """Read one lot bought and sold again."""
    rows = [
        ["e1", opened, "buy", 1770820200000, 1.0, "o1", "p1", 3],
        ["e2", closed, "sell", 1770820260000, 1.0, "o2", "p1", 3],
    ]
    return land(
        json.dumps({"executions": rows, "instruments": [{"tradableInstrumentId": 3, "name": symbol}]}), currency
    )


@pytest.mark.parametrize(
    ("symbol", "opened", "closed", "currency", "profit"),
    [
        ("USDJPY", 150.1, 150.2, None, "66.58"),
        ("USDJPY", 150.1, 150.2, "JPY", "10000.00"),
        ("EURUSD", 1.1, 1.101, "EUR", "90.83"),
        ("EURUSD", 1.1, 1.101, "USD", "100.00"),
        ("SHIBUSD", 0.00002345, 1.00002345, "USD", "1.00"),
    ],
)
def test_results_of_fills_are_in_the_accounts_currency(
    symbol: str, opened: float, closed: float, currency: str | None, profit: str
) -> None:
    """Guards that ten thousand yen do not land as ten thousand dollars; small prices are written 2.345e-05 in JSON."""
    statement = tradelocker(symbol, opened, closed, currency)
    assert (statement.deals["profit"].iloc[-1], statement.facts["currency"]) == (profit, currency or "USD")


def test_a_result_in_a_third_currency_is_rejected() -> None:
    """No rate is in the file: pounds against yen on a dollar account."""
    statement = tradelocker("GBPJPY", 190.1, 190.2, "USD")
    assert statement.deals.empty
    assert "its result is in JPY and the account in USD" in statement.rejects["reason"].iloc[0]


def test_two_fills_of_one_number_are_refused_and_a_repeated_one_counts_once() -> None:
    """Guards that of two rows with one id the last does not win unsaid."""
    one = fill(1, 0, "Buy", 1, "100")
    again = land("\n".join([FILLS, one, one]))
    assert (len(again.deals), again.facts["repeated_rows"]) == (1, 1)
    with pytest.raises(SourceRefusal, match="two different rows with the id 1"):
        land("\n".join([FILLS, one, fill(1, 0, "Buy", 3, "100")]))
