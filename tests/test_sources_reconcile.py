"""A statement that somebody edited does not add up, and the check names the cell; a partial one is explained."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from pipelines.sources import SourceRefusal, Statement, read
from pipelines.sources.kit.document import decode
from pipelines.sources.kit.pricing import price_checks
from tests.fixtures.sources import dialects
from tests.fixtures.sources.history import History, Money, sample_history

ZONE = "Europe/Athens"
Edit = Callable[[str], str]


def land(data: bytes, **asked: str) -> Statement:
    """Read bytes for account A1."""
    return read(None, data, file_name="export", account_id="A1", server_zone=asked.pop("zone", ZONE), **asked)


def replaced(old: str, new: str) -> Edit:
    """Return an edit of the first occurrence; the text must be there."""

    def edit(text: str) -> str:
        assert old in text
        return text.replace(old, new, 1)

    return edit


def findings(statement: Statement) -> list[str]:
    """The cells that do not add up."""
    checks = statement.reconciliation.checks
    return [check["where"] for check in checks if check["verdict"] == "does_not_add_up"]


HISTORY = sample_history()
FIRST = HISTORY.trades[0]
MT4 = dialects.mt4(HISTORY).decode()
MT5 = dialects.mt5_html(HISTORY, encoding="utf-8").decode()
CTRADER = dialects.ctrader_csv(HISTORY).decode()


def mt4_cell(amount: Decimal) -> str:
    """An MT4 money cell."""
    return f"<td>{dialects.spaced(amount)}</td>"


@pytest.mark.parametrize(
    ("edit", "named"),
    [
        (replaced(mt4_cell(FIRST.profit), "<td>999.00</td>"), "Profit"),
        (replaced(mt4_cell(FIRST.commission), "<td>-0.01</td>"), "Commission"),
        (lambda text: re.sub(r"(Closed P/L:</b></td><td colspan=2><b>)[^<]+", r"\g<1>1 490.72", text), "Closed P/L"),
        (lambda text: re.sub(r"(Closed Trade P/L:</td><td>)[^<]+", r"\g<1>1 497.20", text), "Closed Trade P/L"),
        (lambda text: re.sub(r"(Equity:</td><td>)[^<]+", r"\g<1>99 999.00", text), "Equity"),
        (lambda text: re.sub(r"(Deposit/Withdrawal:</td><td>)[^<]+", r"\g<1>60 000.00", text), "balance rows"),
    ],
)
def test_an_edited_mt4_statement_is_caught(edit: Edit, named: str) -> None:
    """One changed cell, row or total, is enough, and it is named."""
    statement = land(edit(MT4).encode())
    assert statement.reconciliation.outcome == "does_not_add_up"
    assert any(named in where for where in findings(statement))


def test_a_row_and_its_totals_edited_together_are_caught_by_the_price() -> None:
    """A forger who mends every total still has to mend what the prices are worth."""
    trades = [*HISTORY.trades]
    forged = FIRST.__class__(**{**FIRST.__dict__, "profit": FIRST.profit + 1})
    statement = land(dialects.mt4(History([forged, *trades[1:]], HISTORY.money)))
    assert findings(statement) == [f"deal {FIRST.ticket}1 on eurusd, Profit"]


@pytest.mark.parametrize("cents", [-1, 1])
def test_one_cent_breaks_the_running_balance(cents: int) -> None:
    """The chain of an MT5 report holds to the cent; the deal whose balance is off is named."""
    rows = dialects.mt5_deals(HISTORY)
    deal = rows[20]
    balance = Decimal(str(deal[12]))
    edited = replaced(
        f"<td>{dialects.spaced(balance)}</td>", f"<td>{dialects.spaced(balance + Decimal(cents) / 100)}</td>"
    )(MT5)
    statement = land(edited.encode())
    assert statement.reconciliation.outcome == "does_not_add_up"
    assert any(where.endswith(", Balance") for where in findings(statement))


def test_a_removed_row_is_caught() -> None:
    """Taking a losing deal out of an MT5 report breaks the chain and the totals."""
    loser = next(trade for trade in HISTORY.trades if trade.profit < -20)
    rows = MT5.split("<tr>")
    kept = [row for row in rows if f"<td>{2 * loser.ticket + 1}</td>" not in row]
    assert len(kept) == len(rows) - 1
    statement = land("<tr>".join(kept).encode())
    assert statement.reconciliation.outcome == "does_not_add_up"
    assert "total of profit" in findings(statement)


TICKET = FIRST.ticket
CLOSING = f"<td>{FIRST.close_price}</td>"


@pytest.mark.parametrize(
    ("edit", "named"),
    [
        (lambda rows: [row for row in rows if f"<td>{2 * TICKET}</td>" not in row], f"order {TICKET}, Volume"),
        (lambda rows: [row for row in rows if not _is_position(row)], f"deal {2 * TICKET + 1}"),
        (lambda rows: [row.replace(CLOSING, "<td>1.99999</td>") if _is_position(row) else row for row in rows],
         f"position {TICKET}, Price"),
        (lambda rows: [row.replace("<td>0.50</td>", "<td>0.60</td>") if _is_position(row) else row for row in rows],
         f"position {TICKET}"),
        (lambda rows: [row.replace("09:00:00", "09:00:01") if _is_position(row) else row for row in rows],
         f"position {TICKET}, Time"),
        (lambda rows: [row.replace("0.50 / 0.50", "0.50 / 0.40", 1) for row in rows],
         f"order {TICKET}, Volume"),
    ],
)  # fmt: skip
def test_the_tables_of_an_mt5_report_vouch_for_each_other(edit: Callable[[list[str]], list[str]], named: str) -> None:
    """A row taken out or changed in one of orders, deals and positions is contradicted by the others."""
    edited = edit(MT5.split("<tr>"))
    assert edited != MT5.split("<tr>")
    assert named in findings(land("<tr>".join(edited).encode()))


def _is_position(row: str) -> bool:
    """Tell the first trade's row of Positions."""
    return 'colspan="8"' in row and f"<td>{TICKET}</td>" in row


