"""Positions come out whole: partial closes in every form, close-by, netting and reversal, parts still open."""

from datetime import datetime
from decimal import Decimal

import pandas as pd
import pytest

from pipelines.sources import Statement, read
from pipelines.sources.kit.money_rows import classify
from pipelines.sources.kit.zones import server_clock

Cells = list[object]


def land(text: str) -> Statement:
    """Read a page for account A1 on a UTC server clock."""
    return read(None, text.encode(), file_name="export", account_id="A1", server_zone="UTC")


def page(rows: list[Cells], mode: str = "Hedge") -> str:
    """Return an MT5 page of these rows; deals have the layout with fee."""
    lines = [f"<tr><th colspan=4>Account:</th><th colspan=10>77 (USD, Example, demo, {mode})</th></tr>"]
    lines += ["<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows]
    return f"<html><title>77: x - Report</title><table>{''.join(lines)}</table></html>"


class Book:
    """Writes MT5 rows with a running balance that holds."""

    def __init__(self) -> None:
        """Start with a deposit of a thousand."""
        self.balance, self.number = Decimal(1000), 100
        deposit = ["2025.03.03 08:00:00", 100, "", "balance", "", "", "", "", 0, 0, 0, "1000.00", "1000.00", "x"]
        self.rows: list[Cells] = [deposit]

    def deal(self, clock: str, side: str, entry: str, lots: str, order: int, profit: str = "0.00", **more: str) -> int:
        """Add a deal on EURUSD at half past of an hour; returns its number."""
        self.number += 1
        self.balance += Decimal(profit)
        head = [f"2025.03.03 {clock}", self.number, "EURUSD", side, entry, lots, more.get("price", "1.05000"), order]
        self.rows.append([*head, "0.00", "0.00", "0.00", profit, self.balance, more.get("comment", "")])
        return self.number

    def position(self, ticket: int, side: str, lots: str, opened: str, closed: str, profit: str) -> None:
        """Add a row of Positions."""
        head = [f"2025.03.03 {opened}", ticket, "EURUSD", side, lots, "1.05000", "", "", f"2025.03.03 {closed}"]
        self.rows.append([*head, "1.05000", "0.00", "0.00", profit, ""])

    def still_open(self, ticket: int, side: str, lots: str, opened: str) -> None:
        """Add a row of Open Positions."""
        head = [f"2025.03.03 {opened}", ticket, "EURUSD", side, lots, "1.05000", "", "", "1.05000"]
        self.rows.append([*head, "0.00", "0.00", "", "", ""])


def tied(statement: Statement) -> dict[str, str | None]:
    """The position of each trade deal."""
    trades = statement.deals[statement.deals["kind"] == "trade"]
    return dict(zip(trades["deal_id"], trades["position_id"], strict=True))


def test_mt5_partial_closes_are_tied_by_adding_up() -> None:
    """One row of Positions stands for three closing deals; a neighbour of the same side and time stays apart."""
    book = Book()
    book.deal("09:00:00", "buy", "in", "0.30", 501)
    book.deal("09:00:00", "buy", "in", "0.20", 502)
    parts = [book.deal("10:00:00", "sell", "out", "0.10", 503, "1.00")]
    other = book.deal("11:00:00", "sell", "out", "0.20", 504, "9.00")
    parts.append(book.deal("10:30:00", "sell", "out", "0.10", 505, "2.00"))
    parts.append(book.deal("11:00:00", "sell", "out", "0.10", 506, "4.00"))
    book.position(501, "buy", "0.30", "09:00:00", "11:00:00", "7.00")
    book.position(502, "buy", "0.20", "09:00:00", "11:00:00", "9.00")
    statement = land(page(book.rows))
    assert {tied(statement)[str(part)] for part in parts} == {"501"}
    assert tied(statement)[str(other)] == "502"
    assert statement.facts["untied_deals"] == []


def test_what_reduced_an_open_position_is_tied_to_it() -> None:
    """A position still open with less than it was opened with was closed in part."""
    book = Book()
    book.deal("09:00:00", "sell", "in", "0.50", 601)
    part = book.deal("09:30:00", "buy", "out", "0.20", 602, "3.00")
    book.still_open(601, "sell", "0.30", "09:00:00")
    statement = land(page(book.rows))
    assert tied(statement)[str(part)] == "601"
    assert statement.facts["open_positions"] == 1


def test_a_position_opened_in_parts_and_reduced_keeps_its_closing_deals() -> None:
    """Protects an order that was filled twice: what is left of its position is held against all that it opened."""
    book = Book()
    book.deal("09:00:00", "sell", "in", "0.30", 601)
    book.deal("09:00:01", "sell", "in", "0.20", 601)
    part = book.deal("09:30:00", "buy", "out", "0.20", 602, "3.00")
    book.still_open(601, "sell", "0.30", "09:00:00")
    assert tied(land(page(book.rows)))[str(part)] == "601"


def test_the_last_part_of_a_position_begun_before_the_file_is_tied_to_it() -> None:
    """Its row tells the whole position and the file holds a part of it: that is neither loose nor a contradiction."""
    book = Book()
    book.deal("09:00:00", "buy", "in", "0.10", 511)
    parts = [book.deal("10:00:00", "sell", "out", "0.20", 503, "1.00")]
    parts.append(book.deal("10:30:00", "sell", "out", "0.10", 504, "2.00"))
    book.position(501, "buy", "0.50", "07:00:00", "10:30:00", "7.00")
    book.still_open(511, "buy", "0.10", "09:00:00")
    statement = land(page(book.rows))
    assert {tied(statement)[str(part)] for part in parts} == {"501"}
    assert not accused(statement)


def test_a_part_of_either_of_two_positions_begun_before_the_file_stays_untied() -> None:
    """Nothing tells which was reduced, so neither is accused; a position whose end is not in the file is."""
    book = Book()
    for order in (511, 512, 513):
        book.deal("09:00:00", "buy", "in", "0.10", order)
        book.still_open(order, "buy", "0.10", "09:00:00")
    part = book.deal("10:00:00", "sell", "out", "0.20", 503, "1.00")
    book.position(501, "buy", "0.50", "07:00:00", "10:00:00", "7.00")
    book.position(502, "buy", "0.40", "07:10:00", "10:00:00", "7.00")
    statement = land(page(book.rows))
    assert tied(statement)[str(part)] is None
    assert not accused(statement)
    book.position(505, "buy", "0.40", "07:20:00", "11:00:00", "7.00")
    assert accused(land(page(book.rows))) == ["position 505"]


def accused(statement: Statement) -> list[str]:
    """Where the tables contradict each other."""
    return [where for name, where in wrong(statement) if "position" in name]


def test_two_positions_alike_are_told_apart_by_their_money() -> None:
    """Same symbol, side, size and second: profit decides, whatever the order of the rows."""
    book = Book()
    book.deal("09:00:00", "buy", "in", "0.10", 701)
    book.deal("09:00:01", "buy", "in", "0.10", 702)
    second = book.deal("10:00:00", "sell", "out", "0.10", 703, "5.00")
    first = book.deal("10:00:00", "sell", "out", "0.10", 704, "-5.00")
    book.position(701, "buy", "0.10", "09:00:00", "10:00:00", "-5.00")
    book.position(702, "buy", "0.10", "09:00:01", "10:00:00", "5.00")
    statement = land(page(book.rows))
    assert (tied(statement)[str(first)], tied(statement)[str(second)]) == ("701", "702")


def test_a_close_by_ends_both_positions() -> None:
    """Two out by deals, one for each position; all profit sits on one of them."""
    book = Book()
    book.deal("09:00:00", "buy", "in", "0.10", 801)
    book.deal("09:10:00", "sell", "in", "0.10", 802)
    long = book.deal("10:00:00", "sell", "out by", "0.10", 803, "6.00", comment="close hedge by #802")
    short = book.deal("10:00:00", "buy", "out by", "0.10", 803, "0.00", comment="close hedge by #801")
    book.position(801, "buy", "0.10", "09:00:00", "10:00:00", "6.00")
    book.position(802, "sell", "0.10", "09:10:00", "10:00:00", "0.00")
    statement = land(page(book.rows))
    assert (tied(statement)[str(long)], tied(statement)[str(short)]) == ("801", "802")
    assert list(statement.deals["entry"].dropna())[-2:] == ["out_by", "out_by"]


@pytest.mark.parametrize("mode", ["Netting", "Exchange", "Unknown"])
def test_a_netting_account_has_one_position_from_flat_to_flat(mode: str) -> None:
    """Adding keeps the position, a reversal too; after flat a new one begins. An in/out deal alone tells netting."""
    book = Book()
    book.deal("09:00:00", "buy", "in", "1.00", 901)
    book.deal("09:10:00", "buy", "in", "0.50", 902)
    book.deal("09:20:00", "sell", "in/out", "2.50", 903, "8.00")
    book.deal("09:30:00", "buy", "out", "1.00", 904, "2.00")
    book.deal("09:40:00", "sell", "in", "0.40", 905)
    statement = land(page(book.rows, mode))
    assert list(tied(statement).values()) == ["901", "901", "901", "901", "905"]
    assert "inout" in set(statement.deals["entry"])


def test_a_netting_position_begun_before_the_file_ends_where_the_tables_say() -> None:
    """What was added to it opens nothing, and what is opened after its end is a position of its own."""
    book = Book()
    old = [book.deal("09:00:00", "buy", "in", "0.20", 601), book.deal("10:00:00", "sell", "out", "1.20", 602, "5.00")]
    new = [book.deal("11:00:00", "sell", "in", "1.00", 603), book.deal("12:00:00", "buy", "out", "1.00", 604)]
    book.position(555, "buy", "1.20", "07:00:00", "10:00:00", "5.00")
    book.position(603, "sell", "1.00", "11:00:00", "12:00:00", "0.00")
    positions = tied(land(page(book.rows, "Netting")))
    assert [positions[str(deal)] for deal in old + new] == ["555", "555", "603", "603"]


def test_a_netting_position_begun_before_the_file_may_turn_and_a_new_one_begin_within_its_last_second() -> None:
    """A reversal ends its row in the tables and not the position; what opens after the end is no part of it."""
    book = Book()
    turned = [
        book.deal("09:00:00", "sell", "in/out", "2.00", 601, "5.00"),
        book.deal("10:00:00", "buy", "out", "0.80", 602, "1.00"),
    ]
    opened = book.deal("10:00:00", "buy", "in", "0.30", 603)
    closed = book.deal("11:00:00", "sell", "out", "0.30", 604, "1.00")
    book.position(555, "buy", "1.20", "07:00:00", "09:00:00", "5.00")
    book.position(555, "sell", "0.80", "09:00:00", "10:00:00", "1.00")
    book.position(603, "buy", "0.30", "10:00:00", "11:00:00", "1.00")
    positions = tied(land(page(book.rows, "Netting")))
    assert [positions[str(deal)] for deal in (*turned, opened, closed)] == ["555", "555", "603", "603"]


def test_deals_that_a_spreadsheet_sorted_are_followed_in_their_time() -> None:
    """Newest first or by symbol, the balance still runs and a netting position is named after its opening."""
    book = Book()
    deals = [book.deal("09:00:00", "buy", "in", "0.20", 601), book.deal("09:00:00", "buy", "in", "0.10", 602)]
    deals.append(book.deal("10:00:00", "sell", "out", "0.30", 603, "5.00"))
    for rows in (book.rows[::-1], [book.rows[place] for place in (2, 0, 3, 1)]):
        statement = land(page(rows, "Netting"))
        assert [tied(statement)[str(deal)] for deal in deals] == ["601"] * 3
        assert "running balance" not in [name for name, _ in wrong(statement)]


def test_a_repeated_hour_keeps_the_order_of_deals_and_no_trade_closes_before_it_opened() -> None:
    """Protects coins traded while the server's clock is set back: their hour is neither mixed up nor rejected."""
    book = Book()
    book.deal("03:50:00", "buy", "in", "0.10", 601)
    book.deal("03:05:00", "sell", "out", "0.10", 602, "1.00")
    book.deal("03:55:00", "buy", "in", "0.10", 603)
    book.deal("04:10:00", "sell", "out", "0.10", 604, "2.00")
    autumn = page(book.rows).replace("2025.03.03 0", "2025.10.26 0").replace("2025.10.26 08", "2025.10.24 08")
    statement = read(None, autumn.encode(), file_name="export", account_id="A1", server_zone="Europe/Athens")
    trades = statement.deals[statement.deals["kind"] == "trade"]
    assert [f"{at:%H:%M}" for at in trades["executed_at"]] == ["00:50", "01:05", "01:55", "02:10"]
    assert "running balance" not in [name for name, _ in wrong(statement)]
    clock = server_clock("Europe/Athens")
    times = [datetime(2025, 10, 26, 3, minute) for minute in (50, 5)]
    assert clock.closing(*times) == times[1] and clock.utc(clock.closing(*times) or times[0]).hour == 1
    assert clock.closing(datetime(2025, 10, 27, 3, 50), datetime(2025, 10, 27, 3, 5)) is None


FTMO = "Ticket;Open;Type;Volume;Symbol;Price;SL;TP;Close;Price;Swap;Commissions;Profit;Pips;Trade duration in seconds"
PAIRS = "symbol,buyFillId,sellFillId,qty,buyPrice,sellPrice,pnl,boughtTimestamp,soldTimestamp,duration"


@pytest.mark.parametrize(
    ("opened", "closed", "lasted", "hours"),
    [
        ("02:10", "02:50", 2400, ["00:10", "00:50"]),
        ("02:10", "02:50", 6000, ["00:10", "01:50"]),
        ("02:50", "02:10", 1200, ["00:50", "01:10"]),
        ("02:50", "03:10", 1200, ["01:50", "02:10"]),
        ("02:50", "03:10", 4800, ["00:50", "02:10"]),
    ],
)
def test_a_printed_duration_tells_which_of_a_repeated_hour_was_meant(
    opened: str, closed: str, lasted: int, hours: list[str]
) -> None:
    """Protects holding times and the side of a trade (Tradovate's fills are numbered) around the change."""
    row = f"11111111;2025-10-26 {opened}:00;buy;0.10;BTCUSD;100000;0;0;2025-10-26 {closed}:00;100100;0;0;10;1;{lasted}"
    pair = f"MBTZ5,7,9,1,100000,100100,$10.00,10/26/2025 {opened}:00,10/26/2025 {closed}:00,{lasted // 60}min"
    for text in (f"{FTMO}\n{row}\n", f"{PAIRS}\n{pair}\n"):
        deals = read(None, text.encode(), file_name="export", account_id="A1", server_zone="Europe/Prague").deals
        assert [f"{at:%H:%M}" for at in deals["executed_at"]] == hours
        assert list(deals["side"]) == ["buy", "sell"]


def test_profits_after_a_reversal_are_not_held_against_the_first_opening() -> None:
    """From the reversal on its price is the opening one; what was added to an older position is none at all."""
    book = Book()
    book.deal("08:10:00", "buy", "in", "0.10", 4, price="1.04000")
    book.deal("08:20:00", "sell", "out", "0.30", 5, "9.00", price="1.05000")
    book.position(555, "buy", "0.30", "07:00:00", "08:20:00", "9.00")
    book.deal("09:00:00", "buy", "in", "0.10", 1, price="1.05000")
    book.deal("09:10:00", "sell", "in/out", "0.20", 2, "10.00", price="1.05100")
    book.deal("09:20:00", "buy", "out", "0.10", 3, "2.00", price="1.05080")
    for hour in range(10, 20):
        book.deal(f"{hour}:00:00", "buy", "in", "0.10", 10 * hour, price="1.05000")
        book.deal(f"{hour}:20:00", "sell", "out", "0.10", 10 * hour + 1, "8.00", price="1.05080")
    assert "profit by price" not in [name for name, _ in wrong(land(page(book.rows, "Netting")))]


def wrong(statement: Statement) -> list[tuple[str, str]]:
    """The checks that do not add up, and where."""
    checks = statement.reconciliation.checks
    return [(check["name"], check["where"]) for check in checks if check["verdict"] == "does_not_add_up"]


def test_a_closing_deal_that_fits_nothing_stays_untied() -> None:
    """Unknown is not guessed: two openings could be meant, so neither is."""
    book = Book()
    book.deal("09:00:00", "buy", "in", "0.10", 951)
    book.deal("09:00:05", "buy", "in", "0.10", 952)
    lost = book.deal("10:00:00", "sell", "out", "0.10", 953, "1.00")
    statement = land(page(book.rows))
    assert tied(statement)[str(lost)] is None
    assert statement.facts["untied_deals"] == [str(lost)]


def test_cancelled_deals_are_counted_and_do_not_trade() -> None:
    """A cancelled deal lands nothing; the row stays accounted for."""
    book = Book()
    book.deal("09:00:00", "buy canceled", "in", "0.10", 960)
    statement = land(page(book.rows))
    assert list(statement.deals["kind"]) == ["balance"]
    assert statement.facts["accounted"]["deals"] == 2


def mt4_row(ticket: int, lots: str, closed: str, profit: str, title: str) -> str:
    """Return a closed MT4 trade opened at nine."""
    cells = ["2025.03.03 09:00:00", "buy", lots, "eurusd", "1.05000", "0.00000", "0.00000", f"2025.03.03 {closed}"]
    cells += ["1.05100", "0.00", "0.00", "0.00", profit]
    return f'<tr><td title="{title}">{ticket}</td>' + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def test_mt4_parts_share_the_first_ticket() -> None:
    """'to #N' and 'from #N' chain new tickets, a magic number may stand before them; a quoted ticket is no part."""
    rows = [
        mt4_row(11, "0.10", "10:00:00", "10.00", "#100 to #12"),
        mt4_row(12, "0.10", "11:00:00", "10.00", "#100 from #11"),
        mt4_row(13, "0.10", "12:00:00", "10.00", "from #12"),
        mt4_row(14, "0.10", "12:00:00", "10.00", "like 11 and #12[sl]"),
    ]
    body = "<tr><td colspan=14>Closed Transactions:</td></tr>" + "".join(rows)
    totals = "<tr><td>Closed P/L:</td><td>40.00</td></tr><tr><td>Open Trades:</td></tr>"
    statement = land(f"<html><title>Statement: 1 - x</title><table>{body}{totals}</table>")
    out = statement.deals[statement.deals["entry"] == "out"]
    assert dict(zip(out["deal_id"], out["position_id"], strict=True)) == {
        "111": "11",
        "121": "11",
        "131": "11",
        "141": "14",
    }
    assert list(out["magic"])[:2] == ["100", "100"]
    assert list(out["reason"])[-1] == "sl"


def test_ftmo_tickets_written_together_are_taken_apart() -> None:
    """A ticket twice as long is position and closing; the first part decides the position."""
    lines = [
        "Ticket;Open;Type;Volume;Symbol;Price;SL;TP;Close;Price;Swap;Commissions;Profit;Pips;Trade duration in seconds",
        "7772935777736261;2025-02-17 10:04:49;buy;0.86;GBPUSD;1.25;0;0;2025-02-17 10:41:24;1.25;0;2.58;0;0;2195",
        "77729357;2025-02-17 10:04:49;buy;0.86;GBPUSD;1.25;0;0;2025-02-17 10:18:26;1.26;0;2.58;860;11.1;817",
        "9999999910000001;2025-02-18 10:04:49;buy;0.10;GBPUSD;1.25;0;0;2025-02-18 10:18:26;1.26;0;0;100;11.1;817",
        "88888888;2025-02-19 10:04:49;sell;0.10;GBPUSD;1.25;0;0;2025-02-19 10:18:26;1.26;0;0;-100;11.1;817",
    ]
    statement = land("\r\n".join(lines))
    assert set(statement.deals["position_id"]) == {"77729357", "99999999", "88888888"}
    assert Decimal(statement.deals["commission"].dropna().iloc[0]) == Decimal("-2.58")


def test_ftmo_parts_alone_are_one_position() -> None:
    """Where every ticket of a file is two ids, those that begin alike and were opened alike are parts of one."""
    head = "Ticket;Open;Type;Volume;Symbol;Price;SL;TP;Close;Price;Swap;Commissions;Profit;Pips;Seconds"
    row = "{};2025-03-03 09:00:00;buy;0.10;EURUSD;1.05;0;0;2025-03-03 {}:00:00;1.06;0;0;100;100;{}"
    tickets = ("7772935777736261", "7772935777736299", "7772936100000007")
    rows = [
        row.format(ticket, hour, 3600 * (int(hour) - 9))
        for hour, ticket in zip(["10", "11", "12"], tickets, strict=True)
    ]
    statement = land("\n".join([head, *rows]) + "\n")
    assert list(statement.deals["position_id"].value_counts()) == [4, 2]


def test_a_stop_out_and_levels_are_kept() -> None:
    """The comment's mark is the reason, in MT5's words."""
    book = Book()
    book.deal("09:00:00", "buy", "in", "0.10", 971)
    book.deal("10:00:00", "sell", "out", "0.10", 972, "-5.00", comment="[so 18.80%/0.94/5.00]")
    statement = land(page(book.rows))
    assert list(statement.deals["reason"].dropna()) == ["so"]


@pytest.mark.parametrize(
    ("printed", "comment", "amount", "kind", "label"),
    [
        ("balance", "Financing", "-0.08", "fee", "financing"),
        ("balance", "Dividend #8931779258", "0.02", "fee", "dividend"),
        ("balance", "Summary trade result Q4 2013", "-148.03", "fee", "compressed trading result"),
        ("balance", "Summary balance result 2014", "78.44", "balance", "compressed balance result"),
        ("balance", "Initial account balance", "200000", "balance", "opening"),
        ("balance", "IntrTo 8396902 82211410", "-1.52", "balance", "transfer"),
        ("balance", "Trading compensation", "-1.62", "balance", "correction"),
        ("balance", "ADJUSTMENT", "5000", "balance", "deposit"),
        ("balance", "ADJUSTMENT", "-5000", "balance", "correction"),
        ("balance", "Withdraw-Crypto-USDT", "-3989.26", "balance", "payout"),
        ("balance", "Deposit: 62335 JPY", "300000", "balance", "deposit"),
        ("credit", "Credit In-NDB", "30", "credit", "credit"),
        ("correction", "", "-1", "balance", "correction"),
        ("daily commission", "", "-1", "fee", "charge"),
        ("dividend", "", "1", "fee", "dividend"),
    ],
)
def test_money_rows_are_classified_with_their_rule(
    printed: str, comment: str, amount: str, kind: str, label: str
) -> None:
    """A balance row is not the same as a deposit; the rule that decided is told."""
    row = classify(printed, comment, amount)
    assert (row.kind, row.label) == (kind, label)
    assert row.rule


def instants(zone: str, *readings: str) -> list[str]:
    """Return UTC instants of readings."""
    found = server_clock(zone).instants([pd.Timestamp(reading).to_pydatetime() for reading in readings])
    return [f"{moment:%Y-%m-%d %H:%M}" for moment in found]


def test_server_clocks_follow_their_calendar() -> None:
    """A repeated hour is its first occurrence, a skipped one the first instant after the gap; New York plus seven."""
    assert instants("Europe/Athens", "2025-01-06 10:00", "2025-07-07 10:00") == ["2025-01-06 08:00", "2025-07-07 07:00"]
    assert instants("Europe/Athens", "2025-10-26 03:30", "2025-03-30 03:30") == ["2025-10-26 00:30", "2025-03-30 01:00"]
    assert instants("America/New_York+7", "2025-03-10 10:00", "2025-03-07 10:00") == [
        "2025-03-10 07:00",
        "2025-03-07 08:00",
    ]
    assert instants("UTC+8", "2025-01-06 10:00") == instants("+08:00", "2025-01-06 10:00") == ["2025-01-06 02:00"]
    readings = [pd.Timestamp("2025-10-26 03:30").to_pydatetime(), pd.Timestamp("2025-10-26 04:30").to_pydatetime()]
    assert server_clock("Europe/Athens").uncertain(readings) == 1


NAMES = ["Time", "Deal", "Symbol", "Type", "Direction", "Volume", "Price", "Order"]
TAIL = ["Swap", "Profit", "Balance", "Comment"]


@pytest.mark.parametrize(
    ("extra", "costs"),
    [
        ([("Commission", "-2.00")], ("-2.00", None)),
        ([("Commission", "-2.00"), ("Fee", "-0.50")], ("-2.00", "-0.50")),
        ([("Cost", "7.77"), ("Commission", "-2.00"), ("Fee", "-0.50")], ("-2.00", "-0.50")),
    ],
)
def test_deals_of_every_layout_are_read_from_the_right(
    extra: list[tuple[str, str]], costs: tuple[str | None, str | None]
) -> None:
    """Thirteen columns have no fee, fourteen have it, fifteen show a cost that moves no balance."""
    change = sum(Decimal(cost) for cost in costs if cost)
    header: Cells = [*NAMES, *(name for name, _ in extra), *TAIL]
    head = ["2025.03.03 09:00:00", 101, "EURUSD", "buy", "in", "0.10", "1.05000", 501]
    first: Cells = ["2025.03.03 08:00:00", 100, "", "balance", "", "", "", "", *("0.00" for _ in extra)]
    rows: list[Cells] = [header, [*first, "0.00", "1000.00", "1000.00", "x"]]
    rows.append([*head, *(value for _, value in extra), "0.00", "0.00", 1000 + change, ""])
    statement = land(page(rows))
    deal = statement.deals.iloc[1]
    assert (deal["commission"], deal["fee"]) == costs
    assert [c["verdict"] for c in statement.reconciliation.checks if c["name"] == "running balance"] == ["exact"]


def test_a_deal_that_ends_before_its_profit_is_rejected_and_not_taken_for_nothing() -> None:
    """A page that was cut between two cells leaves a row whose money is not there."""
    book = Book()
    book.deal("09:00:00", "buy", "in", "0.10", 501)
    book.deal("10:00:00", "sell", "out", "0.10", 502, "5.00")
    whole = page(book.rows)
    statement = land(whole[: whole.rindex("<td>5.00")])
    assert list(statement.rejects["reason"]) == ["the row ends before it"]
    assert len(statement.deals) == 2


def test_a_row_without_a_readable_time_is_rejected_and_not_lost() -> None:
    """A deal whose time is no time at all is still a row of the file."""
    book = Book()
    book.deal("09:00:00", "buy", "in", "0.10", 501)
    book.rows[1][0] = "soon"
    statement = land(page(book.rows))
    assert len(statement.rejects) == 1
    assert statement.rows == 2


def mt4_page(*rows: list[object]) -> str:
    """Return an MT4 page of closed trades, each a list of comment and cells."""
    lines = [f'<tr><td title="{said}">' + "</td><td>".join(map(str, cells)) + "</td></tr>" for said, *cells in rows]
    head = "<title>Statement: 1 - x</title><table><tr><td>Closed Transactions:</td></tr>"
    return f"{head}{''.join(lines)}<tr><td>Summary:</td></tr></table>"


def mt4_trade(comment: str, ticket: int, lots: str, closed: str) -> list[object]:
    """Return a closed EURUSD trade that was opened at nine."""
    head = [comment, ticket, "2025.03.03 09:00:00", "buy", lots, "eurusd", "1.05", 0, 0, f"2025.03.03 {closed}"]
    return [*head, "1.05", "0.00", "0.00", "0.00", "0.00"]


def test_mt4_parts_of_parts_share_the_first_ticket() -> None:
    """The middle part says only where the rest went ('to'), the last only where it came from ('from')."""
    statement = land(
        mt4_page(
            mt4_trade("#7 grid to #102", 101, "0.10", "10:00:00"),
            mt4_trade("to #103", 102, "0.20", "11:00:00"),
            mt4_trade("from #102[tp]", 103, "0.30", "12:00:00"),
        )
    )
    assert set(tied(statement).values()) == {"101"}
    deals = statement.deals.set_index("deal_id")
    assert deals["comment"]["1011"] == "grid to #102"
    assert deals["comment"]["1010"] == "grid"
    assert deals["comment"]["1030"] == "from #102"


def test_mt4_comment_rows_stand_in_for_lost_tooltips() -> None:
    """Where no tooltip came through, the row below a trade tells its magic number and comment."""
    trade = mt4_trade("", 101, "0.10", "10:00:00")
    text = mt4_page(trade).replace(
        "</td></tr><tr><td>Summary",
        "</td></tr><tr><td colspan=9>&nbsp;</td><td>16384</td><td colspan=3>grid[sl]</td></tr><tr><td>Summary",
    )
    deals = land(text).deals.set_index("deal_id")
    assert list(deals["magic"]) == ["16384", "16384"]
    assert deals["reason"]["1011"] == "sl"
    assert list(deals["comment"]) == ["grid", "grid[sl]"]