def priced(symbol: str, prices: list[tuple[str, str]], rate: Callable[[Decimal, int], Decimal]) -> History:
    """A history of one-lot buys whose profits are points by a rate of the closing price and the trade's place."""
    trades = []
    for place, (first, last) in enumerate(prices):
        points = (Decimal(last) - Decimal(first)) * 100_000
        money = {"symbol": symbol, "lots": Decimal("1.00"), "side": "buy", "open_price": Decimal(first)}
        profit = (points * rate(Decimal(last), place)).quantize(Decimal("0.01"))
        values = HISTORY.trades[place].__dict__ | money | {"close_price": Decimal(last), "profit": profit}
        trades.append(FIRST.__class__(**values))
    return History(trades, HISTORY.money)


YEN = [(f"{150 + n / 10:.3f}", f"{150.3 + n / 9:.3f}") for n in range(12)]
CROSS = [(f"{0.85 + n / 1000:.5f}", f"{0.853 + n / 1100:.5f}") for n in range(14)]


@pytest.mark.parametrize(
    ("history", "places"),
    [
        (priced("USDJPY", YEN, lambda close, _: 1 / close), (0, 11)),
        (priced("USDJPY", YEN[:3], lambda close, _: 1 / close), (0, 2)),
        (priced("EURGBP", CROSS, lambda _, place: Decimal("1.26") + Decimal(place) / 500), (0, 7, 13)),
    ],
)
def test_a_changed_size_is_caught_where_profits_are_converted(history: History, places: tuple[int, ...]) -> None:
    """Pairs that begin with the account's currency by the closing price, foreign pairs by their neighbours in time."""
    assert findings(land(dialects.mt4(history))) == []
    for place in places:
        trades = [*history.trades]
        trades[place] = FIRST.__class__(**trades[place].__dict__ | {"lots": Decimal("1.20")})
        assert any(
            f"deal {trades[place].ticket}1 " in where
            for where in findings(land(dialects.mt4(History(trades, history.money))))
        )


def test_a_rate_that_wanders_is_no_finding() -> None:
    """Foreign pairs over a year in which the account's currency lost a tenth."""
    history = priced("EURGBP", CROSS, lambda _, place: Decimal("1.20") + Decimal(place) / 100)
    assert findings(land(dialects.mt4(history))) == []


def test_an_edited_ctrader_statement_is_caught() -> None:
    """The balance column and the totals row both tell."""
    net = dialects.spaced(HISTORY.trades[7].net).replace(" ", "\u00a0")
    statement = land(replaced(f",{net},", ",1.00,")(CTRADER).encode())
    assert statement.reconciliation.outcome == "does_not_add_up"
    assert any("Balance" in where for where in findings(statement))


def test_half_a_file_does_not_add_up() -> None:
    """A file cut before its totals lands what it holds and says that it is cut."""
    statement = land(MT4[: MT4.index("Closed P/L")].encode())
    assert statement.reconciliation.outcome == "does_not_add_up"
    assert "end of the file" in findings(statement)
    assert len(statement.deals) == 2 * len(HISTORY.trades) + 1


@pytest.mark.parametrize("write", [dialects.ctrader_csv, dialects.ftmo, dialects.tradovate, dialects.matchtrader])
def test_a_file_that_ends_in_a_row_does_not_add_up(write: Callable[[History], bytes]) -> None:
    """Where no totals are printed, the row that was cut through tells; the whole file tells nothing."""
    data = write(HISTORY)
    assert "end of the file" not in findings(land(data))
    middle = data.index(str(HISTORY.trades[15].ticket).encode()) + 60
    statement = land(data[:middle])
    assert statement.reconciliation.outcome == "does_not_add_up"
    assert "end of the file" in findings(statement)


def test_a_list_cut_within_a_row_does_not_add_up_and_takes_no_half_number() -> None:
    """Without totals nothing else tells that rows are missing; in the last column, which is not read, its row lands."""
    whole = dialects.ftmo(HISTORY).rstrip()
    for places in range(1, 40):
        statement = land(whole[:-places])
        is_in_last_column = b";" not in whole[-places:]
        assert is_in_last_column or statement.reconciliation.outcome == "does_not_add_up"
        printed = {f"{trade.profit}" for trade in HISTORY.trades} | {"0"}
        assert set(statement.deals["profit"]) <= printed


def test_a_ctrader_row_cut_before_its_symbol_is_no_totals_row() -> None:
    """What is left of it is told and counted, in the middle of its id as well as behind it."""
    whole = dialects.ctrader_csv(HISTORY)
    ends = whole.index(b"DID", whole.index(b"DID") + 20) + 6
    for statement in (land(whole[:ends]), land(whole[:ends] + b",7,")):
        assert statement.reconciliation.outcome == "does_not_add_up"
        assert len(statement.rejects) == 1


@pytest.mark.parametrize("rest", ["", "-", "-4 ", "-4 918"])
def test_a_ctrader_row_cut_where_its_columns_begin_with_money_is_no_totals_row(rest: str) -> None:
    """Protects statements whose first chosen column is no id: deals behind the cut would be missing unsaid."""
    lines = dialects.ctrader_csv(HISTORY).decode().splitlines()
    start = next(place for place, line in enumerate(lines) if line.startswith("DID"))
    head = lines[start - 1].split(",")
    rows = [",".join(line.split(",")[::-1]) for line in (",".join(head), *lines[start : start + 4])]
    statement = land("\n".join(["Deals", *rows, rest]).encode())
    assert statement.reconciliation.outcome == "does_not_add_up"
    assert len(statement.deals) == 8


@pytest.mark.parametrize(
    ("tail", "is_told"), [("0.62", False), ("0.6", True), ("0", True), ("", True), ("0.62\n", False)]
)
def test_a_last_cell_that_may_be_cut_is_told(tail: str, is_told: bool) -> None:
    """Protects costs of which only the first digits are left, where the last row has all its cells."""
    head = "_orderId,_timestamp,Fill ID,B/S,Quantity,Price,Contract,commission"
    sides = ("Buy", "Sell") * 2 + ("Buy",)
    rows = [f"{n},2026-02-11 14:0{n}:00.000Z,{n}, {side},1,6000.25,ESH6," for n, side in enumerate(sides)]
    statement = land("\n".join([head, *(f"{row}1.24" for row in rows[:-1]), rows[-1] + tail]).encode())
    told = [check["verdict"] for check in statement.reconciliation.checks if check["name"] == "complete"]
    assert told == (["suspect"] if is_told else [])


def test_fills_that_begin_with_the_newest_are_refused_when_they_are_cut() -> None:
    """Protects results, which are reckoned from the oldest fills; what a cut left of a list of the oldest is sound."""
    head = "_orderId,_timestamp,Fill ID,B/S,Quantity,Price,Contract,commission"
    rows = [f"{n},2026-02-11 14:0{n}:00.000Z,{n}, {('Buy', 'Sell')[n % 2]},1,60{n}0.25,ESH6,1.24" for n in range(6)]
    assert len(land("\n".join([head, *rows])[:-8].encode()).deals) == 5
    with pytest.raises(SourceRefusal, match="would be reckoned from are missing"):
        land("\n".join([head, *rows[::-1]])[:-8].encode())


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8"])
def test_a_piece_of_a_character_at_the_end_is_none(encoding: str) -> None:
    """Protects symbols from a replaced character, and the whole file's text from another code page."""
    whole = "id,price,side,createdDate,qty,orderId,positionId,symbol,note\n1,1.1,buy,1770820200000,1,o,p,EURUSD,é–"
    deals = land(whole.encode(encoding)[:-1]).deals
    assert list(deals["symbol"]) == ["EURUSD"]
    assert decode("é–".encode(encoding)[:-1]) == "é"


def test_a_yen_pair_is_priced_by_the_size_that_is_known() -> None:
    """Protects sound lists of dollars on the yen near 149.25, where 100,000 over the price is about a round 670."""
    deals, at = list[dict[str, object]](), datetime(2026, 2, 11, 14)
    for place in range(12):
        shared = {"position_id": f"{place}", "symbol": "USDJPY", "volume": "1.50", "executed_at": at}
        closed = Decimal("149.200") + Decimal("0.010") * place + (2 if place == 11 else 0)
        profit = f"{(closed - Decimal(150)) * 150_000 / closed:.2f}"
        deals.append(
            {**shared, "deal_id": f"{place}0", "entry": "in", "side": "buy", "price": "150.000", "profit": "0"}
        )
        deals.append(
            {**shared, "deal_id": f"{place}1", "entry": "out", "side": "sell", "price": f"{closed}", "profit": profit}
        )
    assert [check["verdict"] for check in price_checks(deals)] == ["exact"]
    deals[-1]["profit"] = "250.00"
    assert [check["where"] for check in price_checks(deals)] == ["deal 111 on USDJPY, Profit"]


def test_a_later_period_is_explained() -> None:
    """A report that begins in mid-life carries a balance in; that is explained and not an error."""
    later = History(HISTORY.trades[10:], [])
    rest = dialects.mt4(later).decode()
    balance = dialects.spaced(Decimal("50000") + later.sum_of("net"))
    rest = re.sub(r"((?:Balance|Equity):</td><td>)[^<]+", rf"\g<1>{balance}", rest)
    statement = land(rest.encode())
    assert statement.reconciliation.outcome == "explained"
    assert any("50000.00 carried in" in check["explanation"] for check in statement.reconciliation.checks)


def test_credit_is_in_the_running_balance_and_not_in_the_printed_one() -> None:
    """MT5's Balance column holds credit, its summary does not; neither is a difference."""
    credit = Money(40_000_001, datetime(2025, 3, 2, 9, 30), "credit", Decimal("530.20"), "Credit-In")
    history = History(HISTORY.trades, [*HISTORY.money, credit])
    for data in (dialects.mt5_html(history), dialects.mt5_xlsx(history), dialects.mt4(history)):
        statement = land(data)
        assert statement.reconciliation.outcome == "exact"
        assert list(statement.deals[statement.deals["kind"] == "credit"]["profit"].map(Decimal)) == [Decimal("530.20")]


@pytest.mark.parametrize("write", [dialects.mt4, dialects.mt5_html, dialects.ctrader_csv, dialects.ftmo])
def test_a_later_export_adds_only_what_is_new(write: Callable[[History], bytes]) -> None:
    """The deals of an earlier, shorter export come again with the same ids and the same content."""
    columns = ["deal_id", "position_id", "side", "price", "volume", "profit", "commission", "executed_at"]
    early = land(write(History(HISTORY.trades[:12], HISTORY.money))).deals[columns]
    later = land(write(HISTORY)).deals[columns]
    common = later[later["deal_id"].isin(early["deal_id"])].reset_index(drop=True)
    assert common.equals(early)
    assert len(later) == len(early) + 2 * (len(HISTORY.trades) - 12)


def test_a_trade_that_was_open_before_keeps_its_opening() -> None:
    """What was an open trade and is now closed by its stop has the same opening deal."""
    last, earlier = HISTORY.trades[-1], dialects.mt4(History(HISTORY.trades[:-1], HISTORY.money)).decode()
    times = f"<td>{last.opened:{dialects.DOTS}}</td><td>{last.side}</td><td>{last.lots}</td>"
    prices = f"<td>eurusd</td><td>{last.open_price}</td><td>0.0</td><td>0.0</td><td>&nbsp;</td><td>1.1</td>"
    opened = f'<tr><td title="plan 1">{last.ticket}</td>{times}{prices}' + "<td>0.00</td>" * 4 + "</tr>"
    mark = "Open Trades:</b></td></tr>"
    assert mark in earlier
    before = land(earlier.replace(mark, mark + opened).encode())
    closed = FIRST.__class__(**last.__dict__ | {"comment": "plan 1[sl]"})
    after = land(dialects.mt4(History([*HISTORY.trades[:-1], closed], HISTORY.money)))
    opening = [s.deals[s.deals["deal_id"] == f"{last.ticket}0"].iloc[0].to_dict() for s in (before, after)]
    assert opening[0] == opening[1]
    assert after.deals[after.deals["deal_id"] == f"{last.ticket}1"]["reason"].iloc[0] == "sl"


def moved(weekday_shift: timedelta) -> History:
    """The history moved in time."""
    trades = [
        trade.__class__(
            **{**trade.__dict__, "opened": trade.opened + weekday_shift, "closed": trade.closed + weekday_shift}
        )
        for trade in HISTORY.trades
    ]
    return History(trades, HISTORY.money)


def test_trades_on_a_closed_market_raise_the_suspicion_of_a_wrong_zone() -> None:
    """FX that trades through the New York weekend was read in the wrong zone; the same hours on a Monday are fine."""
    assert not land(dialects.mt4(HISTORY)).facts["wrong_zone_suspicion"]
    weekend = land(dialects.mt4(moved(timedelta(days=5))))
    assert weekend.facts["wrong_zone_suspicion"]
    assert weekend.reconciliation.outcome == "exact"


def test_a_zone_that_is_hours_off_is_suspected_and_those_that_fit_are_named() -> None:
    """Gold rests for an hour after 17:00 in New York: deals at 17:30 raise the suspicion, at 16:59 they do not."""

    def gold(minutes_past_ten: int) -> Statement:
        evening = [
            trade.opened.replace(hour=22, minute=0) + timedelta(minutes=minutes_past_ten) for trade in HISTORY.trades
        ]
        trades = [
            trade.__class__(**trade.__dict__ | {"symbol": "XAUUSD", "opened": at, "closed": at})
            for trade, at in zip(HISTORY.trades, evening, strict=True)
        ]
        return land(dialects.mt4(History(trades, HISTORY.money)), zone="UTC")

    found = {check["name"]: check for check in gold(30).reconciliation.checks}
    assert found["market hours"]["verdict"] == "suspect"
    assert "America/New_York+7" in found["market hours"]["explanation"]
    assert not gold(-1).facts["wrong_zone_suspicion"]
